//! The message that tells a sender what became of his: a multipart/report (RFC 6522) of words for people, a
//! delivery status for programs (RFC 3464), and what there is of the message itself.
//!
//! ```text
//!   Notice ─▶ compose ─┬─ words      text/plain
//!                      ├─ status     message/delivery-status, or global-delivery-status (RFC 6533)
//!                      └─ original   text/rfc822-headers, message/rfc822, or their global kin
//! ```
//!
//! Everything here is made of what strangers have said: addresses, replies, header fields. `text` is the only way
//! into a line of the report, and nothing grows with what they say.

pub(crate) mod limits;
mod original;
mod status;
#[cfg(test)]
mod tests;
mod text;
mod words;

use std::borrow::Cow;

use mail_builder::{
    MessageBuilder,
    headers::{address::Address, content_type::ContentType, date::Date, raw::Raw},
    mime::{BodyPart, MimePart},
};
use smtp::{BodyType, ReversePath};
use spool::{Message, MessageId, Recipient, Timestamp, notice::Kind};

use original::Original;
use text::{Form, plain};

/// What a report is written of.
#[derive(Debug)]
pub(crate) struct Notice<'a> {
    /// The message that it is about.
    pub(crate) message: &'a Message,
    /// What it says of some of its recipients.
    pub(crate) kind: Kind,
    /// These: indices into `message.recipients`.
    pub(crate) recipients: &'a [u32],
    /// The first piece of the message's body; `None` when it could not be read.
    pub(crate) head: Option<&'a [u8]>,
    /// The node that writes it.
    pub(crate) hostname: &'a str,
    /// Whom to write to; `None` for that node's postmaster.
    pub(crate) postmaster: Option<&'a str>,
    /// Until when a message that is late is tried at least.
    pub(crate) tried_until: Timestamp,
    /// The report's own id.
    pub(crate) id: MessageId,
    /// When it is written.
    pub(crate) at: Timestamp,
}

/// A report as it goes into the spool.
#[derive(Debug)]
pub(crate) struct Composed {
    /// Header and body, with CRLF line ends and no line above 998 octets.
    pub(crate) octets: Vec<u8>,
    pub(crate) body_type: BodyType,
    /// Whether an address of its header is beyond ASCII.
    pub(crate) smtputf8: bool,
}

impl Notice<'_> {
    /// The recipients that it is about.
    fn recipients(&self) -> impl Iterator<Item = &Recipient> {
        let recipients = self.recipients.iter();
        recipients.filter_map(|index| self.message.recipients.get(*index as usize))
    }

    /// Whom to write to.
    fn postmaster(&self) -> Cow<'_, str> {
        match self.postmaster {
            Some(postmaster) => postmaster.into(),
            None => format!("postmaster@{}", self.hostname).into(),
        }
    }

    /// RFC 6533: what is beyond ASCII is told as it is only to a sender who showed that he reads it.
    fn form(&self) -> Form {
        let is_ascii = |recipient: &Recipient| {
            let orcpt = recipient.dsn.orcpt.as_ref();
            recipient.path.is_ascii() && orcpt.is_none_or(smtp::dsn::OriginalRecipient::is_ascii)
        };
        let is_ascii = self.message.reverse_path.is_ascii() && self.recipients().all(is_ascii);
        if self.message.smtputf8 && !is_ascii {
            Form::Utf8
        } else {
            Form::Ascii
        }
    }
}

/// Writes a report.
pub(crate) fn compose(notice: &Notice<'_>) -> Composed {
    let form = notice.form();
    let to = match &notice.message.reverse_path {
        ReversePath::Null => String::new(),
        ReversePath::Mailbox(mailbox) => plain(&mailbox.to_string(), Form::Utf8),
    };
    let from = plain(&notice.postmaster(), Form::Utf8);
    let smtputf8 = !(to.is_ascii() && from.is_ascii());
    let original = Original::of(notice, form);
    let status_type = match form {
        Form::Ascii => "message/delivery-status",
        Form::Utf8 => "message/global-delivery-status",
    };
    let words = words::of(notice, form).into_bytes();
    let mut parts = vec![
        part(
            ContentType::new("text/plain").attribute("charset", form.charset()),
            words,
        ),
        part(
            ContentType::new(status_type),
            status::of(notice, form).into_bytes(),
        ),
    ];
    let quoted = original.quoted;
    parts.extend(quoted.map(|quoted| part(ContentType::new(quoted.content_type), quoted.octets)));
    let is_eight_bit = parts.iter().any(is_eight_bit);
    let content_type =
        ContentType::new("multipart/report").attribute("report-type", "delivery-status");
    let body = MimePart::new(content_type, parts).transfer_encoding(encoding(is_eight_bit));
    let mut builder = MessageBuilder::new()
        .date(date(notice.at))
        .from(Address::new_address(Some("Mail delivery system"), from))
        .to(Address::new_address(None::<&str>, to))
        .subject(words::subject(notice.kind))
        .message_id(format!("{}@{}", notice.id, notice.hostname))
        .header("Auto-Submitted", Raw::new("auto-replied"));
    if let Some(id) = original.message_id {
        builder = builder.in_reply_to(id.clone()).references(id);
    }
    let mut octets = Vec::new();
    builder.body(body).serialize(&mut octets);
    let body_type = if is_eight_bit {
        BodyType::EightBitMime
    } else {
        BodyType::SevenBit
    };
    Composed {
        octets,
        body_type,
        smtputf8,
    }
}

/// A part whose octets go as they are: they are lines that any mail may have.
fn part(content_type: ContentType<'_>, octets: Vec<u8>) -> MimePart<'_> {
    let is_eight_bit = !octets.is_ascii();
    MimePart::new(content_type, octets).transfer_encoding(encoding(is_eight_bit))
}

fn is_eight_bit(part: &MimePart<'_>) -> bool {
    match &part.contents {
        BodyPart::Binary(octets) => !octets.is_ascii(),
        BodyPart::Text(text) => !text.is_ascii(),
        BodyPart::Multipart(parts) => parts.iter().any(is_eight_bit),
    }
}

const fn encoding(is_eight_bit: bool) -> &'static str {
    if is_eight_bit { "8bit" } else { "7bit" }
}

/// A moment as header fields tell it.
fn date(at: Timestamp) -> Date {
    Date::new(i64::try_from(at.0 / 1000).unwrap_or(i64::MAX))
}
