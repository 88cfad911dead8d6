//! The web page: what staff see of the queue, and the buttons that change it.
//!
//! ```text
//!   browser ──▶ http: trusted networks only ──▶ page ──▶ AdminService ──▶ cluster
//!                                                 │
//!                        front, queue, message, outages, cluster, audit: html
//! ```
//!
//! It asks the admin service as the command line does, in the same process, and knows nothing of the
//! spool. It needs no script. What changes something is a POST with a token that no other site can know,
//! and what destroys something asks first.

mod ages;
mod audit;
mod change;
mod cluster;
mod curve;
mod document;
mod form;
mod front;
mod message;
mod outages;
mod problem;
mod queue;
mod words;

use std::sync::Arc;

use api::admin::v1::{FlushRequest, admin_server::Admin as _};
use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderValue, header},
    middleware,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;

use crate::{
    admin::AdminService,
    certificates::Expiries,
    page::{ages::Ages, form::Form},
};

pub(crate) use problem::Problem;

/// A form names a page of messages at most.
const FORM_BYTES_MAX: usize = 64 * 1024;

/// Only our own style sheet; no script, no frame, no form that leads elsewhere. A browser that was told so
/// runs nothing of what came with the mail, even if it were shown as it is.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; \
     frame-ancestors 'none'; base-uri 'none'";

/// What the pages are made of.
#[derive(Debug)]
pub(crate) struct Page {
    service: Arc<AdminService>,
    /// In each form: who has not read the page does not know it.
    token: String,
    ages: Ages,
    expiries: Arc<Expiries>,
}

/// What a handler comes to.
type Answer = Result<Response, Problem>;

/// The pages. Whoever uses this lets nobody through who is not trusted.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(page: Arc<Page>) -> Router<S> {
    Router::new()
        .route("/", get(front::show))
        .route("/queue", get(queue::show).post(change::change))
        .route("/message/{id}", get(message::show))
        .route("/outages", get(outages::show))
        .route("/cluster", get(cluster::show))
        .route("/audit", get(audit::show))
        .route("/flush", post(flush))
        .route("/pause", post(change::pause))
        .route("/resume", post(change::resume))
        .route("/style.css", get(style))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(middleware::map_response(guarded))
        .with_state(page)
}

impl Page {
    pub(crate) fn new(service: Arc<AdminService>, expiries: Arc<Expiries>) -> Self {
        Self {
            service,
            token: format!("{:032x}", rand::random::<u128>()),
            ages: Ages::default(),
            expiries,
        }
    }

    /// Counts what somebody wants to see, until the token is cancelled.
    pub(crate) async fn count(&self, stop: CancellationToken) {
        self.ages.run(&self.service, stop).await;
    }

    /// A question to the admin service, as the person at the browser asks it.
    fn request<T>(form: &Form, question: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(question);
        let by = MetadataValue::from_bytes(format!("web page, {}", form.peer).as_bytes());
        request.metadata_mut().insert_bin("layover-by-bin", by);
        request
    }
}

/// Tells the browser to trust nothing, and to keep nothing.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn style() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    (kind, include_str!("page/style.css")).into_response()
}

async fn flush(State(page): State<Arc<Page>>, form: Form) -> Answer {
    form.check(&page.token)?;
    let question = FlushRequest {
        domain: form.value("domain").map(str::to_owned),
    };
    page.service.flush(Page::request(&form, question)).await?;
    Ok(Redirect::to("/?done=flush").into_response())
}
