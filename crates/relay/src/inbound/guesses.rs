//! Recipients that are not ours, as they are named by who guesses addresses.

use smtp::Reply;

use super::limits::GUESSES_MAX;

/// Counts the answers to RCPT of one session. A message to a long list names some that are gone;
/// who guesses is refused again and again, and is accepted rarely.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    /// Refusals beyond acceptances.
    refused: u32,
}

impl Guesses {
    /// Counts an answer, and says whether that was one guess too many.
    pub(super) fn are_too_many(&mut self, answer: &Result<(), Reply>) -> bool {
        match answer {
            Ok(()) => self.refused = self.refused.saturating_sub(1),
            Err(reply) if reply.code / 100 == 5 => self.refused += 1,
            Err(_) => {}
        }
        self.refused > GUESSES_MAX
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
        for _ in 0..10 * GUESSES_MAX {
            assert!(!guesses.are_too_many(&reply(550)));
            assert!(!guesses.are_too_many(&Ok(())));
            assert!(!guesses.are_too_many(&reply(451)));
        }
        for _ in 0..GUESSES_MAX {
            assert!(!guesses.are_too_many(&reply(550)));
        }
        assert!(guesses.are_too_many(&reply(550)));
        guesses.forget();
        assert!(!guesses.are_too_many(&reply(550)));
    }
}
