//! A guarded recovery: whether a primary that is back is to be believed.
//!
//! ```text
//!   down ─Begun─▶ on trial ─Passed──▶ (none)
//!                    │  └───resume──▶ (none)
//!                    └─Tripped─▶ held back ─resume─▶ (none)
//! ```
//!
//! What comes back from an outage is not always what went: restored from an old backup, without its
//! directory, or behind a filter that takes us for a stranger, a primary refuses for good whom it
//! knew before. So its first answers are a trial. Until it is passed, messages go one at a time,
//! as long as none stalls, and no refusal is final; when it fails, nothing more is sent until an operator has looked.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::Timestamp;

/// After so many answered recipients the primary is believed.
pub const TRIAL_RECIPIENTS: usize = 20;

/// So many may be refused for good whoever they are. An outage collects mail for addresses that were never there,
/// and people leave.
pub const TRIAL_REFUSALS_MAX: usize = 4;

/// A trial that has lasted for so long is over as soon as the primary has taken anything, or refused more than is borne in
/// any case. Few messages come, and one that is deferred for days must not keep the others waiting for each other.
pub const TRIAL_AGE_MAX: Duration = Duration::from_hours(1);

/// The recovery of a domain whose primary was down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// When the primary was found to be back. It names the recovery.
    pub begun_at: Timestamp,
    /// Present when the trial has failed: nothing is sent until an operator resumes.
    pub tripped: Option<Tripped>,
}

/// Why nothing is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tripped {
    /// Since when.
    pub at: Timestamp,
    /// What the primary did.
    pub why: String,
}

/// A step of a guarded recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The policy's domain.
    pub domain: String,
    /// When it was taken.
    pub at: Timestamp,
    /// Which one.
    pub step: Step,
}

/// What a recovery comes to next. `begun_at` says of which recovery a step is meant: a late one must not
/// end or hold another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A primary that is down answers again, and its first answers are to be a trial.
    Begun,
    /// The trial is passed.
    Passed {
        /// Of the recovery.
        begun_at: Timestamp,
    },
    /// The trial has failed.
    Tripped {
        /// Of the recovery.
        begun_at: Timestamp,
        /// What the primary did.
        why: String,
    },
}

/// What a primary on trial says of a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// It has taken a message for him.
    Taken,
    /// It refuses it for good.
    Refused {
        /// In these words.
        words: &'a str,
        /// Who he is, when the primary knew him before and refuses himself now, not the message.
        known_good: Option<&'a str>,
    },
}

/// How a trial stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// More is to be heard.
    Open,
    /// The primary is believed.
    Passed,
    /// It is not; in words, why.
    Failed(String),
}

/// A primary's first answers after an outage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    /// Whether it refused: the last answer for each message and recipient, so that one which is tried
    /// again counts once.
    answers: BTreeMap<(u64, u32), bool>,
    failure: Option<String>,
    /// What was said with the last refusal.
    last_words: String,
    is_called_off: bool,
}

impl Trial {
    /// Hears what the primary says of a recipient (by his number in the message) of the message at a
    /// place in the order of arrival. What is said once the trial is over changes nothing.
    pub fn hear(&mut self, sequence: u64, recipient: u32, answer: Answer<'_>) {
        if self.standing() != Standing::Open {
            return;
        }
        let refused = matches!(answer, Answer::Refused { .. });
        self.answers.insert((sequence, recipient), refused);
        if let Answer::Refused { words, known_good } = answer {
            self.last_words = words.to_owned();
            self.failure = known_good
                .map(|address| format!("it refuses {address}, whom it knew before: {words}"));
        }
        if self.failure.is_none() && self.answers.len() >= TRIAL_RECIPIENTS {
            self.conclude();
        }
    }

    /// Ends it: nothing more is there to be answered, or enough was. It fails if more was refused than taken. Of whom
    /// nobody knows whether the primary ever had him, any may be refused; most are not, by a sound one.
    pub fn conclude(&mut self) {
        let answered = self.answers.len();
        let refusals = self.refusals();
        if refusals > TRIAL_REFUSALS_MAX && refusals * 2 > answered {
            self.failure.get_or_insert_with(|| {
                let words = &self.last_words;
                format!("it refused {refusals} of the first {answered} recipients for good, at last with: {words}")
            });
        } else if self.failure.is_none() {
            self.call_off();
        }
    }

    /// Ends it in the primary's favour: nothing is left to be answered, or an operator says so.
    pub const fn call_off(&mut self) {
        self.is_called_off = true;
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match &self.failure {
            _ if self.is_called_off => Standing::Passed,
            Some(why) => Standing::Failed(why.clone()),
            None => Standing::Open,
        }
    }

    /// Whether it is over by its age, and is to be concluded.
    #[must_use]
    pub fn is_outlived(&self, age: Duration) -> bool {
        let is_any_taken = self.answers.values().any(|refused| !refused);
        age >= TRIAL_AGE_MAX && (is_any_taken || self.refusals() > TRIAL_REFUSALS_MAX)
    }

