//! The grammar of RFC 5321 section 4.1.2, with two liberties that its senders take: dots anywhere
//! in a local part (mobile carriers have handed such mailboxes out) and underscores in a domain.
//! Whether such a mailbox exists is for its own host to say.
//!
//! Characters beyond ASCII are read wherever RFC 6531 section 3.3 lets them stand; whether the sender
//! may use them is decided elsewhere. A path that a client names has none that cannot be seen ([`super::unseen`]).

use core::net::{Ipv4Addr, Ipv6Addr};

use super::{AddressError, ForwardPath, Mailbox, ReversePath, holds_unseen};
use crate::limits::{DOMAIN_MAX, LABEL_MAX, LOCAL_PART_MAX, MAILBOX_MAX};

pub(super) fn reverse_path(text: &str) -> Result<(ReversePath, &str), AddressError> {
    if let Some(rest) = text.strip_prefix("<>") {
        return Ok((ReversePath::Null, rest));
    }
    let (mailbox, rest) = bracketed(text)?;
    Ok((ReversePath::Mailbox(mailbox.parse()?), rest))
}

pub(super) fn forward_path(text: &str) -> Result<(ForwardPath, &str), AddressError> {
    let (mailbox, rest) = bracketed(text)?;
    if mailbox.eq_ignore_ascii_case("postmaster") {
        return Ok((ForwardPath::Postmaster, rest));
    }
    Ok((ForwardPath::Mailbox(mailbox.parse()?), rest))
}

pub(super) fn mailbox(text: &str) -> Result<Mailbox, AddressError> {
    let (local_part, rest) = text.split_at(local_part_end(text));
    let domain = rest.strip_prefix('@').ok_or(AddressError::Domain)?;
    if !is_local_part(local_part) {
        return Err(AddressError::LocalPart);
    }
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let too_long = local_part.len() > LOCAL_PART_MAX
        || domain.len() > DOMAIN_MAX
        || local_part.len() + 1 + domain.len() > MAILBOX_MAX;
    if too_long {
        return Err(AddressError::TooLong);
    }
    if !is_domain(domain) && !is_address_literal(domain) {
        return Err(AddressError::Domain);
    }
    Ok(Mailbox {
        local_part: local_part.to_owned(),
        domain: domain.to_owned(),
    })
}

/// Takes `<...>` off the front: the mailbox in it without its source route, and what follows.
fn bracketed(text: &str) -> Result<(&str, &str), AddressError> {
    let inner = text.strip_prefix('<').ok_or(AddressError::Brackets)?;
    let inner = if inner.starts_with('@') {
        skip_route(inner)?
    } else {
        inner
    };
    // A quoted local part may hold a closing bracket.
    let (local_part, rest) = inner.split_at(local_part_end(inner));
    let close = rest.find('>').ok_or(AddressError::Brackets)?;
    let (mailbox, rest) = inner.split_at(local_part.len() + close);
    if holds_unseen(mailbox) {
        return Err(AddressError::Unseen);
    }
    Ok((mailbox, rest.get(1..).unwrap_or_default()))
}

/// `@a.example,@b.example:` in front of a mailbox.
fn skip_route(text: &str) -> Result<&str, AddressError> {
    let (route, mailbox) = text.split_once(':').ok_or(AddressError::Domain)?;
    let hops_are_domains = route
        .split(',')
        .all(|hop| hop.trim().strip_prefix('@').is_some_and(is_domain));
    if hops_are_domains {
        Ok(mailbox)
    } else {
        Err(AddressError::Domain)
    }
}

