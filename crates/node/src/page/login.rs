//! Who comes in, and as whom.
//!
//! Where the node file has no users, whoever comes from a trusted network is believed. Where it has some, he says
//! by his password who he is as well, and the browser keeps a cookie that stands for that.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Redirect, Response},
};
use maud::{Markup, html};
use tokio::{
    sync::Mutex,
    task::spawn_blocking,
    time::{Instant, timeout},
};
use tracing::{info, warn};

use crate::{
    config::User,
    page::{
        Answer, Page, Problem,
        attempts::Attempts,
        document::{document, token},
        form::Form,
        rights::{Person, Right},
        sessions::{LIFETIME, Sessions, secret},
    },
};

/// What the browser keeps.
const COOKIE: &str = "layover";

/// For so long somebody waits until the password of another one is looked at.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who may come in, and who is in.
#[derive(Debug)]
pub(super) struct Door {
    users: Vec<User>,
    /// In the forms of those who have not logged in.
    token: Arc<str>,
    sessions: Sessions,
    attempts: Attempts,
    /// One password at a time, for each takes memory and a processor.
    turn: Mutex<()>,
}

impl Door {
    pub(super) fn new(users: Vec<User>) -> Self {
        Self {
            users,
            token: Arc::from(secret()),
            sessions: Sessions::default(),
            attempts: Attempts::default(),
            turn: Mutex::default(),
        }
    }

    /// Who asks.
    fn person(&self, headers: &HeaderMap) -> Person {
        let token = || Arc::clone(&self.token);
        if self.users.is_empty() {
            return Person::trusted(token());
        }
        let known = cookie(headers).and_then(|told| self.sessions.person(told, Instant::now()));
        known.unwrap_or_else(|| Person::stranger(token()))
    }

    /// The user of this name, if this is his password. It takes as long where there is no such user.
    async fn user(&self, name: &str, words: &str) -> Result<Option<User>, Problem> {
        let known = self.users.iter().find(|user| *user.name == *name);
        let Some(user) = known.or_else(|| self.users.first()).cloned() else {
            return Ok(None);
        };
        let turn = timeout(PATIENCE, self.turn.lock()).await;
        let _turn = turn.map_err(|_| {
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Many log in at once: try again in a minute.",
            )
        })?;
        let (password, words) = (Arc::clone(&user.password), words.to_owned());
        let is_right = spawn_blocking(move || password.is(&words)).await;
        let is_right = is_right.unwrap_or_default() && known.is_some();
        Ok(is_right.then_some(user))
    }
}

/// Lets those through who have the right that a route asks for; those who have not said who they are get to where
/// they can. Who is let through stands in the request from here on.
pub(super) async fn admit(
    State((page, wanted)): State<(Arc<Page>, Option<Right>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let person = page.door.person(request.headers());
    match wanted.filter(|right| !person.may(*right)) {
        None => {
            request.extensions_mut().insert(person);
            next.run(request).await
        }
        Some(_) if person.is_stranger() => Redirect::to("/login").into_response(),
        Some(right) => Problem::lacks(right).into_response(),
    }
}

/// Asks who he is.
pub(super) async fn show(form: Form) -> Markup {
    document("Log in", &question(&form, None))
}

fn question(form: &Form, complaint: Option<&str>) -> Markup {
    html! {
        h1 { "Log in" }
        @if let Some(words) = complaint { p .warning role="alert" { (words) } }
        form method="post" action="/login" {
            (token(&form.person))
            p { label { "Name " input name="name" autocomplete="username" required; } }
            p {
                label {
                    "Password "
                    input type="password" name="password" autocomplete="current-password" required;
                }
            }
            button { "Log in" }
        }
    }
}

/// Lets him in, if he is who he says.
pub(super) async fn log_in(
    State(page): State<Arc<Page>>,
    headers: HeaderMap,
    form: Form,
) -> Answer {
    form.check()?;
    let peer = form.peer;
    if !page.door.attempts.count(peer, Instant::now()) {
        warn!(target: "audit", %peer, "too many attempts to log in to the page from this address");
        return Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many have tried to log in from your address: try again in ten minutes.",
        ));
    }
    let name = form.value("name").unwrap_or_default();
    let words = form.verbatim("password").unwrap_or_default();
    let Some(user) = page.door.user(name, words).await? else {
        // Not the name: it is the password where somebody was in the wrong field.
        warn!(target: "audit", %peer, "an attempt to log in to the page failed");
        let asked = question(
            &form,
            Some("There is no such user, or the password is another one."),
        );
        return Ok((StatusCode::FORBIDDEN, document("Log in", &asked)).into_response());
    };
    page.door.attempts.forget(peer);
    info!(target: "audit", user = &*user.name, %peer, "logged in to the page");
    let sessions = &page.door.sessions;
    let value = sessions.begin(user.name, user.roles, Instant::now());
    Ok(with_cookie(&headers, &value, LIFETIME))
}

/// Ends the session.
pub(super) async fn log_out(
    State(page): State<Arc<Page>>,
    headers: HeaderMap,
    form: Form,
) -> Answer {
    form.check()?;
    if let Some(told) = cookie(&headers) {
        page.door.sessions.end(told);
    }
    Ok(with_cookie(&headers, "", Duration::ZERO))
}

/// Back to the front, with a cookie that no script reads and that goes with no request from another site. Behind a
/// proxy that has TLS it goes with no request in clear either.
fn with_cookie(headers: &HeaderMap, value: &str, age: Duration) -> Response {
    let is_secure = headers
        .get("x-forwarded-proto")
        .is_some_and(|by| by == "https");
    let secure = if is_secure { "; Secure" } else { "" };
    let age = age.as_secs();
    let text =
        format!("{COOKIE}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}");
    let mut response = Redirect::to("/").into_response();
    if let Ok(field) = HeaderValue::try_from(text) {
        response.headers_mut().insert(header::SET_COOKIE, field);
    }
    response
}

/// What our cookie says (RFC 6265 section 4.2.1).
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let fields = headers.get_all(header::COOKIE).into_iter();
    let mut pairs = fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let ours = pairs.find(|(name, _)| *name == COOKIE);
    ours.map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        let line = |(name, value): &(header::HeaderName, &'static str)| {
            (name.clone(), HeaderValue::from_static(value))
        };
        lines.iter().map(line).collect()
    }

    #[test]
    fn our_cookie_is_found_among_others() {
        for (lines, expected) in [
            (&[][..], None),
            (&[(header::COOKIE, "layover=abc")], Some("abc")),
            (&[(header::COOKIE, "a=b; layover=abc; c=d")], Some("abc")),
            (
                &[(header::COOKIE, "notlayover=abc; layovers=x; layover")],
                None,
            ),
        ] {
            assert_eq!(cookie(&headers(lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_cookie_is_for_us_alone() {
        let set = |headers: &HeaderMap| {
            let response = with_cookie(headers, "abc", LIFETIME);
            let value = response.headers().get(header::SET_COOKIE).unwrap();
            value.to_str().unwrap().to_owned()
        };
        let plain = set(&HeaderMap::new());
        assert_eq!(
            plain,
            "layover=abc; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"
        );
        let proxied = header::HeaderName::from_static("x-forwarded-proto");
        assert_eq!(
            set(&headers(&[(proxied, "https")])),
            format!("{plain}; Secure")
        );
    }

    #[tokio::test]
    async fn without_users_nobody_is_asked() {
        let door = Door::new(Vec::new());
        let person = door.person(&HeaderMap::new());
        assert!(person.may(Right::Destroy) && !person.may(Right::Read));
        assert!(door.user("", "").await.unwrap().is_none());
    }
}
