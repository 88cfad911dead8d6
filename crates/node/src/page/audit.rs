//! What operators have changed, the latest first.

use std::sync::Arc;

use api::admin::v1::{AuditEntry, AuditListRequest, StatusRequest, admin_server::Admin as _};
use axum::{extract::State, response::IntoResponse as _};
use futures::StreamExt as _;
use maud::html;

use crate::page::{
    Answer, Page,
    document::document,
    form::Form,
    table::{Column, table},
    words::moment,
};

/// How far back it goes.
const SPAN_MS: u64 = 14 * 24 * 3600 * 1000;

/// Rows that are shown.
const ROWS_MAX: usize = 500;

/// What is shown of each change.
const COLUMNS: [Column<'static>; 5] = [
    Column::Words("When"),
    Column::Words("Who"),
    Column::Words("What"),
    Column::Words("Why"),
    Column::Figures("Changed"),
];

/// Shows it.
pub(super) async fn show(State(page): State<Arc<Page>>, form: Form) -> Answer {
    let status = page.service.status(Page::request(&form, StatusRequest {}));
    let now = status.await?.into_inner().now_ms;
    let question = AuditListRequest {
        since_ms: now.saturating_sub(SPAN_MS),
    };
    let listed = page.service.audit_list(Page::request(&form, question));
    let mut listed = listed.await?.into_inner();
    let mut rows: std::collections::VecDeque<AuditEntry> = std::collections::VecDeque::new();
    while let Some(row) = listed.next().await {
        rows.push_front(row?);
        rows.truncate(ROWS_MAX);
    }
    let rows = html! {
        @for row in &rows {
            tr {
                td .when { (moment(row.at_ms)) }
                td { (row.by) }
                td { code { (row.what) } }
                td { (row.reason) }
                td .number { (row.changed) }
            }
        }
    };
    let content = html! {
        h1 { "What was changed" }
        p { "In the last fourteen days, the latest first." }
        (table(&COLUMNS, &rows))
    };
    Ok(document("What was changed", &content).into_response())
}
