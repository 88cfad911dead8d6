//! The web page: what staff see of the queue, and the buttons that change it.
//!
//! ```text
//!   browser ──▶ http: trusted networks only ──▶ login: who has the right ──▶ page ──▶ AdminService ──▶ cluster
//!                                                                            │
//!                                                   front, queue, message, outages, cluster, audit: html
//! ```
//!
//! It asks the admin service as the command line does, in the same process, and knows nothing of the
//! spool. It needs no script: the only one there is keeps the front page's figures fresh. What changes something is a POST with a token that no other site can know,
//! and what destroys something asks first. What each route is for stands in one table, [`routes`].

mod ages;
mod attempts;
mod audit;
mod change;
mod cluster;
mod curve;
mod document;
mod form;
mod front;
mod login;
mod message;
mod original;
mod outages;
mod problem;
mod queue;
mod rights;
mod sessions;
mod table;
mod words;

use std::sync::Arc;

use api::admin::v1::{FlushRequest, admin_server::Admin as _};
use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Redirect, Response},
    routing::{MethodRouter, get, post},
};
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;

use crate::{
    admin::AdminService,
    config::User,
    page::{ages::Ages, form::Form, login::Door, rights::Right},
};

pub(crate) use problem::Problem;

/// A form names a page of messages at most.
const FORM_BYTES_MAX: usize = 64 * 1024;

/// Only our own style sheet and script, which asks nobody but us; no script within a page, no frame, no form that
/// leads elsewhere. A browser that was told so runs nothing of what came with the mail, even if it were shown as it
/// is: as all answers are `nosniff`, a message is no script to it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What the pages are made of.
#[derive(Debug)]
pub(crate) struct Page {
    service: Arc<AdminService>,
    door: Door,
    ages: Ages,
}

/// What a handler comes to.
type Answer = Result<Response, Problem>;

/// A path, the right that it asks for (none where one has yet to say who he is), and what answers.
type Route = (&'static str, Option<Right>, MethodRouter<Arc<Page>>);

/// All routes.
fn routes() -> [Route; 16] {
    let (see, operate, read) = (Some(Right::See), Some(Right::Operate), Some(Right::Read));
    [
        ("/", see, get(front::show)),
        ("/queue", see, get(queue::show)),
        // Which verbs ask for more, `Right::of_verb` says.
        ("/queue", operate, post(change::change)),
        ("/message/{id}", see, get(message::show)),
        ("/message/{id}/original", read, get(original::fetch)),
        ("/outages", see, get(outages::show)),
        ("/cluster", see, get(cluster::show)),
        ("/audit", see, get(audit::show)),
        ("/flush", operate, post(flush)),
        ("/pause", operate, post(change::pause)),
        ("/resume", operate, post(change::resume)),
        ("/login", None, get(login::show)),
        ("/login", None, post(login::log_in)),
        ("/logout", see, post(login::log_out)),
        ("/style.css", None, get(style)),
        ("/live.js", None, get(live)),
    ]
}

/// The pages. Whoever uses this lets nobody through who is not trusted.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(page: Arc<Page>) -> Router<S> {
    let mut router = Router::new();
    for (path, right, answer) in routes() {
        let gate = (Arc::clone(&page), right);
        let gate = middleware::from_fn_with_state(gate, login::admit);
        router = router.route(path, answer.route_layer(gate));
    }
    router
        .fallback(absent)
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(middleware::map_response(guarded))
        .with_state(page)
}

impl Page {
    /// Of this node, for these users; where there are none, for whoever is let through.
    pub(crate) fn new(service: Arc<AdminService>, users: Vec<User>) -> Self {
        Self {
            service,
            door: Door::new(users),
            ages: Ages::default(),
        }
    }

    /// Counts what somebody wants to see, until the token is cancelled.
    pub(crate) async fn count(&self, stop: CancellationToken) {
        self.ages.run(&self.service, stop).await;
    }

    /// A question to the admin service, as the person at the browser asks it.
    fn request<T>(form: &Form, question: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(question);
        let by = MetadataValue::from_bytes(form.by().as_bytes());
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

async fn live() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (kind, include_str!("page/live.js")).into_response()
}

async fn absent() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "There is no such page.")
}

async fn flush(State(page): State<Arc<Page>>, form: Form) -> Answer {
    form.check()?;
    let question = FlushRequest {
        domain: form.value("domain").map(str::to_owned),
        reason: form.value("reason").unwrap_or_default().to_owned(),
    };
    page.service.flush(Page::request(&form, question)).await?;
    Ok(Redirect::to("/?done=flush").into_response())
}
