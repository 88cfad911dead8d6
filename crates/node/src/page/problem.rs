//! What went wrong, as a page.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::html;
use tonic::{Code, Status};

use crate::page::{document::document, rights::Right};

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Problem {
    code: StatusCode,
    words: String,
}

impl Problem {
    pub(super) fn new(code: StatusCode, words: impl Into<String>) -> Self {
        let words = words.into();
        Self { code, words }
    }

    /// What he asks for is not for his roles.
    pub(super) fn lacks(right: Right) -> Self {
        let role = right.role();
        Self::new(
            StatusCode::FORBIDDEN,
            format!("This takes the role {role:?}, which your user has not. Nothing was changed."),
        )
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        let code = match status.code() {
            Code::InvalidArgument => StatusCode::BAD_REQUEST,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::Aborted | Code::FailedPrecondition => StatusCode::CONFLICT,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(code, status.message())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let page = document(
            "That did not work",
            &html! {
                h1 { "That did not work" }
                p role="alert" { (self.words) }
                p { a href="/" { "Back to the status" } }
            },
        );
        (self.code, page).into_response()
    }
}
