//! What a reply means for a recipient.

use crate::{EnhancedCode, Reply};

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server has taken the message for him.
    Delivered(Reply),
    /// Not now.
    Deferred(Reply),
    /// Never.
    Rejected(Reply),
    /// Never, the server says at RCPT: to him, or to us, but not to the message.
    Refused(Reply),
    /// Never: there is no such recipient, the server says at RCPT.
    Unknown(Reply),
}

/// What a server says of a recipient when it is only asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// It would take mail for him; or any, where that was asked.
    Taken(Reply),
    /// There is no such recipient.
    Unknown(Reply),
    /// It refuses for a reason that need not be he: our address, our name, the null sender.
    Unproven(Reply),
    /// It does not tell now.
    Later(Reply),
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
            (Answered::Recipient, 500..=599) if names_unknown_recipient(&reply) => {
                Self::Unknown(reply)
            }
            (Answered::Recipient, 500..=599) => Self::Refused(reply),
            (_, 500..=599) => Self::Rejected(reply),
            _ => Self::Deferred(reply),
        }
    }

    /// Whether the server takes no further recipient in the same transaction, and says so as RFC 5321
    /// section 4.5.3.1.10 wants, or as old servers do.
    #[must_use]
    pub fn is_for_the_number_of_recipients(&self) -> bool {
        let Self::Deferred(reply) = self else {
            return false;
        };
        let is_about_number = |code: EnhancedCode| (code.subject, code.detail) == (5, 3);
        matches!(reply.code, 452 | 552) && reply.enhanced.is_none_or(is_about_number)
    }

    /// Decides from the reply by which the server wants nothing of the client that a message came from.
    #[must_use]
    pub fn of_client(reply: Reply) -> Self {
        Self::of(Answered::Transaction, reply)
    }

    /// The server's words.
    #[must_use]
    pub const fn reply(&self) -> &Reply {
        match self {
            Self::Delivered(reply)
            | Self::Deferred(reply)
            | Self::Rejected(reply)
            | Self::Refused(reply)
            | Self::Unknown(reply) => reply,
        }
    }
}

impl Opinion {
    /// Decides from the reply to the null sender's MAIL, when that is not positive. It says nothing of
    /// the recipient.
    pub(super) fn of_sender(reply: Reply) -> Self {
        let reply = shortened(reply);
        if reply.is_permanent() {
            Self::Unproven(reply)
        } else {
            Self::Later(reply)
        }
    }

    /// Decides from the reply to RCPT. A 550 without an enhanced code may be about him, or about our
    /// address, as Exim's are.
    pub(super) fn of_recipient(reply: Reply) -> Self {
        let reply = shortened(reply);
        match reply.code {
            200..=299 => Self::Taken(reply),
            500..=599 if names_unknown_recipient(&reply) => Self::Unknown(reply),
            500..=599 => Self::Unproven(reply),
            _ => Self::Later(reply),
        }
    }

    /// The server's words.
    #[must_use]
    pub const fn reply(&self) -> &Reply {
        match self {
            Self::Taken(reply)
            | Self::Unknown(reply)
            | Self::Unproven(reply)
            | Self::Later(reply) => reply,
        }
    }
}

/// Whether a refusal at RCPT is about the recipient's address: X.1.1 no such mailbox, X.1.2 no such
/// system, X.1.3 not an address, X.1.6 moved away, X.1.10 takes no mail (RFC 3463 section 3.2, RFC 7505).
/// The other codes of that subject are about the sender, or, as X.1.0, may be.
fn names_unknown_recipient(reply: &Reply) -> bool {
    reply.enhanced.is_some_and(|code| {
        code.class == 5 && code.subject == 1 && matches!(code.detail, 1 | 2 | 3 | 6 | 10)
    })
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
            assert!(matches!(
                decide(answered, 550),
                Verdict::Rejected(_) | Verdict::Refused(_)
            ));
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
    fn who_is_one_too_many_is_told_from_who_is_put_off() {
        let deferred = |code, detail: Option<(u16, u16)>| {
            let enhanced = detail.map(|(subject, detail)| EnhancedCode::new(4, subject, detail));
            let lines = vec![String::new()];
            let reply = Reply {
                code,
                enhanced,
                lines,
            };
            Verdict::of(Answered::Recipient, reply).is_for_the_number_of_recipients()
        };
        assert!(deferred(452, None) && deferred(552, None) && deferred(452, Some((5, 3))));
        assert!(!deferred(452, Some((2, 2))) && !deferred(450, Some((5, 3))));
        assert!(!decide(Answered::FinalDot, 552).is_for_the_number_of_recipients());
    }

    fn refusal(code: u16, detail: Option<(u16, u16)>) -> Reply {
        Reply {
            code,
            enhanced: detail.map(|(subject, detail)| EnhancedCode::new(5, subject, detail)),
            lines: vec![String::new()],
        }
    }

    #[test]
    fn only_a_code_about_the_recipient_at_rcpt_makes_him_unknown() {
        for detail in [1, 2, 3, 6, 10] {
            let reply = refusal(550, Some((1, detail)));
            let verdict = |answered| Verdict::of(answered, reply.clone());
            assert!(matches!(verdict(Answered::Recipient), Verdict::Unknown(_)));
            assert!(matches!(verdict(Answered::FinalDot), Verdict::Rejected(_)));
            assert!(matches!(
                verdict(Answered::Transaction),
                Verdict::Rejected(_)
            ));
            assert!(matches!(
                Opinion::of_recipient(reply.clone()),
                Opinion::Unknown(_)
            ));
            assert!(matches!(Opinion::of_sender(reply), Opinion::Unproven(_)));
        }
        for (subject, detail) in [(1, 0), (1, 7), (1, 8), (7, 1), (2, 1)] {
            let reply = refusal(550, Some((subject, detail)));
            let verdict = Verdict::of(Answered::Recipient, reply.clone());
            assert!(
                matches!(verdict, Verdict::Refused(_)),
                "5.{subject}.{detail}"
            );
            assert!(matches!(Opinion::of_recipient(reply), Opinion::Unproven(_)));
        }
    }

    #[test]
    fn a_bare_550_need_not_be_about_the_recipient() {
        let opinion = |code| Opinion::of_recipient(refusal(code, None));
        assert!(matches!(opinion(250), Opinion::Taken(_)));
        assert!(matches!(opinion(550), Opinion::Unproven(_)));
        assert!(matches!(opinion(554), Opinion::Unproven(_)));
        assert!(matches!(opinion(450), Opinion::Later(_)));
        assert!(matches!(opinion(354), Opinion::Later(_)));
        assert!(matches!(
            decide(Answered::Recipient, 550),
            Verdict::Refused(_)
        ));
        let later = Opinion::of_sender(refusal(451, None));
        assert!(matches!(later, Opinion::Later(_)));
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
