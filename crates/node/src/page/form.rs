//! What comes from the browser: the query of an address, or the content of a form.

use std::net::{IpAddr, SocketAddr};

use axum::{
    body::Bytes,
    extract::{ConnectInfo, FromRequest, FromRequestParts, Request},
    http::{HeaderMap, Method, StatusCode},
};

use crate::page::{Problem, rights::Person};

/// Fields by their names, in the order in which they came, and who has sent them.
#[derive(Debug)]
pub(crate) struct Form {
    fields: Vec<(String, String)>,
    /// Whether a browser says that another site has sent it.
    is_foreign: bool,
    pub(super) peer: IpAddr,
    pub(super) person: Person,
}

impl Form {
    fn new(octets: &[u8], headers: &HeaderMap, peer: IpAddr, person: Person) -> Self {
        let fetched = headers.get("sec-fetch-site");
        Self {
            fields: form_urlencoded::parse(octets).into_owned().collect(),
            is_foreign: fetched.is_some_and(|site| site != "same-origin" && site != "none"),
            peer: peer.to_canonical(),
            person,
        }
    }

    /// Who has sent it, as the audit log names him.
    pub(super) fn by(&self) -> String {
        let peer = self.peer;
        match &self.person.name {
            Some(name) => format!("{name} by web page, {peer}"),
            None => format!("web page, {peer}"),
        }
    }

    /// The first field of a name, if there is something in it.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let mut values = self.values(name);
        values.find(|value| !value.is_empty())
    }

    /// All fields of a name.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let fields = self.fields.iter();
        fields
            .filter(move |(field, _)| field == name)
            .map(|(_, value)| value.trim())
    }

    /// The first field of a name, with whatever blanks are in it.
    pub(super) fn verbatim(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    /// A number, if there is one in a field.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.value(name)?.parse().ok()
    }

    /// A span of time, as `90m` or `2h`.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn span_ms(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.value(name) else {
            return Ok(None);
        };
        let span = humantime::parse_duration(text).map_err(|_| {
            let words = format!("{text:?} is no span of time; write one such as 90m, 2h or 3d");
            Problem::new(StatusCode::BAD_REQUEST, words)
        })?;
        Ok(Some(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Whether this was sent from a page that was made for this person.
    ///
    /// # Errors
    /// It was not, or from one of before this node's last start.
    pub(super) fn check(&self) -> Result<(), Problem> {
        if !self.is_foreign && self.value("token") == Some(&*self.person.token) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "This form is not from a page of this node, or the node was started again since, or you have logged in \
             anew. Nothing was changed: go back, load the page again, and try once more.",
        ))
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let unreadable = |error: String| Problem::new(StatusCode::BAD_REQUEST, error);
        let (mut parts, body) = request.into_parts();
        let person = parts.extensions.get::<Person>().cloned();
        let person = person.ok_or_else(|| unreadable("nobody was let in".to_owned()))?;
        let peer = ConnectInfo::<SocketAddr>::from_request_parts(&mut parts, state).await;
        let ConnectInfo(peer) = peer.map_err(|error| unreadable(error.body_text()))?;
        if parts.method == Method::GET || parts.method == Method::HEAD {
            let query = parts.uri.query().unwrap_or_default();
            return Ok(Self::new(
                query.as_bytes(),
                &parts.headers,
                peer.ip(),
                person,
            ));
        }
        let headers = parts.headers.clone();
        let octets = Bytes::from_request(Request::from_parts(parts, body), state).await;
        let octets = octets.map_err(|error| unreadable(error.body_text()))?;
        Ok(Self::new(&octets, &headers, peer.ip(), person))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str, site: Option<&'static str>) -> Form {
        let mut headers = HeaderMap::new();
        if let Some(site) = site {
            headers.insert("sec-fetch-site", site.parse().unwrap());
        }
        let person = Person::trusted("abc".into());
        Form::new(text.as_bytes(), &headers, [127, 0, 0, 1].into(), person)
    }

    #[test]
    fn only_what_was_sent_from_our_own_page_is_believed() {
        for (text, site, is_believed) in [
            ("token=abc", None, true),
            ("token=abc", Some("same-origin"), true),
            ("token=abc", Some("cross-site"), false),
            ("token=abc", Some("same-site"), false),
            ("token=abd", None, false),
            ("token=", None, false),
            ("", None, false),
        ] {
            let checked = form(text, site).check();
            assert_eq!(checked.is_ok(), is_believed, "{text} {site:?}");
        }
    }

    #[test]
    fn fields_are_read_as_browsers_write_them() {
        let form = form("id=1&id=2&reason=a+%26+b&none=&for=90m&bad=soon", None);
        assert_eq!(form.values("id").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(form.value("reason"), Some("a & b"));
        assert_eq!(form.value("none"), None);
        assert_eq!(form.span_ms("for").unwrap(), Some(5_400_000));
        assert!(form.span_ms("bad").is_err());
        assert_eq!(form.span_ms("absent").unwrap(), None);
    }
}
