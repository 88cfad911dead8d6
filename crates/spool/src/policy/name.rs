//! The names a policy may use: domains with or without wildcard, hosts with or without port.

use core::net::{IpAddr, Ipv6Addr};
use std::borrow::Cow;

/// The port of SMTP between servers (RFC 5321 section 4.5.4.2).
pub const DEFAULT_SMTP_PORT: u16 = 25;

/// The longest domain name as it is written, without trailing dot (RFC 1035 section 2.3.4).
const NAME_CHARS_MAX: usize = 253;

/// The longest label of a domain name (RFC 1035 section 2.3.4).
const LABEL_CHARS_MAX: usize = 63;

/// An IPv6 address in front of a zone: 32 digits, each with a dot (RFC 5782 section 2.4).
const REVERSED_CHARS_MAX: usize = 64;

/// A domain as the DNS has it: with the labels that are in characters of their own script (U-labels) in the form
/// `xn--...` (A-labels, RFC 5890 section 2.3.2.1). What is ASCII already stays as it is. `None` when there can be
/// no such domain, and when a label is no U-label but for its case: what would first have to be mapped to other
/// characters, as a wide `e` or a dot of another script, is nobody's name in mail (RFC 6531 section 3.2).
#[must_use]
pub fn in_ascii(domain: &str) -> Option<Cow<'_, str>> {
    if domain.is_ascii() {
        return Some(Cow::Borrowed(domain));
    }
    let ascii = idna::domain_to_ascii_strict(domain).ok()?;
    let is_one = |(written, label): (&str, &str)| {
        written.is_ascii() || idna::domain_to_unicode(label).0 == written.to_lowercase()
    };
    let is_sound = domain.split('.').count() == ascii.split('.').count()
        && domain.split('.').zip(ascii.split('.')).all(is_one);
    is_sound.then_some(Cow::Owned(ascii))
}

/// The name by which a policy has a domain that somebody names, in any case and either form, with or without
/// a leading `*.` or a trailing dot. What can be no domain's name is nobody's either way.
#[must_use]
pub fn domain_named(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let name = lower.strip_suffix('.').unwrap_or(&lower);
    let (wildcard, domain) = match name.strip_prefix("*.") {
        Some(domain) => ("*.", domain),
        None => ("", name),
    };
    match in_ascii(domain) {
        Some(domain) => format!("{wildcard}{domain}"),
        None => name.to_owned(),
    }
}

/// Whether a policy's name stands for subdomains.
pub(super) fn is_wildcard(name: &str) -> bool {
    name.starts_with("*.")
}

