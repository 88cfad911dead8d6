//! Recipients that are not ours, as they are named by who guesses addresses.

use smtp::Reply;

use super::limits::{CROWDED_GUESSES_MAX, GUESSES_IN_ALL_MAX, GUESSES_MAX};

/// Counts the answers to RCPT of one session. A message to a long list names some that are gone;
/// who guesses is refused again and again, and is accepted rarely, unless he knows somebody whom he names in
/// between.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    /// Refusals beyond acceptances, since a message was taken.
    refused: u32,
    /// Refusals in the whole session.
    in_all: u32,
}

impl Guesses {
    /// Counts an answer, and says whether that was one guess too many.
    pub(super) fn are_too_many(&mut self, answer: &Result<(), Reply>, is_crowded: bool) -> bool {
        let max = if is_crowded {
            CROWDED_GUESSES_MAX
        } else {
            GUESSES_MAX
        };
        match answer {
            Ok(()) => {
                self.refused = self.refused.saturating_sub(1);
                false
            }
            Err(reply) if reply.code / 100 == 5 => {
                self.refused += 1;
                self.in_all += 1;
                self.refused > max || self.in_all > GUESSES_IN_ALL_MAX
            }
            Err(_) => false,
        }
    }

    /// A message was taken.
    pub(super) const fn forget(&mut self) {
        self.refused = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: u16) -> Result<(), Reply> {
        Err(Reply::plain(code, "text"))
    }

    #[test]
    fn who_guesses_is_told_from_who_has_an_old_list() {
        let mut guesses = Guesses::default();
        for _ in 0..2 * GUESSES_MAX {
            assert!(!guesses.are_too_many(&reply(550), false));
            assert!(!guesses.are_too_many(&Ok(()), false));
            assert!(!guesses.are_too_many(&reply(451), false));
        }
        for _ in 0..GUESSES_MAX {
            assert!(!guesses.are_too_many(&reply(550), false));
        }
        assert!(guesses.are_too_many(&reply(550), false));
        guesses.forget();
        assert!(!guesses.are_too_many(&reply(550), false));
    }

    #[test]
    fn neither_a_recipient_who_is_known_nor_a_message_hides_guesses_for_ever() {
        let mut guesses = Guesses::default();
        for _ in 0..GUESSES_IN_ALL_MAX {
            assert!(!guesses.are_too_many(&reply(550), false));
            assert!(!guesses.are_too_many(&Ok(()), false));
            guesses.forget();
        }
        assert!(!guesses.are_too_many(&Ok(()), false));
        assert!(guesses.are_too_many(&reply(550), false));
    }

    #[test]
    fn while_places_are_short_fewer_are_too_many_and_who_is_taken_is_taken() {
        let mut guesses = Guesses::default();
        for _ in 0..=CROWDED_GUESSES_MAX {
            assert!(!guesses.are_too_many(&reply(550), false));
        }
        assert!(!guesses.are_too_many(&Ok(()), true));
        for _ in 0..2 {
            let _ = guesses.are_too_many(&reply(550), false);
        }
        assert!(!guesses.are_too_many(&Ok(()), true), "it was accepted");
        assert!(guesses.are_too_many(&reply(550), true));
        assert!(!guesses.are_too_many(&reply(550), false));
    }
}
