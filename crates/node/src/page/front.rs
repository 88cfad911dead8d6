//! The front page: is the primary up, how much waits, is anything wrong.

use std::sync::Arc;

use api::admin::v1::{DomainStatus, StatusRequest, StatusResponse, admin_server::Admin as _};
use axum::{extract::State, response::IntoResponse as _};
use maud::{Markup, html};

use crate::page::{
    Answer, Page, ages,
    cluster::nodes,
    curve::curve,
    document::{live, token},
    form::Form,
    rights::{Person, Right},
    table::{Column, table},
    words::{ago, messages, moment, size, soon},
};

/// What is said after a button was pressed.
const DONE: [(&str, &str); 3] = [
    (
        "flush",
        "The queue is being tried now, whatever the timers say.",
    ),
    (
        "pause",
        "The domain is paused: its mail is taken, and none is sent.",
    ),
    ("resume", "The domain's mail goes again."),
];

/// Shows it.
pub(super) async fn show(State(page): State<Arc<Page>>, form: Form) -> Answer {
    let status = page.service.status(Page::request(&form, StatusRequest {}));
    let status = status.await?.into_inner();
    let lookback = page.service.lookback();
    let begun = lookback.begun_at().0;
    let count = page.ages.last().await;
    let done = form.value("done");
    let done = DONE.iter().find(|(name, _)| done == Some(name));
    let content = html! {
        div role="status" {
            @if let Some((_, words)) = done { p .done { (words) } }
        }
        h1 aria-live="polite" aria-atomic="true" { (headline(&status)) }
        div role="alert" {
            @if !status.troubles.is_empty() {
                section .troubles aria-labelledby="troubles" {
                    h2 #troubles { "What needs a person" }
                    ul { @for trouble in &status.troubles { li { (trouble) } } }
                }
            }
        }
        (domains(&status, &form.person))
        (curve(&lookback.day(), waiting(&status), begun, status.now_ms))
        (ages::section(count.as_ref()))
        section aria-labelledby="nodes" {
            h2 #nodes { "Nodes" }
            (nodes(&status))
        }
        p .aside {
            "Node " (status.hostname) ", version " (status.version) ", at " (moment(status.now_ms)) ". The figures \
             renew themselves."
        }
        @if let Some(name) = &form.person.name {
            form method="post" action="/logout" .aside {
                (token(&form.person))
                "You have logged in as " (name) ". " button { "Log out" }
            }
        }
    };
    Ok(live("Status", &content).into_response())
}

/// The one sentence for whoever reads no more; two, when the node takes no mail.
fn headline(status: &StatusResponse) -> String {
    let refuses = status.cluster.as_ref().filter(|here| !here.accepting);
    let Some(here) = refuses else {
        return of_mail(status);
    };
    let who = if here.leader.is_some() {
        "This node takes no mail now."
    } else {
        "No mail is taken now: too few nodes see each other."
    };
    match waiting(status) {
        0 => who.to_owned(),
        waiting => format!("{who} {} safe here.", messages(waiting)),
    }
}

/// How the mail of all domains stands.
fn of_mail(status: &StatusResponse) -> String {
    let waiting = waiting(status);
    let down = status
        .domains
        .iter()
        .filter(|domain| domain.primary_state == "down");
    let down: Vec<&str> = down.map(|domain| domain.name.as_str()).collect();
    let kept = status
        .domains
        .iter()
        .map(|domain| domain.held + domain.rejected);
    let kept = kept.sum::<u64>();
    match (waiting, down.as_slice()) {
        (0, []) if kept > 0 => format!("No mail waits but {} held, or refused.", messages(kept)),
        (0, []) => "All mail is delivered.".to_owned(),
        (0, down) => format!("No mail waits. The primary of {} is down.", down.join(", ")),
        (waiting, []) => format!("{} on the way to the primary.", messages(waiting)),
        (waiting, down) => format!(
            "{} safe here. The primary of {} is down.",
            messages(waiting),
            down.join(", ")
        ),
    }
}

/// Messages that wait, or are deferred.
fn waiting(status: &StatusResponse) -> u64 {
    let domains = status.domains.iter();
    domains.map(|domain| domain.waiting + domain.deferred).sum()
}

/// The form with which mail is tried now: all, or that of the domain whose button is pressed.
const TRY: &str = "try";

/// What is shown of each domain.
const COLUMNS: [Column<'static>; 10] = [
    Column::Words("Domain"),
    Column::Words("Primary"),
    Column::Figures("Waiting"),
    Column::Figures("Deferred"),
    Column::Figures("Held"),
    Column::Figures("Refused"),
    Column::Figures("Size"),
    Column::Words("Oldest"),
    Column::Words("Delivery"),
    Column::Words("Do"),
];

fn domains(status: &StatusResponse, person: &Person) -> Markup {
    let now = status.now_ms;
    let rows = html! {
        @for domain in &status.domains { (row(domain, now, person)) }
    };
    html! {
        section aria-labelledby="domains" {
            h2 #domains { "Domains" }
            @if person.may(Right::Operate) {
                // Enter in the form's field presses the first of its buttons, and those of the domains come first.
                button form=(TRY) disabled hidden {}
            }
            (table(&COLUMNS, &rows))
            @if person.may(Right::Operate) {
                form id=(TRY) method="post" action="/flush" {
                    (token(person))
                    label { "Reason to try now " input name="reason" size="30" maxlength="500"; }
                    button { "Try all mail now" }
                }
            }
        }
    }
}

