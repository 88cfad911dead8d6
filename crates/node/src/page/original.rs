//! A whole message, for those who may read it.

use std::sync::Arc;

use api::admin::v1::QueueExportRequest;
use axum::{
    body::Body,
    extract::{Path, State},
    http::header,
    response::IntoResponse as _,
};
use futures::TryStreamExt as _;

use crate::page::{Answer, Page, form::Form};

/// Gives it as a file; that somebody had it stands in the audit log before he has.
pub(super) async fn fetch(
    State(page): State<Arc<Page>>,
    Path(id): Path<String>,
    form: Form,
) -> Answer {
    let question = QueueExportRequest { id: id.clone() };
    let chunks = page.service.read(Page::request(&form, question)).await?;
    let body = Body::from_stream(chunks.map_ok(|chunk| chunk.octets));
    let headers = [
        (header::CONTENT_TYPE, "message/rfc822".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{id}.eml\""),
        ),
    ];
    Ok((headers, body).into_response())
}
