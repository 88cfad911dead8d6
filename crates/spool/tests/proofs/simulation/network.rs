//! What lies between a proposer and the log, and the log itself.

use std::collections::BTreeSet;

use spool::{Command, Timestamp};

use super::Answer;
use crate::{dice::Dice, letters::Letter, memory::Memory};

/// A proposal is on its way so long at most: far less than an id is remembered.
const LATE_MS_MAX: u64 = 600_000;

/// The one sequence that all nodes agree on, what it made of the spool, and what is still on its
/// way there.
#[derive(Debug, Default)]
pub(super) struct Network {
    applied: u64,
    spool: Memory,
    late: Vec<(Timestamp, Command)>,
    is_healed: bool,
    repeated: usize,
    acceptances: BTreeSet<Letter>,
}

impl Network {
    pub(super) const fn spool(&self) -> &Memory {
        &self.spool
    }

    /// How often the log has got one proposal twice.
    pub(super) const fn repeated(&self) -> usize {
        self.repeated
    }

    pub(super) fn has_logged_acceptance(&self, letter: Letter) -> bool {
        self.acceptances.contains(&letter)
    }

    /// Tries to bring a command into the log. `None` tells nothing: it may be there, or get there
    /// later, once or twice.
    pub(super) fn propose(&mut self, dice: &mut Dice, now: Timestamp, command: &Command) -> Answer {
        match dice.below(100) {
            _ if self.is_healed => self.append(command),
            0..60 => self.append(command),
            // The leader died between storing and answering.
            60..75 => {
                self.append(command);
                None
            }
            // It died when it had stored, and a copy is still on its way to the next.
            75..80 => {
                self.repeated += 1;
                self.append(command);
                self.delay(dice, now, command);
                None
            }
            80..90 => {
                self.delay(dice, now, command);
                None
            }
            _ => None,
        }
    }

    fn delay(&mut self, dice: &mut Dice, now: Timestamp, command: &Command) {
        let arrival = Timestamp(now.0 + dice.below(LATE_MS_MAX));
        self.late.push((arrival, command.clone()));
    }

    pub(super) fn append(&mut self, command: &Command) -> Answer {
        if let Command::Accept(accept) = command {
            self.repeated += usize::from(!self.acceptances.insert(Letter::of(accept.id)));
        }
        self.applied += 1;
        let entry = (self.applied, command.clone());
        self.spool.apply_batch(&[entry]).pop()
    }

    /// What was under way arrives, in any order and often in one batch.
    pub(super) fn deliver_late(&mut self, dice: &mut Dice, now: Timestamp) {
        let late = std::mem::take(&mut self.late);
        let (mut arrived, late): (Vec<_>, Vec<_>) =
            late.into_iter().partition(|(at, _)| *at <= now);
        self.late = late;
        let mut batch = Vec::new();
        while let Some((_, command)) = dice.take(&mut arrived) {
            if let Command::Accept(accept) = &command {
                self.acceptances.insert(Letter::of(accept.id));
            }
            self.applied += 1;
            batch.push((self.applied, command));
        }
        self.spool.apply_batch(&batch);
    }

    /// Brings everything home, and loses and delays nothing from now on.
    pub(super) fn heal(&mut self, dice: &mut Dice, now: Timestamp) {
        self.deliver_late(dice, Timestamp(now.0 + LATE_MS_MAX));
        self.is_healed = true;
    }
}