/// Where the local part at the front of a text ends: behind the closing quote, or at the first
/// octet that it cannot hold.
fn local_part_end(text: &str) -> usize {
    if !text.starts_with('"') {
        return text.find(['@', '>']).unwrap_or(text.len());
    }
    let mut escaped = false;
    for (at, octet) in text.bytes().enumerate().skip(1) {
        match octet {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn is_local_part(text: &str) -> bool {
    match text.strip_prefix('"') {
        None => !text.is_empty() && text.chars().all(|c| c == '.' || is_atom_character(c)),
        Some(quoted) => quoted.strip_suffix('"').is_some_and(|inner| {
            inner
                .chars()
                .all(|c| matches!(c, ' '..='~') || is_beyond_ascii(c))
        }),
    }
}

fn is_atom_character(c: char) -> bool {
    u8::try_from(c).is_ok_and(is_atext) || is_beyond_ascii(c)
}

/// Whether it is a character beyond ASCII that can be shown on a line.
fn is_beyond_ascii(c: char) -> bool {
    !c.is_ascii() && !c.is_control() && !c.is_whitespace()
}

/// Whether it may stand in a label in the place of a letter. What some take for the dot between labels
/// (RFC 3490 section 3.1) may not: a domain is to be the same one to everybody.
fn is_label_character(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "-_".contains(c)
        || (is_beyond_ascii(c) && !matches!(c, '\u{3002}' | '\u{ff0e}' | '\u{ff61}'))
}

/// Whether it may stand in an atom (RFC 5322 section 3.2.3).
pub(crate) const fn is_atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(
            octet,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'/'
                | b'='
                | b'?'
                | b'^'
                | b'_'
                | b'`'
                | b'{'
                | b'|'
                | b'}'
                | b'~'
        )
}

/// Whether it is a domain name, without trailing dot.
pub(crate) fn is_domain(text: &str) -> bool {
    !text.is_empty()
        && text.split('.').all(|label| {
            (1..=LABEL_MAX).contains(&label.chars().count())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(is_label_character)
        })
}

/// An address of IPv4 or IPv6 in brackets (RFC 5321 section 4.1.3). No other has a tag.
fn is_address_literal(text: &str) -> bool {
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    inner.is_some_and(|inner| match inner.split_once(':') {
        None => inner.parse::<Ipv4Addr>().is_ok(),
        Some((tag, address)) => {
            tag.eq_ignore_ascii_case("IPv6") && address.parse::<Ipv6Addr>().is_ok()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(text: &str) -> Result<String, AddressError> {
        ForwardPath::parse(text).map(|(path, rest)| format!("{path}|{rest}"))
    }

    #[test]
    fn paths_are_read_up_to_their_closing_bracket() {
        for (text, expected) in [
            ("<a@example.com>", "a@example.com|"),
            ("<a@example.com> SIZE=1", "a@example.com| SIZE=1"),
            ("<a@example.com.>", "a@example.com|"),
            ("<a.b+c=d@Example.COM>", "a.b+c=d@Example.COM|"),
            ("<a..b.@example.com>", "a..b.@example.com|"),
            ("<a@under_score.example>", "a@under_score.example|"),
            (
                "<\"a b>\\\"@c\"@example.com>x",
                "\"a b>\\\"@c\"@example.com|x",
            ),
            ("<a@[192.0.2.1]>", "a@[192.0.2.1]|"),
            ("<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]|"),
            ("<a@[ipv6:::ffff:192.0.2.1]>", "a@[ipv6:::ffff:192.0.2.1]|"),
            ("<@a.example,@b.example:c@d.example>", "c@d.example|"),
            ("<Postmaster>", "postmaster|"),
            ("<\u{e4}@\u{f6}.example> x", "\u{e4}@\u{f6}.example| x"),
            ("<\"\u{e4} b\"@example.com>", "\"\u{e4} b\"@example.com|"),
            ("<POSTMASTER@example.com>", "POSTMASTER@example.com|"),
        ] {
            assert_eq!(forward(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_path_is_refused_with_its_reason() {
        for (text, expected) in [
            ("", AddressError::Brackets),
            ("a@example.com", AddressError::Brackets),
            ("<a@example.com", AddressError::Brackets),
            ("<\"a@example.com>", AddressError::Brackets),
            ("<>", AddressError::Domain),
            ("<a>", AddressError::Domain),
            ("<@example.com>", AddressError::Domain),
            ("<a b@example.com>", AddressError::LocalPart),
            ("<\"a\"b@example.com>", AddressError::Domain),
            ("<a@>", AddressError::Domain),
            ("<a@b@c>", AddressError::Domain),
            ("<a@-b.example>", AddressError::Domain),
            ("<a@b..example>", AddressError::Domain),
            ("<a@[]>", AddressError::Domain),
            ("<a@[192.0.2]>", AddressError::Domain),
            ("<a@[192.0.2.256]>", AddressError::Domain),
            ("<a@[2001:db8::1]>", AddressError::Domain),
            ("<a@[IPv6:192.0.2.1]>", AddressError::Domain),
            ("<a@[tag:content]>", AddressError::Domain),
            ("<@b c:a@example.com>", AddressError::Domain),
            ("<a\u{85}@example.com>", AddressError::LocalPart),
            ("<a\u{a0}b@example.com>", AddressError::LocalPart),
            ("<a@b\u{3002}example>", AddressError::Domain),
            ("<a@b\u{2028}.example>", AddressError::Domain),
            ("<a\u{202e}b@example.com>", AddressError::Unseen),
            ("<\"a \u{200b}\"@example.com>", AddressError::Unseen),
            ("<a@b\u{ad}c.example>", AddressError::Unseen),
        ] {
            assert_eq!(forward(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn only_what_is_all_ascii_goes_without_smtputf8() {
        for (text, is_ascii) in [
            ("<a@example.com>", true),
            ("<postmaster>", true),
            ("<\u{e4}@example.com>", false),
            ("<a@\u{e4}.example>", false),
        ] {
            let (path, _) = ForwardPath::parse(text).unwrap();
            assert_eq!(path.is_ascii(), is_ascii, "{text}");
        }
    }

    #[test]
    fn a_postmaster_is_one_in_any_case_and_in_quotes() {
        for (text, is_postmaster) in [
            ("<Postmaster>", true),
            ("<postMaster@example.com>", true),
            ("<\"postmaster\"@example.com>", true),
            ("<postmaster1@example.com>", false),
            ("<\"postmaster \"@example.com>", false),
            ("<postmaster%a@example.com>", false),
        ] {
            let (path, _) = ForwardPath::parse(text).unwrap();
            assert_eq!(path.is_postmaster(), is_postmaster, "{text}");
        }
    }

    #[test]
    fn the_null_path_is_only_a_senders() {
        assert_eq!(
            ReversePath::parse("<> BODY=7BIT"),
            Ok((ReversePath::Null, " BODY=7BIT"))
        );
        assert_eq!(
            ReversePath::parse("<postmaster>"),
            Err(AddressError::Domain)
        );
    }

    #[test]
    fn lengths_are_those_of_section_4_5_3_1() {
        let local = "l".repeat(LOCAL_PART_MAX);
        assert!(forward(&format!("<{local}@example.com>")).is_ok());
        assert_eq!(
            forward(&format!("<{local}l@example.com>")),
            Err(AddressError::TooLong)
        );
        let label = "d".repeat(LABEL_MAX);
        let domain = format!("{label}.{label}.{label}.{}", "d".repeat(60));
        assert_eq!(format!("a@{domain}").len(), MAILBOX_MAX);
        assert!(forward(&format!("<a@{domain}>")).is_ok());
        assert_eq!(
            forward(&format!("<aa@{domain}>")),
            Err(AddressError::TooLong)
        );
    }
}
