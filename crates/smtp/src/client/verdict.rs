//! What a reply means for a recipient.

use crate::Reply;

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server has taken the message for him.
    Delivered(Reply),
    /// Not now.
    Deferred(Reply),
    /// Never.
    Rejected(Reply),
}

/// The command that a decisive reply answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// MAIL, DATA, or the body on its way.
    Transaction,
    /// RCPT.
    Recipient,
    /// A chunk that is not the last.
    Chunk,
    /// The final dot.
    FinalDot,
    /// The last chunk.
    LastChunk,
}

/// Octets of text that are kept of a reply. A thousand recipients may each have one.
const WORDS_MAX: usize = 1024;

impl Verdict {
    /// Decides from the reply that ended a recipient's part in a transaction. Whatever is not
    /// plainly permanent is transient.
    pub(super) fn of(answered: Answered, reply: Reply) -> Self {
        let reply = shortened(reply);
        match (answered, reply.code) {
            (Answered::FinalDot | Answered::LastChunk, 200..=299) => Self::Delivered(reply),
            // A server that offers CHUNKING and does not know BDAT, or something in front of it,
            // speaks of the command and not of the message.
            (Answered::Chunk | Answered::LastChunk, 500..=504) => Self::Deferred(reply),
            // "Too many recipients" is 452, yet old servers say 552 (RFC 5321 section 4.5.3.1.10).
            (Answered::Recipient, 552) => Self::Deferred(reply),
            // "Must issue STARTTLS first" (RFC 3207 section 4) and "authentication required"
            // (RFC 4954 section 6) judge how we came and not what we brought.
            (_, 530) => Self::Deferred(reply),
            (_, 500..=599) => Self::Rejected(reply),
            _ => Self::Deferred(reply),
        }
    }

    /// The server's words.
    #[must_use]
    pub const fn reply(&self) -> &Reply {
        match self {
            Self::Delivered(reply) | Self::Deferred(reply) | Self::Rejected(reply) => reply,
        }
    }
}

/// The reply with no more text than is worth keeping.
fn shortened(mut reply: Reply) -> Reply {
    let mut left = WORDS_MAX;
    reply.lines.retain_mut(|line| {
        let keep = line.floor_char_boundary(left.min(line.len()));
        line.truncate(keep);
        let kept = left > 0;
        left = left.saturating_sub(keep + 1);
        kept
    });
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(answered: Answered, code: u16) -> Verdict {
        Verdict::of(
            answered,
            Reply {
                code,
                enhanced: None,
                lines: vec![String::new()],
            },
        )
    }

    #[test]
    fn only_a_positive_reply_to_the_final_dot_delivers() {
        assert!(matches!(
            decide(Answered::FinalDot, 250),
            Verdict::Delivered(_)
        ));
        assert!(matches!(
            decide(Answered::Transaction, 250),
            Verdict::Deferred(_)
        ));
        assert!(matches!(
            decide(Answered::FinalDot, 354),
            Verdict::Deferred(_)
        ));
    }

    #[test]
    fn a_server_that_does_not_know_bdat_rejects_nothing() {
        for answered in [Answered::Chunk, Answered::LastChunk] {
            assert!(matches!(decide(answered, 502), Verdict::Deferred(_)));
            assert!(matches!(decide(answered, 552), Verdict::Rejected(_)));
        }
        let chunk = decide(Answered::Chunk, 250);
        assert!(matches!(chunk, Verdict::Deferred(_)));
        let last = decide(Answered::LastChunk, 250);
        assert!(matches!(last, Verdict::Delivered(_)));
        assert!(matches!(
            decide(Answered::FinalDot, 502),
            Verdict::Rejected(_)
        ));
    }

    #[test]
    fn four_is_transient_and_five_is_permanent() {
        for answered in [
            Answered::Transaction,
            Answered::Recipient,
            Answered::FinalDot,
        ] {
            assert!(matches!(decide(answered, 421), Verdict::Deferred(_)));
            assert!(matches!(decide(answered, 452), Verdict::Deferred(_)));
            assert!(matches!(decide(answered, 550), Verdict::Rejected(_)));
            assert!(matches!(decide(answered, 530), Verdict::Deferred(_)));
        }
    }

    #[test]
    fn too_many_recipients_is_transient_also_as_552() {
        assert!(matches!(
            decide(Answered::Recipient, 552),
            Verdict::Deferred(_)
        ));
        assert!(matches!(
            decide(Answered::FinalDot, 552),
            Verdict::Rejected(_)
        ));
    }

    #[test]
    fn long_texts_are_cut() {
        let lines = vec!["é".repeat(400), "b".repeat(400), "c".repeat(400)];
        let verdict = Verdict::of(
            Answered::FinalDot,
            Reply {
                code: 250,
                enhanced: None,
                lines,
            },
        );
        assert_eq!(
            verdict
                .reply()
                .lines
                .iter()
                .map(String::len)
                .collect::<Vec<_>>(),
            [800, 223]
        );
    }
}