fn row(domain: &DomainStatus, now: u64, person: &Person) -> Markup {
    let listed = |state: &str| {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("domain", &domain.name)
            .append_pair("state", state)
            .finish();
        format!("/queue?{query}")
    };
    let count = |count: u64, state: &str| {
        html! {
            td .number {
                @if count == 0 { "0" } @else {
                    a href=(listed(state)) aria-label={ (count) " " (state) ", " (domain.name) } { (count) }
                }
            }
        }
    };
    html! {
        tr {
            th scope="row" { (domain.name) @if !domain.in_policy { " (not in the policy)" } }
            td {
                span class={ "state " (domain.condition) } { (domain.condition) }
                @if let Some(since) = domain.since_ms { " for " (ago(now, since)) }
                @if let Some(reason) = &domain.reason { br; small { (reason) } }
                @if let Some(pause) = &domain.paused {
                    br; small {
                        "by " (pause.by)
                        @if !pause.reason.is_empty() { ": " (pause.reason) }
                        @if let Some(until) = pause.until_ms { ", until " (moment(until)) }
                    }
                }
            }
            (count(domain.waiting, "waiting"))
            (count(domain.deferred, "deferred"))
            (count(domain.held, "held"))
            (count(domain.rejected, "rejected"))
            td .number { (size(domain.bytes)) }
            td { @if let Some(oldest) = domain.oldest_ms { (ago(now, oldest)) } }
            td { (delivery(domain, now)) }
            td { @if domain.in_policy && person.may(Right::Operate) { (buttons(domain, person)) } }
        }
    }
}

fn delivery(domain: &DomainStatus, now: u64) -> Markup {
    html! {
        @if let Some(delivery) = &domain.delivery {
            @if delivery.per_second > 0.0 { (format!("{:.1} a second", delivery.per_second)) }
            @if let Some(end) = delivery.expected_end_ms {
                br; small { "empty in " (ago(end, now)) ", at about " (soon(end, now)) }
            }
        }
        @if let Some(expiring) = &domain.expiring {
            br; small .warning { (messages(expiring.messages)) " expire from " (moment(expiring.first_ms)) " on" }
        }
    }
}

/// What can be done with a domain. What is tried now has its reason in the form below the table.
fn buttons(domain: &DomainStatus, person: &Person) -> Markup {
    let is_kept_back = domain.paused.is_some() || domain.condition == "held-back";
    let one = |action: &str, words: &str| {
        html! {
            form method="post" action=(action) .inline {
                (token(person))
                input type="hidden" name="domain" value=(domain.name);
                button aria-label={ (words) " " (domain.name) } { (words) }
            }
        }
    };
    html! {
        button .inline form=(TRY) name="domain" value=(domain.name) aria-label={ "Try now " (domain.name) } { "Try now" }
        @if is_kept_back { (one("/resume", "Resume")) } @else { (one("/pause", "Pause")) }
    }
}

#[cfg(test)]
mod tests {
    use api::admin::v1::ClusterStatusResponse;

    use super::*;

    fn status(domains: &[(&str, u64, &str)]) -> StatusResponse {
        let domain = |(name, waiting, state): &(&str, u64, &str)| DomainStatus {
            name: (*name).to_owned(),
            waiting: *waiting,
            primary_state: (*state).to_owned(),
            ..DomainStatus::default()
        };
        StatusResponse {
            domains: domains.iter().map(domain).collect(),
            ..StatusResponse::default()
        }
    }

    #[test]
    fn one_sentence_says_whether_mail_is_safe() {
        for (domains, words) in [
            (&[("a.example", 0, "up")][..], "All mail is delivered."),
            (
                &[("a.example", 2, "up")],
                "2 messages on the way to the primary.",
            ),
            (
                &[("a.example", 1, "down"), ("b.example", 0, "up")],
                "1 message safe here. The primary of a.example is down.",
            ),
            (
                &[("a.example", 0, "down")],
                "No mail waits. The primary of a.example is down.",
            ),
        ] {
            assert_eq!(headline(&status(domains)), words);
        }
    }

    #[test]
    fn a_node_that_takes_no_mail_says_so_first() {
        let mut status = status(&[("a.example", 2, "up")]);
        status.cluster = Some(ClusterStatusResponse::default());
        let words = "No mail is taken now: too few nodes see each other. 2 messages safe here.";
        assert_eq!(headline(&status), words);
        status.cluster = Some(ClusterStatusResponse {
            leader: Some(2),
            ..ClusterStatusResponse::default()
        });
        status.domains[0].waiting = 0;
        assert_eq!(headline(&status), "This node takes no mail now.");
    }

    #[test]
    fn what_a_person_has_to_decide_is_not_delivered() {
        let mut status = status(&[("a.example", 0, "up")]);
        status.domains[0].rejected = 2;
        let words = "No mail waits but 2 messages held, or refused.";
        assert_eq!(headline(&status), words);
    }

    #[test]
    fn what_came_from_others_is_shown_as_text() {
        let mut status = status(&[("a.example", 1, "down")]);
        status.domains[0].reason = Some("<script>alert(1)</script>".to_owned());
        let shown = domains(&status, &Person::trusted("secret".into())).into_string();
        assert!(shown.contains("&lt;script&gt;"), "{shown}");
        assert!(!shown.contains("<script"), "{shown}");
    }
}
