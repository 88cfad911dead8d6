//! The commands that a client sends, written into one buffer.

use core::fmt::Display;
use std::io::Write as _;

use bytes::{BufMut as _, BytesMut};

use crate::{BodyType, Envelope, Extensions, ForwardPath, Recipient, ReversePath};

/// What waits to be carried to the server.
#[derive(Debug, Default)]
pub(super) struct Outgoing(pub(super) BytesMut);

impl Outgoing {
    /// One command line.
    pub(super) fn command(&mut self, line: impl Display) {
        write!((&mut self.0).writer(), "{line}\r\n").expect("a buffer in memory takes every write");
    }

    /// MAIL with the parameters that the server offers (RFC 1870 section 6, RFC 6152).
    ///
    /// An 8-bit body for a server without 8BITMIME goes as it is: converting it would break
    /// signatures, and every server of today passes the octets on.
    pub(super) fn mail(&mut self, envelope: &Envelope, extensions: &Extensions) {
        let size = match (extensions.size, envelope.declared_size) {
            (Some(_), Some(size)) => format!(" SIZE={size}"),
            _ => String::new(),
        };
        let body = match envelope.body_type {
            BodyType::EightBitMime if extensions.eight_bit_mime => " BODY=8BITMIME",
            _ => "",
        };
        self.command(format_args!(
            "MAIL FROM:<{}>{size}{body}",
            envelope.reverse_path
        ));
    }

    /// RCPT.
    pub(super) fn recipient(&mut self, recipient: &Recipient) {
        self.command(format_args!("RCPT TO:<{}>", recipient.path));
    }

    /// Octets as they are.
    pub(super) fn octets(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }
}

/// Whether an envelope can be written into commands. No parser lets a control character into a
/// path, but a line end in one would put commands of the sender's choice on our connection.
pub(super) fn is_speakable(envelope: &Envelope) -> bool {
    let clean = |text: &str| !text.bytes().any(|octet| octet.is_ascii_control());
    let reverse = match &envelope.reverse_path {
        ReversePath::Null => true,
        ReversePath::Mailbox(mailbox) => clean(&mailbox.local_part) && clean(&mailbox.domain),
    };
    reverse
        && envelope
            .recipients
            .iter()
            .all(|recipient| match &recipient.path {
                ForwardPath::Postmaster => true,
                ForwardPath::Mailbox(mailbox) => {
                    clean(&mailbox.local_part) && clean(&mailbox.domain)
                }
            })
}
