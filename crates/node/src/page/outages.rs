//! The times in which no mail could leave, the latest first.

use std::sync::Arc;

use api::admin::v1::{Outage, OutageListRequest, OutageListResponse, admin_server::Admin as _};
use axum::{extract::State, response::IntoResponse as _};
use maud::{Markup, html};

use crate::page::{
    Answer, Page,
    document::document,
    form::Form,
    table::{Column, table},
    words::{ago, messages, moment, span},
};

/// Rows that are shown.
const ROWS_MAX: u64 = 200;

/// What is shown of each outage.
const COLUMNS: [Column<'static>; 6] = [
    Column::Words("Domain"),
    Column::Words("From"),
    Column::Words("To"),
    Column::Figures("Lasted"),
    Column::Figures("Waited at the end"),
    Column::Figures("Delivered within"),
];

/// Shows them, of one domain or of all.
pub(super) async fn show(State(page): State<Arc<Page>>, form: Form) -> Answer {
    let question = OutageListRequest {
        domain: form.value("domain").map(str::to_owned),
        limit: ROWS_MAX,
    };
    let listed = page.service.outage_list(Page::request(&form, question));
    let listed = listed.await?.into_inner();
    Ok(document("Outages", &content(&listed, form.value("domain"))).into_response())
}

fn content(listed: &OutageListResponse, domain: Option<&str>) -> Markup {
    html! {
        h1 { "Outages" @if let Some(domain) = domain { " of " (domain) } }
        p {
            "When a primary was down, or its domain's mail was kept back: the latest first, " (ROWS_MAX) " at most."
            @if domain.is_some() { " " a href="/outages" { "Those of all domains" } }
        }
        @if listed.outages.is_empty() {
            p { "None is known." }
        } @else {
            (table(&COLUMNS, &html! { @for outage in &listed.outages { (row(outage, listed.now_ms)) } }))
            p .aside {
                "All nodes remember when outages began and ended. How much mail waited at the end, and how long \
                 that took to leave, is what this node has seen since its start, " (moment(listed.seen_since_ms)) "."
            }
        }
    }
}

fn row(outage: &Outage, now: u64) -> Markup {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("domain", &outage.domain)
        .finish();
    let end = outage.until_ms.unwrap_or(now);
    html! {
        tr {
            th scope="row" { a href={ "/outages?" (query) } { (outage.domain) } }
            td .when { (moment(outage.since_ms)) }
            td .when {
                @match outage.until_ms {
                    Some(until) => { (moment(until)) }
                    None => { span .state .down { "it lasts" } }
                }
            }
            td .number { (ago(end, outage.since_ms)) }
            td .number {
                @match outage.messages {
                    Some(count) => { (messages(count)) @if outage.until_ms.is_none() { " so far" } }
                    None => { span .aside { "not seen" } }
                }
            }
            td .number {
                @if outage.is_draining { span .state .draining { "still leaving" } }
                @else if let Some(drain) = outage.drain_ms { (span(drain)) }
                @else if outage.until_ms.is_some() {
                    span .aside {
                        @if outage.messages.is_some() { "cut short by the next" } @else { "not seen" }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outage_is_a_report_of_its_own() {
        let outage = |domain: &str, until_ms, messages, drain_ms, is_draining| Outage {
            domain: domain.to_owned(),
            since_ms: 1_772_357_400_000,
            until_ms,
            messages,
            drain_ms,
            is_draining,
        };
        let end = Some(1_772_357_400_000 + 7_200_000);
        let listed = OutageListResponse {
            now_ms: 1_772_357_400_000 + 9_000_000,
            seen_since_ms: 1_772_000_000_000,
            outages: vec![
                outage("a.example", None, Some(3), None, false),
                outage("b.example", end, Some(1), Some(65_000), false),
                outage("c.example", end, Some(5), None, true),
                outage("*.d.example", end, None, None, false),
            ],
        };
        let shown = content(&listed, None).into_string();
        let rows: Vec<&str> = shown.split("<tr>").skip(2).collect();
        for (row, words) in rows.iter().zip([
            ["it lasts", "2 h 30 min", "3 messages so far"],
            ["2026-03-01 11:30:00 UTC", "1 message<", "1 min 5 s"],
            ["2 h<", "5 messages<", "still leaving"],
            ["/outages?domain=*.d.example", "2 h<", "not seen"],
        ]) {
            for words in words {
                assert!(row.contains(words), "{words} in {row}");
            }
        }
    }
}
