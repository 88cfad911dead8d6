//! Who leads and delivers, and who takes what is delivered.

use std::collections::{BTreeMap, BTreeSet};

use spool::{Command, Message, Report, Status, Timestamp, Verdict};

use super::network::Network;
use crate::{
    dice::Dice,
    letters::{Letter, deferred, delivered, rejected},
};

/// Messages that one leader tries in a round.
const ATTEMPTS_MAX: usize = 3;

/// What the primaries have seen.
#[derive(Debug, Default)]
pub(super) struct Primary {
    taken: BTreeSet<(Letter, u32)>,
    refused: BTreeSet<(Letter, u32)>,
    verdicts: BTreeMap<Letter, u32>,
}

impl Primary {
    pub(super) fn has_taken(&self, letter: Letter, number: u32) -> bool {
        self.taken.contains(&(letter, number))
    }

    pub(super) fn has_judged(&self, letter: Letter, number: u32) -> bool {
        self.has_taken(letter, number) || self.refused.contains(&(letter, number))
    }

    pub(super) fn has_seen(&self, letter: Letter) -> bool {
        self.verdicts.contains_key(&letter)
    }

    /// Says of a recipient always the same in the end, after some "not now".
    fn judge(&mut self, dice: &mut Dice, letter: Letter, number: u32) -> Verdict {
        let verdicts = self.verdicts.entry(letter).or_default();
        *verdicts += 1;
        if dice.percent(40) {
            return deferred();
        }
        if (letter.0 + number).is_multiple_of(7) {
            self.refused.insert((letter, number));
            return rejected();
        }
        self.taken.insert((letter, number));
        delivered()
    }
}

/// One term of one leader.
#[derive(Debug, Default)]
pub(super) struct Leader {
    /// A report that it has heard no answer to, and repeats.
    unanswered: Option<Command>,
}

impl Leader {
    /// Delivers a few of the messages that are due, and reports what became of them. Nothing is
    /// tried while a report is unanswered, so that nothing is delivered twice by one leader.
    pub(super) fn act(
        &mut self,
        dice: &mut Dice,
        now: Timestamp,
        network: &mut Network,
        primary: &mut Primary,
    ) {
        let report = match self.unanswered.take() {
            Some(report) => report,
            None => deliver(dice, now, network, primary),
        };
        if network.propose(dice, now, &report).is_none() {
            self.unanswered = Some(report);
        }
    }
}

fn deliver(dice: &mut Dice, now: Timestamp, network: &Network, primary: &mut Primary) -> Command {
    let messages = network.spool().messages().map(|m| (m, due(m, now)));
    let messages = messages.filter(|(_, due)| !due.is_empty());
    let mut attempts = Vec::new();
    for (message, due) in messages.take(ATTEMPTS_MAX) {
        let letter = Letter::of(message.id);
        assert_eq!(
            network.spool().body_of(message),
            letter.body(),
            "{letter:?}"
        );
        let verdict = |number| (number, primary.judge(dice, letter, number));
        attempts.push(letter.attempt(due.into_iter().map(verdict).collect()));
    }
    Command::Report(Report { at: now, attempts })
}

/// Which recipients of a message may be tried now.
fn due(message: &Message, now: Timestamp) -> Vec<u32> {
    let recipients = (0_u32..).zip(&message.recipients);
    let due = recipients.filter(|(_, recipient)| match recipient.status {
        Status::Pending => true,
        Status::Deferred { until, .. } => until <= now,
        Status::Delivered { .. } | Status::Rejected { .. } => false,
    });
    due.map(|(number, _)| number).collect()
}
