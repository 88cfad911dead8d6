//! One message: its envelope, how its deliveries went, and its header. Its body is a file for those who may read it.

use std::sync::Arc;

use api::admin::v1::{
    Client, QueueShowRequest, QueueShowResponse, Recipient, TraceRequest, TraceResponse, Try,
    admin_server::Admin as _,
};
use axum::{
    extract::{Path, State},
    response::IntoResponse as _,
};
use maud::{Markup, html};
use tonic::Code;

use crate::page::{
    Answer, Page,
    document::{document, no_default, token},
    form::Form,
    queue,
    rights::{Person, Right},
    table::{Column, table},
    words::{moment, size},
};

/// Shows it, also when it has left.
pub(super) async fn show(
    State(page): State<Arc<Page>>,
    Path(id): Path<String>,
    form: Form,
) -> Answer {
    let question = TraceRequest { id: id.clone() };
    let trace = page.service.trace(Page::request(&form, question));
    let trace = trace.await?.into_inner();
    let question = QueueShowRequest { id };
    let queued = match page
        .service
        .queue_show(Page::request(&form, question))
        .await
    {
        Ok(queued) => Some(queued.into_inner()),
        Err(status) if status.code() == Code::NotFound => None,
        Err(status) => return Err(status.into()),
    };
    let content = html! {
        h1 { "Message " (trace.id) }
        (envelope(&trace, queued.as_ref()))
        (recipients(&trace))
        (tries(&trace))
        (ways(&trace))
        @if let Some(queued) = &queued { (inside(queued, &form.person)) }
    };
    Ok(document(&format!("Message {}", trace.id), &content).into_response())
}

/// What is in a message that is still here, and what can be done with it.
fn inside(queued: &QueueShowResponse, person: &Person) -> Markup {
    html! {
        @if person.may(Right::Header) {
            section {
                h2 #header { "Header" }
                pre tabindex="0" role="region" aria-labelledby="header" { (queued.header) @if queued.header_cut { "\n[...]" } }
            }
        }
        @if person.may(Right::Read) {
            p {
                a href={ "/message/" (queued.id) "/original" } { "The whole message, as a file" }
                ": that you had it stands in the audit log."
            }
        }
        @if person.may(Right::Operate) {
            form method="post" action="/queue" {
                (no_default())
                (token(person))
                input type="hidden" name="id" value=(queued.id);
                (queue::buttons(person))
            }
        }
    }
}

fn envelope(trace: &TraceResponse, queued: Option<&QueueShowResponse>) -> Markup {
    let traced = trace.message.as_ref();
    html! {
        dl {
            dt { "State" }
            dd {
                span class={ "state " (trace.state) } { (trace.state) }
                @if let Some(left) = trace.left_ms { ", " (moment(left)) }
                @if let Some(first) = &trace.repeat_of {
                    " of " a href={ "/message/" (first) } { (first) }
                }
            }
            @if let Some(hold) = queued.and_then(|queued| queued.hold.as_ref()) {
                dt { "Held" }
                dd { "since " (moment(hold.since_ms)) " by " (hold.by)
                     @if !hold.reason.is_empty() { ": " (hold.reason) } }
            }
            @if let Some(traced) = traced {
                dt { "Received" } dd { (moment(traced.received_ms)) }
                dt { "From" }
                dd { @if traced.sender.is_empty() { "<>" } @else { (traced.sender) } }
                dt { "Size" } dd { (size(traced.size)) }
                @if let Some(client) = &traced.client { dt { "Brought by" } dd { (brought(client)) } }
                @if let Some(expiry) = &traced.expiry { dt { "Expires" } dd { (moment(expiry.at_ms)) } }
            }
            @if let Some(origin) = queued.and_then(|queued| queued.authentication.as_ref()) {
                dt { "Origin" }
                dd { "SPF " (origin.spf) ", DMARC " (origin.dmarc)
                     @if origin.authenticated { "; the sender is who he says" } }
            }
        }
    }
}

fn brought(client: &Client) -> String {
    let tls = client.tls.as_deref().unwrap_or("in clear");
    format!("{} ({}), {tls}", client.helo, client.address)
}

/// What is shown of each recipient.
const OF_RECIPIENTS: [Column<'static>; 5] = [
    Column::Words("Address"),
    Column::Words("State"),
    Column::Words("When"),
    Column::Words("Host"),
    Column::Words("Words"),
];

fn recipients(trace: &TraceResponse) -> Markup {
    let recipients: &[Recipient] = trace.message.as_ref().map_or(&[], |m| &m.recipients);
    let rows = html! {
        @for recipient in recipients {
            tr {
                th scope="row" { (recipient.address) }
                td { span class={ "state " (recipient.status) } { (recipient.status) } }
                td .when { @if let Some(at) = recipient.at_ms { (moment(at)) } }
                td { @if let Some(host) = &recipient.host { (host) } }
                td { @if let Some(reply) = &recipient.reply { (reply) } }
            }
        }
    };
    html! {
        section {
            h2 { "Recipients" }
            (table(&OF_RECIPIENTS, &rows))
        }
    }
}

fn tries(trace: &TraceResponse) -> Markup {
    let tries: &[Try] = trace.message.as_ref().map_or(&[], |m| &m.tries);
    html! {
        @if !tries.is_empty() {
            section {
                h2 { "Tries" }
                ol {
                    @for tried in tries {
                        li {
                            (moment(tried.at_ms))
                            @if let Some(host) = &tried.host { " at " (host) }
                            ": " (tried.delivered) " delivered, " (tried.deferred) " put off, "
                            (tried.rejected) " refused"
                            @if let Some(words) = &tried.words { ": " (words) }
                        }
                    }
                }
            }
        }
    }
}

/// Where it goes, of what is still to be delivered.
fn ways(trace: &TraceResponse) -> Markup {
    html! {
        @for way in &trace.ways {
            section {
                h2 { "Way to " (way.domain) }
                ul {
                    @for words in &way.words { li { (words) } }
                }
            }
        }
    }
}