/// Whether a policy's name, in lower case, covers the domain of an address, in ASCII and any case.
pub(super) fn covers(name: &str, domain: &str) -> bool {
    // `*.example.com` covers what ends in `.example.com` and has something before it.
    let Some(suffix) = name.strip_prefix('*') else {
        return name.eq_ignore_ascii_case(domain);
    };
    let Some(label_bytes) = domain.len().checked_sub(suffix.len()) else {
        return false;
    };
    label_bytes > 0
        && !domain.starts_with(['[', '.'])
        && domain
            .get(label_bytes..)
            .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

/// Whether a policy's name, in lower case, is that of a domain, in ASCII and any case, or of one below it.
pub(super) fn is_below(name: &str, domain: &str) -> bool {
    let Some(front) = name.len().checked_sub(domain.len()) else {
        return false;
    };
    let (front, end) = name.split_at_checked(front).unwrap_or_default();
    end.eq_ignore_ascii_case(domain) && (front.is_empty() || front.ends_with('.'))
}

/// A policy's domain in its normal form: ASCII, lower case, no trailing dot. Says what is wrong with it
/// and what would be right.
pub(super) fn normal_domain(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    let name = lower.strip_suffix('.').unwrap_or(&lower);
    let (wildcard, domain) = match name.strip_prefix("*.") {
        Some(domain) => ("*.", domain),
        None => ("", name),
    };
    if domain.contains('*') {
        return Err(format!(
            "\"{text}\" has a wildcard in the wrong place; only a leading \"*.\" is possible, as in \"*.example.com\""
        ));
    }
    let Some(domain) = in_ascii(domain) else {
        return Err(format!(
            "\"{}\" has characters beyond ASCII that are no domain's; write it in its ASCII form, \"xn--...\"",
            text.escape_debug()
        ));
    };
    if domain.starts_with('[') || domain.parse::<IpAddr>().is_ok() {
        return Err(format!(
            "\"{text}\" is an address; write a domain such as \"example.com\""
        ));
    }
    check_labels(&domain, text, "example.com", false)?;
    Ok(format!("{wildcard}{domain}"))
}

/// The zone of a block list in its normal form. Says what is wrong with it and what would be right.
pub(super) fn normal_zone(text: &str) -> Result<String, String> {
    let example = "zen.spamhaus.org";
    let lower = text.to_ascii_lowercase();
    let zone = lower.strip_suffix('.').unwrap_or(&lower);
    check_labels(zone, text, example, true)?;
    if zone.parse::<IpAddr>().is_ok() || zone.len() + REVERSED_CHARS_MAX > NAME_CHARS_MAX {
        return Err(format!(
            "\"{text}\" can not be the zone of a block list; write one such as \"{example}\""
        ));
    }
    Ok(zone.to_owned())
}

fn check_labels(name: &str, text: &str, example: &str, underscores: bool) -> Result<(), String> {
    if !name.is_ascii() {
        return Err(format!(
            "\"{text}\" has characters beyond ASCII; write it in its ASCII form, \"xn--...\""
        ));
    }
    let sound = |label: &str| {
        !label.is_empty()
            && label.len() <= LABEL_CHARS_MAX
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || (underscores && b == b'_'))
    };
    if name.len() > NAME_CHARS_MAX || !name.split('.').all(sound) {
        return Err(format!(
            "\"{}\" is not a name; write one such as \"{example}\"",
            text.escape_debug()
        ));
    }
    Ok(())
}

/// The text names no host and port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HostPortError(pub String);

/// A host in its normal form, with its port or the given one: `mail.example.com:25`,
/// `192.0.2.1:25`, `[2001:db8::1]:25`. Lower case, no trailing dot.
///
/// # Errors
/// What is wrong with it and what would be right.
pub fn host_port(text: &str, default_port: u16) -> Result<String, HostPortError> {
    let wrong = |what: String| HostPortError(what);
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(wrong(format!(
            "\"{text}\" needs brackets; write \"[{text}]:{default_port}\""
        )));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port = match port {
        None => default_port,
        Some(digits) => match digits.parse::<u16>() {
            Ok(port) if port > 0 && !digits.starts_with('+') => port,
            _ => {
                let text = text.escape_debug();
                return Err(wrong(format!(
                    "\"{text}\" has no valid port; one of 1 to 65535 follows the colon"
                )));
            }
        },
    };
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner
            .strip_suffix(']')
            .and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        let Some(address) = address else {
            let text = text.escape_debug();
            return Err(wrong(format!(
                "\"{text}\" has no IPv6 address in its brackets; write for example \"[2001:db8::1]:{port}\""
            )));
        };
        return Ok(format!("[{address}]:{port}"));
    }
    let lower = host.to_ascii_lowercase();
    let name = lower.strip_suffix('.').unwrap_or(&lower);
    check_labels(
        name,
        text,
        &format!("mail.example.com:{default_port}"),
        true,
    )
    .map_err(wrong)?;
    Ok(format!("{name}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_may_be_named_as_people_write_it() {
        for (text, name) in [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("*.Example.com", "*.example.com"),
            ("b\u{fc}cher.example", "xn--bcher-kva.example"),
            ("B\u{dc}CHER.example.", "xn--bcher-kva.example"),
            ("*.b\u{fc}cher.example", "*.xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("\u{ff42}.example", "\u{ff42}.example"),
            ("dsn", "dsn"),
            ("", ""),
        ] {
            assert_eq!(domain_named(text), name, "{text}");
        }
    }
}
