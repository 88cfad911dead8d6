//! The message of a drill.
//!
//! What marks it is for people, and for filters at the primary: no node takes, keeps or delivers it otherwise, so that
//! nobody gains by forging it.

use mail_builder::{
    MessageBuilder,
    headers::{address::Address, content_type::ContentType, date::Date, raw::Raw},
    mime::MimePart,
};
use smtp::{Envelope, ForwardPath, Mailbox, ReversePath};
use spool::{MessageId, Timestamp};

/// The field that says of a message that it is one of a drill, and through which host it went.
const MARK: &str = "X-Layover-Drill";

/// What a message of a drill is written of.
#[derive(Debug)]
pub(super) struct Letter<'a> {
    /// Whom it goes to.
    pub(super) canary: &'a Mailbox,
    /// The MX host that it goes through.
    pub(super) exchange: &'a str,
    /// The node that sends it.
    pub(super) hostname: &'a str,
    /// Its own, so that no two are the same to the cluster; not that by which the cluster will know it.
    pub(super) id: MessageId,
    /// When it is sent.
    pub(super) at: Timestamp,
}

impl Letter<'_> {
    /// From nobody, so that no report on it is ever sent (RFC 5321 section 4.5.5).
    pub(super) fn envelope(&self) -> Envelope {
        let mut envelope = Envelope::new(ReversePath::Null);
        let canary = ForwardPath::Mailbox(self.canary.clone());
        envelope.recipients.push(canary.into());
        envelope
    }

    /// Header and body, with CRLF line ends, in ASCII.
    pub(super) fn octets(&self) -> Vec<u8> {
        let Self {
            exchange, hostname, ..
        } = self;
        let words = format!(
            "This is a drill. A node of the backup of your mail server has sent this\r\n\
             message through one of your domain's MX hosts, to see that mail finds its way\r\n\
             to this mailbox. That you have it shows that it does.\r\n\
             \r\n\
             \x20 sent by: {hostname}\r\n\
             \x20 through: {exchange}\r\n\
             \r\n\
             There is nothing to be done, and nobody reads an answer.\r\n"
        );
        let plain = ContentType::new("text/plain").attribute("charset", "us-ascii");
        let date = i64::try_from(self.at.0 / 1000).unwrap_or(i64::MAX);
        let postmaster = format!("postmaster@{hostname}");
        let mut octets = Vec::new();
        MessageBuilder::new()
            .date(Date::new(date))
            .from(Address::new_address(Some("Layover drill"), postmaster))
            .to(Address::new_address(None::<&str>, self.canary.to_string()))
            .subject(format!("Layover drill through {exchange}"))
            .message_id(format!("drill.{}@{hostname}", self.id))
            .header("Auto-Submitted", Raw::new("auto-generated"))
            .header(MARK, Raw::new(format!("through {exchange} by {hostname}")))
            .body(MimePart::new(plain, words.into_bytes()).transfer_encoding("7bit"))
            .serialize(&mut octets);
        octets
    }
}

#[cfg(test)]
mod tests {
    use mail_parser::MessageParser;

    use super::*;

    fn letter(canary: &Mailbox) -> Letter<'_> {
        Letter {
            canary,
            exchange: "mx2.example.net",
            hostname: "mx1.example.net",
            id: MessageId::new(1_700_000_000_000, 7),
            at: Timestamp(1_700_000_000_000),
        }
    }

    #[test]
    fn nobody_is_to_be_told_of_it() {
        let canary = "postmaster@example.com".parse().unwrap();
        let envelope = letter(&canary).envelope();
        assert_eq!(envelope.reverse_path, ReversePath::Null);
        assert_eq!(envelope.recipients, [ForwardPath::Mailbox(canary).into()]);
        assert!(!envelope.smtputf8);
    }

    #[test]
    fn a_foreign_parser_reads_who_sent_it_through_which_host() {
        let canary: Mailbox = "postmaster@example.com".parse().unwrap();
        let letter = letter(&canary);
        let octets = letter.octets();
        assert!(octets.is_ascii());
        let text = String::from_utf8(octets.clone()).unwrap();
        assert!(text.lines().all(|line| line.len() < 78), "{text}");
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
        let read = MessageParser::default().parse(&octets).unwrap();
        let expected = format!("drill.{}@mx1.example.net", letter.id);
        assert_eq!(read.message_id(), Some(expected.as_str()));
        let to = read.to().and_then(|to| to.first()).unwrap();
        assert_eq!(to.address(), Some("postmaster@example.com"));
        assert_eq!(
            read.header_raw(MARK).map(str::trim),
            Some("through mx2.example.net by mx1.example.net")
        );
        assert_eq!(
            read.header_raw("Auto-Submitted").map(str::trim),
            Some("auto-generated")
        );
        let words = read.body_text(0).unwrap();
        assert!(words.starts_with("This is a drill. "), "{words}");
        assert!(words.contains("through: mx2.example.net"), "{words}");
    }
}
