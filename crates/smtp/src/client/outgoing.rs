//! The commands that a client sends, written into one buffer.

use core::fmt::Display;
use std::io::Write as _;

use bytes::{BufMut as _, BytesMut};

use crate::{
    BodyType, EnhancedCode, Envelope, Extensions, ForwardPath, Mailbox, Recipient, Reply,
    ReversePath,
};

/// What waits to be carried to the server.
#[derive(Debug, Default)]
pub(super) struct Outgoing(pub(super) BytesMut);

impl Outgoing {
    /// One command line.
    pub(super) fn command(&mut self, line: impl Display) {
        write!((&mut self.0).writer(), "{line}\r\n").expect("a buffer in memory takes every write");
    }

    /// MAIL with the parameters that the server offers (RFC 1870 section 6, RFC 3030, RFC 3461 section
    /// 5.2.1, RFC 6152, RFC 6531).
    ///
    /// An 8-bit body for a server without 8BITMIME goes as it is: converting it would break
    /// signatures, and every server of today passes the octets on.
    pub(super) fn mail(&mut self, envelope: &Envelope, extensions: &Extensions) {
        let mut line = format!("MAIL FROM:<{}>", envelope.reverse_path);
        if let (Some(_), Some(size)) = (extensions.size, envelope.declared_size) {
            line.push_str(&format!(" SIZE={size}"));
        }
        match envelope.body_type {
            BodyType::BinaryMime => line.push_str(" BODY=BINARYMIME"),
            BodyType::EightBitMime if extensions.eight_bit_mime => line.push_str(" BODY=8BITMIME"),
            BodyType::EightBitMime | BodyType::SevenBit => {}
        }
        if envelope.smtputf8 && extensions.smtputf8 {
            line.push_str(" SMTPUTF8");
        }
        if extensions.dsn {
            if let Some(ret) = envelope.dsn.ret {
                line.push_str(&format!(" RET={ret}"));
            }
            if let Some(envid) = &envelope.dsn.envid {
                line.push_str(&format!(" ENVID={envid}"));
            }
        }
        self.command(line);
    }

    /// RCPT with what was said about reports on him, to a server that offers DSN (RFC 3461 section
    /// 5.2.1). An original address beyond ASCII is left out where SMTPUTF8 is not offered.
    pub(super) fn recipient(&mut self, recipient: &Recipient, extensions: &Extensions) {
        let mut line = format!("RCPT TO:<{}>", recipient.path);
        if extensions.dsn {
            if let Some(notify) = recipient.dsn.notify {
                line.push_str(&format!(" NOTIFY={notify}"));
            }
            let orcpt = recipient.dsn.orcpt.as_ref();
            if let Some(orcpt) = orcpt.filter(|it| it.is_ascii() || extensions.smtputf8) {
                line.push_str(&format!(" ORCPT={orcpt}"));
            }
        }
        self.command(line);
    }

    /// Octets as they are.
    pub(super) fn octets(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }
}

/// Why an envelope can not be written into commands for this server. Whoever drives the session looks
/// before whether it ever can; here nothing is sent that the server would read as something else.
pub(super) fn objection(envelope: &Envelope, extensions: &Extensions) -> Option<Reply> {
    let (detail, words) = if !is_clean(envelope) {
        // No parser lets a control character into a path, but a line end in one would put commands
        // of the sender's choice on our connection.
        (
            (1, 3),
            "an address of the envelope holds a control character",
        )
    } else if !extensions.smtputf8 && !is_ascii(envelope) {
        (
            (6, 7),
            "an address of the envelope needs SMTPUTF8, which the server does not offer",
        )
    } else if envelope.body_type == BodyType::BinaryMime
        && !(extensions.chunking && extensions.binary_mime)
    {
        (
            (6, 3),
            "the body needs BINARYMIME and CHUNKING, which the server does not offer",
        )
    } else {
        return None;
    };
    let code = EnhancedCode::new(4, detail.0, detail.1);
    Some(Reply::new(451, code, format!("{words}: not sent")))
}

fn is_clean(envelope: &Envelope) -> bool {
    let clean = |text: &str| !text.bytes().any(|octet| octet.is_ascii_control());
    let sound = |mailbox: &Mailbox| clean(&mailbox.local_part) && clean(&mailbox.domain);
    let reverse = match &envelope.reverse_path {
        ReversePath::Null => true,
        ReversePath::Mailbox(mailbox) => sound(mailbox),
    };
    let forward = |recipient: &Recipient| match &recipient.path {
        ForwardPath::Postmaster => true,
        ForwardPath::Mailbox(mailbox) => sound(mailbox),
    };
    reverse && envelope.recipients.iter().all(forward)
}

fn is_ascii(envelope: &Envelope) -> bool {
    let mut recipients = envelope.recipients.iter();
    envelope.reverse_path.is_ascii() && recipients.all(|recipient| recipient.path.is_ascii())
}