    fn refusals(&self) -> usize {
        self.answers.values().filter(|refused| **refused).count()
    }

    /// How many messages have a recipient whose refusal is not believed yet: they are tried again.
    #[must_use]
    pub fn put_off(&self) -> u64 {
        let refused = self.answers.iter().filter(|(_, refused)| **refused);
        let messages: BTreeSet<u64> = refused.map(|((sequence, _), _)| *sequence).collect();
        messages.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: Answer<'static> = Answer::Refused {
        words: "550 5.1.1 no such user",
        known_good: None,
    };

    fn trial(answers: impl IntoIterator<Item = Answer<'static>>) -> Trial {
        let mut trial = Trial::default();
        for (sequence, answer) in (1..).zip(answers) {
            trial.hear(sequence, 0, answer);
        }
        trial
    }

    #[test]
    fn a_primary_that_takes_what_it_took_is_believed_after_twenty() {
        let taken = |count| trial(std::iter::repeat_n(Answer::Taken, count));
        assert_eq!(taken(TRIAL_RECIPIENTS - 1).standing(), Standing::Open);
        assert_eq!(taken(TRIAL_RECIPIENTS).standing(), Standing::Passed);
    }

    #[test]
    fn half_of_strangers_is_no_failure_and_one_more_is() {
        let of = |refused: usize| {
            let strangers = std::iter::repeat_n(STRANGER, refused);
            trial(strangers.chain(std::iter::repeat_n(Answer::Taken, 20 - refused)))
        };
        assert_eq!(of(10).standing(), Standing::Passed);
        assert_eq!(of(10).put_off(), 10);
        let why = "it refused 11 of the first 20 recipients for good, at last with: 550 5.1.1 no such user";
        assert_eq!(of(11).standing(), Standing::Failed(why.to_owned()));
    }

    #[test]
    fn when_nothing_more_is_there_what_was_heard_counts() {
        let concluded = |refused: usize, taken: usize| {
            let strangers = std::iter::repeat_n(STRANGER, refused);
            let mut trial = trial(strangers.chain(std::iter::repeat_n(Answer::Taken, taken)));
            assert_eq!(trial.standing(), Standing::Open);
            trial.conclude();
            trial.standing()
        };
        assert_eq!(concluded(5, 5), Standing::Passed);
        assert!(matches!(concluded(6, 5), Standing::Failed(_)));
        assert!(matches!(concluded(5, 0), Standing::Failed(_)));
        assert_eq!(concluded(4, 0), Standing::Passed, "they are too few");
    }

    #[test]
    fn one_who_was_known_is_enough() {
        let known = Answer::Refused {
            words: "550 no",
            known_good: Some("anna@example.com"),
        };
        let why = "it refuses anna@example.com, whom it knew before: 550 no";
        let failed = Standing::Failed(why.to_owned());
        assert_eq!(trial([Answer::Taken, known]).standing(), failed);
        // It stays so, whatever follows.
        let many = std::iter::repeat_n(Answer::Taken, 30);
        assert_eq!(trial([known].into_iter().chain(many)).standing(), failed);
    }

    #[test]
    fn whoever_is_tried_again_counts_once() {
        let mut trial = Trial::default();
        for _ in 0..30 {
            trial.hear(1, 0, STRANGER);
            trial.hear(1, 1, STRANGER);
        }
        assert_eq!((trial.standing(), trial.put_off()), (Standing::Open, 1));
        trial.hear(1, 0, Answer::Taken);
        trial.hear(1, 1, Answer::Taken);
        assert_eq!((trial.standing(), trial.put_off()), (Standing::Open, 0));
    }

    #[test]
    fn once_it_is_passed_nothing_is_held_against_it() {
        let many = std::iter::repeat_n(Answer::Taken, TRIAL_RECIPIENTS);
        let strangers = std::iter::repeat_n(STRANGER, 10);
        assert_eq!(trial(many.chain(strangers)).standing(), Standing::Passed);
    }

    #[test]
    fn a_long_one_is_over_if_anything_was_taken_or_much_was_refused() {
        let taken = trial([STRANGER, Answer::Taken]);
        assert!(taken.is_outlived(TRIAL_AGE_MAX));
        assert!(!taken.is_outlived(TRIAL_AGE_MAX / 2));
        assert!(!trial([STRANGER]).is_outlived(2 * TRIAL_AGE_MAX));
        let mut refused = trial(std::iter::repeat_n(STRANGER, 5));
        assert!(refused.is_outlived(TRIAL_AGE_MAX));
        refused.conclude();
        assert!(matches!(refused.standing(), Standing::Failed(_)));
    }

    #[test]
    fn one_that_is_called_off_is_passed() {
        let mut failed = trial(std::iter::repeat_n(STRANGER, 20));
        failed.call_off();
        assert_eq!(failed.standing(), Standing::Passed);
    }
}
