//! The `Received` field that goes in front of a message (RFC 5321 section 4.4), in the form that
//! spam filters and Exchange read.

use core::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use jiff::{fmt::rfc2822, tz::TimeZone};
use smtp::{
    Recipient,
    server::{Helo, TRACE_COMMENT},
};
use spool::{MessageId, Timestamp};

/// What stands for a name that there is not.
const UNKNOWN: &str = "unknown";

/// The octets of a name at most (RFC 1035 section 2.3.4).
const NAME_MAX: usize = 253;

/// What is said about a message's arrival.
#[derive(Debug)]
pub(super) struct Received<'a> {
    pub(super) helo: Option<&'a Helo>,
    pub(super) peer: SocketAddr,
    /// What the DNS calls the client, and that name leads back to it. Its owner may have written anything there.
    pub(super) name: Option<&'a str>,
    pub(super) hostname: &'a str,
    pub(super) id: MessageId,
    /// Version and cipher suite, parted by a space.
    pub(super) tls: Option<&'a str>,
    pub(super) smtputf8: bool,
    pub(super) recipients: &'a [Recipient],
    pub(super) at: Timestamp,
}

impl Received<'_> {
    /// The whole field with its final CRLF.
    pub(super) fn field(&self) -> Bytes {
        let mut field = String::with_capacity(300);
        let (helo, peer) = (self.helo_name(), literal(self.peer.ip()));
        let name = self.name.filter(|name| is_host_name(name));
        let name = name.unwrap_or(UNKNOWN);
        let with = self.protocol();
        let _ = write!(
            field,
            "Received: from {helo} ({name} {peer})\r\n\tby {}",
            self.hostname
        );
        let _ = write!(field, " {TRACE_COMMENT} with {with} id {}", self.id);
        if let Some((version, suite)) = self.tls.and_then(|tls| tls.split_once(' ')) {
            let _ = write!(field, "\r\n\t(using {version} with cipher {suite})");
        }
        // Where there are several, naming them would tell each who the others are.
        if let [recipient] = self.recipients {
            let _ = write!(field, "\r\n\tfor <{}>", recipient.path);
        }
        let _ = write!(field, "; {}\r\n", date(self.at));
        field.into()
    }

    /// RFC 3848, and RFC 6531 section 3.7.3.
    fn protocol(&self) -> &'static str {
        let extended = self.helo.is_some_and(|helo| helo.extended);
        match (self.smtputf8, self.tls.is_some()) {
            (true, true) => "UTF8SMTPS",
            (true, false) => "UTF8SMTP",
            (false, true) => "ESMTPS",
            (false, false) if extended => "ESMTP",
            (false, false) => "SMTP",
        }
    }

    /// The client's own word, with nothing in it that has a meaning in a header field.
    fn helo_name(&self) -> String {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || ".-_:[]".contains(c) {
                c
            } else {
                '?'
            }
        };
        match self.helo {
            Some(helo) => helo.name.chars().map(plain).collect(),
            None => UNKNOWN.to_owned(),
        }
    }
}

/// Whether a name from the DNS is that of a host, and not an address or anything else that a reader of the field
/// could take for something that we say. An underscore is not rare.
fn is_host_name(name: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_".contains(&octet);
    let label = |label: &str| !label.is_empty() && label.bytes().all(plain);
    name.len() <= NAME_MAX
        && name.split('.').all(label)
        && name.bytes().any(|octet| octet.is_ascii_alphabetic())
}

/// RFC 5321 section 4.1.3.
fn literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

/// RFC 5322 section 3.3.
fn date(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(at.0).unwrap_or(i64::MAX));
    let at = at
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_zoned_datetime(TimeZone::UTC);
    rfc2822::to_string(&at).expect("years from 1970 on have four digits")
}

#[cfg(test)]
mod tests {
    use mail_parser::MessageParser;
    use smtp::ForwardPath;

    use super::*;

    fn received<'a>(helo: &'a Helo, recipients: &'a [Recipient]) -> Received<'a> {
        Received {
            helo: Some(helo),
            peer: "192.0.2.1:4711".parse().unwrap(),
            name: None,
            hostname: "mx.example.net",
            id: MessageId(0),
            tls: None,
            smtputf8: false,
            recipients,
            at: Timestamp(1_700_000_000_000),
        }
    }

    #[test]
    fn a_field_names_client_server_id_recipient_and_date() {
        let helo = Helo {
            name: "client.example".into(),
            extended: true,
        };
        let recipients = [Recipient::from(ForwardPath::Postmaster)];
        let field = received(&helo, &recipients).field();
        let expected = "Received: from client.example (unknown [192.0.2.1])\r\n\
            \tby mx.example.net (Layover) with ESMTP id 00000000000000000000000000\r\n\
            \tfor <postmaster>; Tue, 14 Nov 2023 22:13:20 +0000\r\n";
        assert_eq!(field, expected);
    }

