//! Whether a message can be handed to a primary as it is. It is never converted: that would break
//! signatures, and nobody could tell what the sender had sent.

use core::fmt;

use smtp::{BodyType, Extensions};
use spool::ports::OutboxError;
use spool::{KnownOffers, Message, Offers, Outbox, Recipient, Timestamp, Verdict};

use crate::outbound::limits::SHORTFALL_GRACE;

/// What a message needs and its primary does not offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// BINARYMIME, with CHUNKING to send it by (RFC 3030).
    Binary,
    /// SMTPUTF8 (RFC 6531).
    Utf8,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Binary => {
                "5.6.3 not sent: the primary does not offer BINARYMIME and CHUNKING, which the body needs"
            }
            Self::Utf8 => {
                "5.6.7 not sent: the primary does not offer SMTPUTF8, which an address or the header needs"
            }
        })
    }
}

/// What stands in the way of one message to one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fitness {
    /// For every recipient.
    whole: Option<Lack>,
    /// Whether recipients beyond ASCII can be named.
    utf8: bool,
}

impl Fitness {
    /// Compares what a message needs with what a server offers. The header is looked at only where it
    /// decides: a message that was declared to need SMTPUTF8 may do without.
    ///
    /// # Errors
    /// Why the body could not be read.
    pub(super) async fn of(
        outbox: &impl Outbox,
        message: &Message,
        offered: Option<&Extensions>,
    ) -> Result<Self, OutboxError> {
        let offers = |offer: fn(&Extensions) -> bool| offered.is_some_and(offer);
        let utf8 = offers(|it| it.smtputf8);
        let whole = if message.body_type == BodyType::BinaryMime
            && !offers(|it| it.chunking && it.binary_mime)
        {
            Some(Lack::Binary)
        } else if message.smtputf8
            && !utf8
            && !(message.reverse_path.is_ascii() && has_ascii_header(outbox, message).await?)
        {
            Some(Lack::Utf8)
        } else {
            None
        };
        Ok(Self { whole, utf8 })
    }

    /// What stands in the way of one of its recipients.
    pub(super) fn lack_for(self, recipient: &Recipient) -> Option<Lack> {
        let unnameable = !self.utf8 && !recipient.path.is_ascii();
        self.whole.or_else(|| unnameable.then_some(Lack::Utf8))
    }
}

/// Whether header and trace field hold ASCII only. A header that does not end in the first piece of
/// the body counts as one that does not.
async fn has_ascii_header(outbox: &impl Outbox, message: &Message) -> Result<bool, OutboxError> {
    let Some(first) = message.body.pieces.first() else {
        return Ok(message.trace.is_ascii());
    };
    let octets = outbox.piece(message.id, *first).await?;
    let header = if octets.starts_with(b"\r\n") {
        Some(&octets[..0])
    } else {
        let end = octets.windows(4).position(|four| four == b"\r\n\r\n");
        end.and_then(|end| octets.get(..end))
    };
    let whole = header.or_else(|| (message.body.pieces.len() == 1).then_some(&octets[..]));
    Ok(message.trace.is_ascii() && whole.is_some_and(<[u8]>::is_ascii))
}

/// What a lack means for a recipient. A primary that offers less than it did, or knows less than it
/// offers, may be in trouble, or something in front of it: that must not make anything final before it
/// has lasted.
pub(super) fn verdict(
    lack: Lack,
    offered: Option<&Extensions>,
    learned: Option<KnownOffers>,
    now: Timestamp,
) -> Verdict {
    let offers = offered.map(Offers::from);
    let lasted = learned.is_some_and(|learned| {
        Some(learned.offers) == offers && learned.since.after(SHORTFALL_GRACE) <= now
    });
    if lasted {
        Verdict::Rejected(lack.to_string())
    } else {
        Verdict::Deferred(lack.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_is_final_once_it_has_lasted_and_the_primary_says_so_itself() {
        let since = Timestamp(1_000_000);
        let learned = Some(KnownOffers {
            offers: Offers::default(),
            since,
        });
        let offered = Extensions::default();
        let later = since.after(SHORTFALL_GRACE);
        let is_final = |offered, learned, now| {
            let verdict = verdict(Lack::Utf8, offered, learned, now);
            matches!(verdict, Verdict::Rejected(words) if words.starts_with("5.6.7 "))
        };
        assert!(is_final(Some(&offered), learned, later));
        assert!(!is_final(Some(&offered), learned, since));
        assert!(!is_final(Some(&offered), None, later));
        assert!(!is_final(None, learned, later), "it knows HELO only today");
        let more = Extensions {
            chunking: true,
            ..Extensions::default()
        };
        assert!(
            !is_final(Some(&more), learned, later),
            "it offers something else today"
        );
    }
}
