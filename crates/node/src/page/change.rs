//! The buttons that change something.

use std::sync::Arc;

use api::admin::v1::{
    DomainPauseRequest, DomainResumeRequest, QueueChangeRequest, QueueChangeResponse,
    QueueListRequest, admin_server::Admin as _,
};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Redirect},
};
use futures::StreamExt as _;
use maud::{Markup, html};

use crate::page::{
    Answer, Page, Problem,
    document::{document, no_default, token},
    form::Form,
    queue,
    rights::Right,
    words::messages,
};

/// Keeps a domain's mail back, once it was said for how long and why.
pub(super) async fn pause(State(page): State<Arc<Page>>, form: Form) -> Answer {
    form.check()?;
    if form.value("sure").is_none() {
        let asked = for_domain(
            &form,
            "Pause",
            &html! {
                p { "Its mail is taken, and none is sent, until that time is over or somebody resumes it." }
                p {
                    label { "For " input name="for" placeholder="2h" size="6" aria-describedby="for"; }
                    span #for .aside { "90m, 2h or 3d; nothing: until it is resumed" }
                }
            },
        );
        return Ok(document("Pause", &asked).into_response());
    }
    let question = DomainPauseRequest {
        domain: form.value("domain").unwrap_or_default().to_owned(),
        for_ms: form.span_ms("for")?,
        reason: form.value("reason").unwrap_or_default().to_owned(),
    };
    let paused = page.service.domain_pause(Page::request(&form, question));
    paused.await?;
    Ok(Redirect::to("/?done=pause").into_response())
}

/// Lets it go again, once it was said why.
pub(super) async fn resume(State(page): State<Arc<Page>>, form: Form) -> Answer {
    form.check()?;
    if form.value("sure").is_none() {
        let asked = for_domain(
            &form,
            "Resume",
            &html! { p { "Its mail goes to its primary again." } },
        );
        return Ok(document("Resume", &asked).into_response());
    }
    let question = DomainResumeRequest {
        domain: form.value("domain").unwrap_or_default().to_owned(),
        reason: form.value("reason").unwrap_or_default().to_owned(),
    };
    let resumed = page.service.domain_resume(Page::request(&form, question));
    resumed.await?;
    Ok(Redirect::to("/?done=resume").into_response())
}

/// What is asked before something is done with the mail of a domain.
fn for_domain(form: &Form, verb: &str, more: &Markup) -> Markup {
    let domain = form.value("domain").unwrap_or_default();
    html! {
        h1 { (verb) " " (domain) "?" }
        form method="post" action={ "/" (verb.to_lowercase()) } {
            (no_default())
            (token(&form.person))
            input type="hidden" name="domain" value=(domain);
            input type="hidden" name="sure" value="yes";
            (more)
            (queue::reason(""))
            button { (verb) " " (domain) }
            " " a href="/" { "No, change nothing" }
        }
    }
}

/// Does something with messages: at once with those that are ticked, if it can be undone; else it says first
/// with how many.
pub(super) async fn change(State(page): State<Arc<Page>>, form: Form) -> Answer {
    form.check()?;
    let verb = form.value("verb").unwrap_or_default();
    if verb == queue::NO_VERB {
        // The browser stays where it is, with all that is ticked.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let right = Right::of_verb(verb);
    if !form.person.may(right) {
        return Err(Problem::lacks(right));
    }
    let wanted = wanted(&form, verb)?;
    let is_sure = form.value("sure").is_some();
    if !is_sure && (wanted.ids.is_empty() || right == Right::Destroy) {
        let counted = QueueChangeRequest {
            count_only: true,
            ..wanted
        };
        let counted = run(&page, &form, counted).await?;
        let asked = question(&form, verb, &counted);
        return Ok(document("Are you sure?", &asked).into_response());
    }
    let done = run(&page, &form, wanted).await?;
    Ok(document("Done", &account(verb, &done)).into_response())
}

fn wanted(form: &Form, verb: &str) -> Result<QueueChangeRequest, Problem> {
    let mut wanted = QueueChangeRequest {
        verb: verb.to_owned(),
        reason: form.value("reason").unwrap_or_default().to_owned(),
        through: form.number("through"),
        as_of_ms: form.number("as-of"),
        at_most: form.number("at-most"),
        ..QueueChangeRequest::default()
    };
    if form.value("which") == Some("chosen") {
        let filter = queue::filter(form)?;
        wanted.all = filter == QueueListRequest::default();
        wanted.filter = (!wanted.all).then_some(filter);
    } else {
        wanted.ids = form.values("id").map(str::to_owned).collect();
        if wanted.ids.is_empty() {
            let words = "No message is ticked. Go back and tick some, or say that all are meant.";
            return Err(Problem::new(StatusCode::BAD_REQUEST, words));
        }
    }
    Ok(wanted)
}

/// Runs it to its end.
async fn run(
    page: &Page,
    form: &Form,
    wanted: QueueChangeRequest,
) -> Result<QueueChangeResponse, Problem> {
    let changed = page.service.queue_change(Page::request(form, wanted));
    let mut told = changed.await?.into_inner();
    let mut last = QueueChangeResponse::default();
    while let Some(next) = told.next().await {
        last = next?;
    }
    Ok(last)
}

fn question(form: &Form, verb: &str, counted: &QueueChangeResponse) -> Markup {
    let reason = form.value("reason").unwrap_or_default();
    html! {
        h1 { "Are you sure?" }
        p { "This would " strong { (verb) } " " (messages(counted.selected)) "."
            @if verb == "delete" { " What is deleted is gone, and nobody is told." }
            @if verb == "bounce" { " They are given up, and their senders are told." }
        }
        form method="post" action="/queue" {
            (no_default())
            (token(&form.person))
            (queue::chosen(form))
            input type="hidden" name="verb" value=(verb);
            input type="hidden" name="sure" value="yes";
            input type="hidden" name="through" value=(counted.through);
            input type="hidden" name="as-of" value=(counted.as_of_ms);
            input type="hidden" name="at-most" value=(counted.selected);
            @if form.value("which") == Some("chosen") {
                input type="hidden" name="which" value="chosen";
            } @else {
                @for id in form.values("id") { input type="hidden" name="id" value=(id); }
            }
            (queue::reason(reason))
            button .destroys[Right::of_verb(verb) == Right::Destroy] { "Yes, " (verb) " " (messages(counted.selected)) }
            " " a href="/queue" { "No, change nothing" }
        }
    }
}

/// What was done to messages.
fn past(verb: &str) -> &str {
    match verb {
        "hold" => "held",
        "release" => "released",
        "retry" => "tried now",
        "bounce" => "bounced",
        "delete" => "deleted",
        other => other,
    }
}

fn account(verb: &str, done: &QueueChangeResponse) -> Markup {
    let others = [
        (done.unaffected, "had been so before"),
        (done.held, "held: release first"),
        (done.absent, "not in the queue any more"),
        (done.elsewhere, "left alone, as others wait for them, too"),
    ];
    html! {
        h1 { "Done" }
        p role="status" { (messages(done.changed)) " " (past(verb)) "." }
        ul {
            @for (count, words) in others.iter().filter(|(count, _)| *count > 0) {
                li { (messages(*count)) " " (words) "." }
            }
        }
        p { a href="/queue" { "Back to the queue" } }
    }
}
