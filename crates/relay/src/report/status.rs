//! The part of a report for programs (RFC 3464).

use core::fmt::{Display, Write as _};
use std::net::IpAddr;

use spool::{Recipient, Status, notice::Kind};

use super::{
    Notice, date,
    text::{Form, plain},
};

/// The fields of the message, and behind an empty line each those of a recipient.
pub(super) fn of(notice: &Notice<'_>, form: Form) -> String {
    let message = notice.message;
    let mut fields = Fields {
        text: String::new(),
        form,
    };
    fields.add("Reporting-MTA", format_args!("dns; {}", notice.hostname));
    if let Some(envid) = &message.dsn.envid {
        fields.add("Original-Envelope-Id", envid.decoded());
    }
    fields.add("Arrival-Date", date(message.received_at).to_rfc822());
    for recipient in notice.recipients() {
        fields.text.push_str("\r\n");
        fields.add_recipient(notice, recipient);
    }
    fields.text
}

struct Fields {
    text: String,
    form: Form,
}

impl Fields {
    fn add(&mut self, name: &str, value: impl Display) {
        let value = plain(&value.to_string(), self.form);
        let _ = write!(self.text, "{name}: {value}\r\n");
    }

    fn add_recipient(&mut self, notice: &Notice<'_>, recipient: &Recipient) {
        if let Some(orcpt) = &recipient.dsn.orcpt {
            let (kind, address) = orcpt.decoded();
            self.add("Original-Recipient", format_args!("{kind}; {address}"));
        }
        let kind = if recipient.path.is_ascii() {
            "rfc822"
        } else {
            "utf-8"
        };
        self.add(
            "Final-Recipient",
            format_args!("{kind}; {}", recipient.path),
        );
        self.add(
            "Action",
            match notice.kind {
                Kind::Failed => "failed",
                Kind::Delayed => "delayed",
                Kind::Relayed => "relayed",
            },
        );
        let said = said_of(recipient);
        self.add("Status", code(notice.kind, said));
        if is_reply(said) {
            if let Some(host) = host_of(recipient) {
                self.add("Remote-MTA", format_args!("dns; {}", mta_name(host)));
            }
            self.add("Diagnostic-Code", format_args!("smtp; {said}"));
        } else if !said.is_empty() {
            self.add("Diagnostic-Code", format_args!("X-Layover; {said}"));
        }
        if let Some(at) = notice.message.attempted_at {
            self.add("Last-Attempt-Date", date(at).to_rfc822());
        }
        if notice.kind == Kind::Delayed {
            self.add("Will-Retry-Until", date(notice.tried_until).to_rfc822());
        }
    }
}

/// What the primary said of him, or what went wrong before it could speak; empty when he was never tried.
pub(super) fn said_of(recipient: &Recipient) -> &str {
    match &recipient.status {
        Status::Pending => "",
        Status::Deferred { reason, .. } => reason,
        Status::Delivered { reply, .. }
        | Status::Rejected { reply, .. }
        | Status::Returned { reply, .. } => reply,
    }
}

/// The host that was last asked to take it for him, without its port.
pub(super) fn host_of(recipient: &Recipient) -> Option<&str> {
    let host = recipient.host.as_str();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    (!name.is_empty()).then_some(name)
}

/// A host by its name, or by its address as in a mailbox (RFC 3464 section 2.1.2, RFC 5321 section 4.1.3).
fn mta_name(host: &str) -> String {
    match host.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(address)) => format!("[{address}]"),
        Ok(IpAddr::V6(address)) => format!("[IPv6:{address}]"),
        Err(_) => host.to_owned(),
    }
}

/// Whether words are a server's reply: it begins with a code of three digits.
pub(super) fn is_reply(said: &str) -> bool {
    let code = said.split(' ').next().unwrap_or_default();
    code.len() == 3 && code.bytes().all(|octet| octet.is_ascii_digit())
}

/// The enhanced code that was said, where it is of the kind; else the general one of that kind.
fn code(kind: Kind, said: &str) -> &str {
    let (class, general, unreached) = match kind {
        Kind::Failed => ("5.", "5.0.0", "5.0.0"),
        Kind::Delayed => ("4.", "4.0.0", "4.4.0"),
        Kind::Relayed => ("2.", "2.0.0", "2.0.0"),
    };
    let mut words = said.split(' ').take(2);
    match words.find(|word| word.starts_with(class) && is_enhanced(word)) {
        Some(code) => code,
        None if is_reply(said) => general,
        None => unreached,
    }
}

/// RFC 3463 section 2: one digit, and twice up to three.
fn is_enhanced(word: &str) -> bool {
    let is_number = |part: &str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_digit())
    };
    word.split('.').count() == 3 && word.split('.').all(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_that_was_said_counts_if_it_is_of_the_kind() {
        for (kind, said, expected) in [
            (Kind::Failed, "550 5.1.1 no such user", "5.1.1"),
            (Kind::Failed, "550 no such user", "5.0.0"),
            (Kind::Failed, "550 5.1.1.1 odd", "5.0.0"),
            (Kind::Failed, "550 5.1.1234 odd", "5.0.0"),
            (Kind::Failed, "5.4.7 too old: 450 4.2.1 later", "5.4.7"),
            (Kind::Failed, "450 4.2.1 later", "5.0.0"),
            (Kind::Delayed, "450 4.2.1 later", "4.2.1"),
            (Kind::Delayed, "450 later", "4.0.0"),
            (
                Kind::Delayed,
                "mail.example.com:25: connection lost",
                "4.4.0",
            ),
            (Kind::Delayed, "", "4.4.0"),
            (Kind::Relayed, "250 2.6.0 queued", "2.6.0"),
            (Kind::Relayed, "250 OK", "2.0.0"),
        ] {
            assert_eq!(code(kind, said), expected, "{said}");
        }
    }
}