    #[test]
    fn several_recipients_are_not_named_and_tls_is() {
        let helo = Helo {
            name: "evil (\u{0}) \r\n name".into(),
            extended: true,
        };
        let recipients = [ForwardPath::Postmaster, ForwardPath::Postmaster].map(Recipient::from);
        let mut received = received(&helo, &recipients);
        received.tls = Some("TLSv1.3 TLS13_AES_256_GCM_SHA384");
        received.peer = "[2001:db8::1]:4711".parse().unwrap();
        let expected = "Received: from evil????????name (unknown [IPv6:2001:db8::1])\r\n\
            \tby mx.example.net (Layover) with ESMTPS id 00000000000000000000000000\r\n\
            \t(using TLSv1.3 with cipher TLS13_AES_256_GCM_SHA384); Tue, 14 Nov 2023 22:13:20 +0000\r\n";
        assert_eq!(received.field(), expected);
    }

    #[test]
    fn a_name_of_the_client_stands_before_its_address() {
        let helo = Helo {
            name: "a".into(),
            extended: true,
        };
        let longest = format!("{}.example", "long-label.".repeat(22) + "abc");
        assert_eq!(longest.len(), NAME_MAX);
        for name in ["mail.sender.example", "_a.xn--9ca.example", &longest] {
            let received = Received {
                name: Some(name),
                ..received(&helo, &[])
            };
            let field = String::from_utf8(received.field().to_vec()).unwrap();
            let expected = format!("Received: from a ({name} [192.0.2.1])\r\n\tby ");
            assert!(field.starts_with(&expected), "{field}");
        }
    }

    #[test]
    fn a_name_that_is_none_of_a_host_is_not_repeated() {
        let helo = Helo {
            name: "a".into(),
            extended: true,
        };
        let too_long = "long-label.".repeat(23) + "a";
        assert_eq!(too_long.len(), NAME_MAX + 1);
        for name in [
            "",
            ".",
            "a..example",
            "a.example.",
            "a b.example",
            "a\\032b.example",
            "a.example)",
            "a.example (b",
            "a.example [198.51.100.1]) (b",
            "a.example\r\n\tby mx.example.net",
            "a.example\tb",
            "a.example;",
            "a\0.example",
            "<a@b.example>",
            "\"a\".example",
            "\u{e4}.example",
            "198.51.100.1",
            "7",
            &too_long,
        ] {
            let received = Received {
                name: Some(name),
                ..received(&helo, &[])
            };
            let field = String::from_utf8(received.field().to_vec()).unwrap();
            let expected =
                "Received: from a (unknown [192.0.2.1])\r\n\tby mx.example.net (Layover) ";
            assert!(field.starts_with(expected), "{field}");
        }
    }

    #[test]
    fn a_foreign_parser_finds_in_it_what_a_filter_goes_by() {
        let helo = Helo {
            name: "helo.example".into(),
            extended: true,
        };
        for peer in ["192.0.2.1:25", "[2001:db8::1]:25"] {
            let peer: SocketAddr = peer.parse().unwrap();
            for name in [None, Some("mail.sender.example")] {
                let received = Received {
                    peer,
                    name,
                    tls: Some("TLSv1.3 TLS13_AES_256_GCM_SHA384"),
                    ..received(&helo, &[])
                };
                let header = [&received.field()[..], b"\r\n"].concat();
                let message = MessageParser::default().parse(&header).unwrap();
                let read = message.received().unwrap();
                let host = |name: &'static str| Some(mail_parser::Host::Name(name.into()));
                assert_eq!(read.from, host("helo.example"));
                assert_eq!(read.from_ip, Some(peer.ip()));
                assert_eq!(read.from_iprev.as_deref(), name);
                assert_eq!(read.by, host("mx.example.net"));
                assert_eq!(read.with, Some(mail_parser::Protocol::ESMTPS));
                assert_eq!(read.tls_version, Some(mail_parser::TlsVersion::TLSv1_3));
                assert_eq!(read.id.as_deref(), Some("00000000000000000000000000"));
            }
        }
    }

    #[test]
    fn a_client_without_ehlo_spoke_smtp() {
        let helo = Helo {
            name: "a".into(),
            extended: false,
        };
        let mut received = received(&helo, &[]);
        received.peer = "[::ffff:192.0.2.7]:1".parse().unwrap();
        let field = String::from_utf8(received.field().to_vec()).unwrap();
        assert!(field.contains("(unknown [192.0.2.7])") && field.contains(" with SMTP id "));
    }

    #[test]
    fn a_message_that_may_hold_utf8_is_said_to_have_come_so() {
        let helo = Helo {
            name: "a".into(),
            extended: true,
        };
        let mailbox = "\u{e4}@example.com".parse().unwrap();
        let recipients = [Recipient::from(ForwardPath::Mailbox(mailbox))];
        let mut received = received(&helo, &recipients);
        received.smtputf8 = true;
        let field = String::from_utf8(received.field().to_vec()).unwrap();
        assert!(field.contains(" with UTF8SMTP id "), "{field}");
        assert!(field.contains("for <\u{e4}@example.com>; "), "{field}");
        received.tls = Some("TLSv1.3 TLS13_AES_256_GCM_SHA384");
        let field = String::from_utf8(received.field().to_vec()).unwrap();
        assert!(field.contains(" with UTF8SMTPS id "), "{field}");
    }

    #[test]
    fn any_moment_has_a_date() {
        assert!(!date(Timestamp(u64::MAX)).is_empty());
    }
}
