//! The queue, a page at a time.

use std::sync::Arc;

use api::admin::v1::{QueueEntry, QueueListRequest};
use axum::{extract::State, response::IntoResponse as _};
use maud::{Markup, html};

use crate::{
    admin::{Listed, Mark, Order},
    page::{
        Answer, Page, Problem,
        document::{document, no_default, token},
        form::Form,
        rights::{Person, Right},
        table::{Column, table},
        words::{moment, size},
    },
};

/// Rows of a page.
const ROWS: u64 = 50;

/// Recipients that a row names.
const RECIPIENTS_SHOWN: usize = 3;

/// The states by which one may choose.
const STATES: [&str; 4] = ["waiting", "deferred", "held", "rejected"];

/// What is chosen by: fields of the form, as they are called in the request.
const FIELDS: [&str; 5] = ["domain", "sender", "recipient", "state", "older"];

/// The orders, as the form calls them and as people do.
const ORDERS: [(Order, &str, &str); 3] = [
    (Order::Oldest, "", "oldest first"),
    (Order::Newest, "newest", "newest first"),
    (Order::Largest, "largest", "largest first"),
];

/// What a form asks for when nobody has pressed one of its buttons.
pub(super) const NO_VERB: &str = "none";

/// What is shown of each message.
const COLUMNS: [Column<'static>; 8] = [
    Column::Unseen("Choose"),
    Column::Words("Received"),
    Column::Words("From"),
    Column::Words("To"),
    Column::Words("State"),
    Column::Figures("Size"),
    Column::Figures("Tries"),
    Column::Words("Last words"),
];

/// What the fields of a form choose.
pub(super) fn filter(form: &Form) -> Result<QueueListRequest, Problem> {
    let text = |name| form.value(name).map(str::to_owned);
    Ok(QueueListRequest {
        domain: text("domain"),
        sender: text("sender"),
        recipient: text("recipient"),
        state: text("state"),
        older_than_ms: form.span_ms("older")?,
        limit: 0,
    })
}

/// The fields again, for a form that acts on what they choose.
pub(super) fn chosen(form: &Form) -> Markup {
    html! {
        @for name in FIELDS {
            @if let Some(value) = form.value(name) {
                input type="hidden" name=(name) value=(value);
            }
        }
    }
}

/// Shows it.
pub(super) async fn show(State(page): State<Arc<Page>>, form: Form) -> Answer {
    let wanted = QueueListRequest {
        limit: ROWS,
        ..filter(&form)?
    };
    let (order, after) = (order(&form), after(&form));
    let listed = page.service.queue_page(wanted, order, after).await?;
    Ok(document("Queue", &content(&form, &listed)).into_response())
}

/// The order that a form asks for; that of arrival, where it asks for none that there is.
fn order(form: &Form) -> Order {
    let asked = form.value("order").unwrap_or_default();
    let found = ORDERS.iter().find(|(_, name, _)| *name == asked);
    found.map_or_else(Order::default, |(order, _, _)| *order)
}

/// Behind which message a form asks to go on.
fn after(form: &Form) -> Option<Mark> {
    Some(Mark {
        sequence: form.number("after")?,
        size: form.number("size").unwrap_or_default(),
    })
}

fn content(form: &Form, listed: &Listed) -> Markup {
    html! {
        h1 { "Queue" }
        (choice(form))
        form method="post" action="/queue" {
            (no_default())
            // On a box or a radio button Enter passes over that one, and presses the next.
            button hidden name="verb" value=(NO_VERB) {}
            (token(&form.person))
            (chosen(form))
            @if listed.entries.is_empty() {
                p {
                    @if listed.next.is_some() { "Nothing of what was looked through so far is chosen." }
                    @else { "No message is chosen." }
                }
            } @else {
                (table(&COLUMNS, &html! { @for entry in &listed.entries { (row(entry)) } }))
                @if form.person.may(Right::Operate) { (verbs(&form.person)) }
            }
            @if let Some(next) = listed.next {
                p { a href=(onward(form, next)) { "Go on" } }
            }
        }
    }
}

fn choice(form: &Form) -> Markup {
    let value = |name| form.value(name).unwrap_or_default();
    html! {
        form method="get" action="/queue" .choice {
            label { "Domain " input name="domain" value=(value("domain")); }
            label { "Sender " input name="sender" value=(value("sender")) placeholder="a@b.example, @b.example, <>"; }
            label { "Recipient " input name="recipient" value=(value("recipient")); }
            label {
                "State "
                select name="state" {
                    option value="" { "any" }
                    @for state in STATES {
                        option value=(state) selected[value("state") == state] { (state) }
                    }
                }
            }
            label { "Older than " input name="older" value=(value("older")) placeholder="2h" size="6"; }
            label {
                "Order "
                select name="order" {
                    @for (_, name, words) in ORDERS {
                        option value=(name) selected[value("order") == name] { (words) }
                    }
                }
            }
            button { "Choose" }
            " " a href="/queue" { "All" }
        }
    }
}

fn onward(form: &Form, after: Mark) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for name in FIELDS.into_iter().chain(["order"]) {
        if let Some(value) = form.value(name) {
            query.append_pair(name, value);
        }
    }
    query.append_pair("after", &after.sequence.to_string());
    if order(form) == Order::Largest {
        query.append_pair("size", &after.size.to_string());
    }
    let query = query.finish();
    format!("/queue?{query}")
}

fn row(entry: &QueueEntry) -> Markup {
    let more = entry.recipients.len().saturating_sub(RECIPIENTS_SHOWN);
    html! {
        tr {
            td { input type="checkbox" name="id" value=(entry.id) aria-label={ "Message " (entry.id) }; }
            td .when {
                a href={ "/message/" (entry.id) } aria-label={ (moment(entry.received_ms)) ", message " (entry.id) } {
                    (moment(entry.received_ms))
                }
            }
            td { @if entry.sender.is_empty() { "<>" } @else { (entry.sender) } }
            td {
                @for recipient in entry.recipients.iter().take(RECIPIENTS_SHOWN) { (recipient) br; }
                @if more > 0 { small { "and " (more) " more" } }
            }
            td {
                span class={ "state " (entry.state) } { (entry.state) }
                @if let Some(due) = entry.due_ms { br; small { "until " (moment(due)) } }
            }
            td .number { (size(entry.size)) }
            td .number { (entry.attempts) }
            td { @if let Some(reason) = &entry.reason { small { (reason) } } }
        }
    }
}

/// What is done with the messages of a page, or with all that are chosen.
fn verbs(person: &Person) -> Markup {
    html! {
        fieldset {
            legend { "Do with the messages" }
            label { input type="radio" name="which" value="ticked" checked; " those that are ticked" }
            label { input type="radio" name="which" value="chosen"; " all that are chosen above, on further pages too" }
            (buttons(person))
        }
    }
}

/// The buttons that somebody may press, and why he does.
pub(super) fn buttons(person: &Person) -> Markup {
    html! {
        (reason(""))
        button name="verb" value="hold" { "Hold" }
        " " button name="verb" value="release" { "Release" }
        " " button name="verb" value="retry" { "Try now" }
        @if person.may(Right::Destroy) {
            " " button name="verb" value="bounce" .destroys { "Bounce" }
            " " button name="verb" value="delete" .destroys { "Delete" }
        }
    }
}

/// The field for why something is done, as the audit log keeps it, with what was given already.
pub(super) fn reason(given: &str) -> Markup {
    html! { p { label { "Reason " input name="reason" size="40" maxlength="500" value=(given); } } }
}
