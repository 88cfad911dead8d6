//! By which names browsers may ask for the page.
//!
//! Who is trusted is told by his address alone. But the browser of somebody who is trusted asks for the pages of any
//! site, and the name of a site may lead to this node from one moment to the next (DNS rebinding). Its scripts
//! would read the page then. Whom a browser believes to be talking to stands in its request.

use std::net::Ipv4Addr;

use axum::{
    extract::Request,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};

use crate::config::host_of;

/// How much of a foreign name is repeated.
const CHARS_TOLD_MAX: usize = 100;

/// Why somebody who asks by another name gets nothing; `None` when the name is ours. Addresses are, and
/// `localhost`: no site can call itself so.
pub(super) fn refusal(names: &[String], request: &Request) -> Option<Response> {
    let told = request.headers().get_all(header::HOST).into_iter();
    let told = told.map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    let target = request.uri().authority().map(ToString::to_string);
    let hosts: Vec<String> = told.chain(target).collect();
    let words = match hosts.iter().find(|host| !is_ours(names, host)) {
        Some(foreign) => {
            let shown: String = foreign.chars().take(CHARS_TOLD_MAX).collect();
            format!(
                "misdirected: this page does not go by the name {shown:?}; if it should, add it to names in [http] \
                 of layover.toml\n"
            )
        }
        None if hosts.is_empty() => "misdirected: the request names no host\n".to_owned(),
        None => return None,
    };
    Some((StatusCode::MISDIRECTED_REQUEST, words).into_response())
}

fn is_ours(names: &[String], text: &str) -> bool {
    host_of(text).is_some_and(|host| {
        host == "localhost"
            || host.starts_with('[')
            || host.parse::<Ipv4Addr>().is_ok()
            || names.contains(&host)
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn is_refused(uri: &str, hosts: &[&str]) -> bool {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        let names = ["mx1.example.net", "queue.example.net"].map(str::to_owned);
        let request = request.body(Body::empty()).unwrap();
        refusal(&names, &request).is_some()
    }

    #[test]
    fn addresses_and_our_own_names_are_ours() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:7402",
            "192.0.2.1:80",
            "[::1]",
            "[2001:db8::1]:7402",
            "localhost:7402",
            "LOCALHOST",
            "mx1.example.net:7402",
            "Queue.Example.Net.",
        ] {
            assert!(!is_refused("/", &[host]), "{host}");
        }
    }

    #[test]
    fn whatever_else_a_browser_believes_to_talk_to_is_refused() {
        for host in [
            "rebound.example",
            "rebound.example:7402",
            "127.0.0.1.rebound.example",
            "localhost.rebound.example",
            "mx1.example.net.rebound.example",
            "mx2.example.net",
            "mx1.example.net@rebound.example",
            "[mx1.example.net]",
            "",
            ":7402",
            "\u{e9}.example",
        ] {
            assert!(is_refused("/", &[host]), "{host}");
        }
        assert!(is_refused("/", &[]), "none at all");
        assert!(is_refused("/", &["localhost", "rebound.example"]));
        assert!(is_refused("http://rebound.example/", &["localhost"]));
    }

    #[tokio::test]
    async fn who_is_refused_learns_which_key_to_set() {
        let request = Request::builder().header(header::HOST, "a.example");
        let answer = refusal(&[], &request.body(Body::empty()).unwrap()).unwrap();
        assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST);
        let told = axum::body::to_bytes(answer.into_body(), 1000)
            .await
            .unwrap();
        let told = String::from_utf8(told.to_vec()).unwrap();
        assert!(
            told.contains("\"a.example\"") && told.contains("names in [http]"),
            "{told}"
        );
    }
}
