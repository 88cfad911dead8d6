//! Where alarms are told.

use toml::Spanned;

use super::{errors::Fault, name::host_port};

/// A longer one is no address that somebody wrote.
const OCTETS_MAX: usize = 2000;

/// A URL that alarms are posted to.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// As it was written. Its path and query are often a secret: only [`Webhook::host`] is for the log.
    pub url: String,
    /// Whether TLS protects what is posted.
    pub is_https: bool,
    /// Whom to connect to, `host:port`.
    pub host: String,
}

impl core::fmt::Debug for Webhook {
    /// Without what may be secret.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Webhook")
            .field("is_https", &self.is_https)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// The webhook that the policy names, if it names one.
pub(super) fn webhook(written: Option<&Spanned<String>>) -> Result<Option<Webhook>, Fault> {
    let Some(written) = written.filter(|text| !text.get_ref().is_empty()) else {
        return Ok(None);
    };
    let read = read(written.get_ref());
    read.map(Some).map_err(|why| {
        let message = format!(
            "webhook = \"{}\" {why}; write for example \"https://alerts.example.com/layover\", or \"\" for none",
            written.get_ref().escape_debug()
        );
        Fault::new(written.span(), message)
    })
}

fn read(url: &str) -> Result<Webhook, String> {
    if url.len() > OCTETS_MAX {
        return Err(format!("is longer than {OCTETS_MAX} octets"));
    }
    // What a URL may be written with (RFC 3986 section 2), without the fragment, which is not sent.
    let is_sound = |octet: u8| octet.is_ascii_graphic() && !br#""<>\^`{|}#"#.contains(&octet);
    if !url.bytes().all(is_sound) {
        return Err("has characters in it that a URL can not have".to_owned());
    }
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let (is_https, port) = match scheme.to_ascii_lowercase().as_str() {
        "https" => (true, 443),
        "http" => (false, 80),
        _ => return Err("does not begin with https:// or http://".to_owned()),
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, _) = rest.split_at(end);
    if authority.contains('@') {
        return Err("has a user in it, which is not supported by this version".to_owned());
    }
    let host = host_port(authority, port).map_err(|_| "names no host that could be called")?;
    Ok(Webhook {
        url: url.to_owned(),
        is_https,
        host,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_whom_to_connect_to() {
        for (url, is_https, host) in [
            ("https://a.example", true, "a.example:443"),
            ("HTTP://A.example/b?c=d", false, "a.example:80"),
            ("http://127.0.0.1:8080/", false, "127.0.0.1:8080"),
            ("https://[2001:db8::1]:9?x", true, "[2001:db8::1]:9"),
            ("http://localhost:1/%20~!$&'()*+,;=:@", false, "localhost:1"),
        ] {
            let read = read(url).unwrap();
            assert_eq!((read.is_https, read.host.as_str()), (is_https, host));
            assert_eq!(read.url, url);
        }
    }

    #[test]
    fn what_is_no_url_is_told() {
        for (url, why) in [
            ("a.example", "begin with https"),
            ("ftp://a.example", "begin with https"),
            ("https://", "no host"),
            ("https://a.example:0/", "no host"),
            ("https://u:p@a.example/", "a user"),
            ("https://a.example/ b", "characters"),
            ("https://a.example/\n", "characters"),
            ("https://a.example/#b", "characters"),
            ("https://\u{fc}.example/", "characters"),
        ] {
            let said = read(url).unwrap_err();
            assert!(said.contains(why), "{url}: {said}");
        }
        assert!(read(&format!("https://a.example/{}", "x".repeat(OCTETS_MAX))).is_err());
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        let shown = format!("{:?}", read("https://a.example/TOKEN?key=KEY").unwrap());
        assert!(
            !shown.contains("TOKEN") && !shown.contains("KEY"),
            "{shown}"
        );
    }
}
