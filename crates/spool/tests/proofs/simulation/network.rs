//! What lies between a proposer and the log, and the log itself.

use std::collections::{BTreeMap, BTreeSet};

use spool::{Command, MessageId, Timestamp, view::Known};

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
    /// Every letter that was in the spool at any time.
    spooled: BTreeSet<Letter>,
    /// How often the log says of a letter, or of the same one sent again, that its 250 was read.
    confirmed: BTreeMap<u32, usize>,
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

    /// How many acceptances were recognised as repeats of a letter that is spooled.
    pub(super) fn recognised(&self) -> usize {
        let ids = self.acceptances.iter().map(|letter| letter.id());
        let known = ids.filter_map(|id| self.spool.known_of(id));
        known
            .filter(|known| matches!(known, Known::Repeat { .. }))
            .count()
    }

    /// Panics when a letter is spooled once more although nobody had said that its 250 was read.
    pub(super) fn check_repeats(&self) {
        let mut copies: BTreeMap<u32, usize> = BTreeMap::new();
        for letter in &self.spooled {
            *copies.entry(letter.content()).or_default() += 1;
        }
        for (content, copies) in copies {
            let confirmed = self.confirmed.get(&content).copied().unwrap_or_default();
            assert!(
                copies <= 1 + confirmed,
                "{content} is spooled {copies} times, and was confirmed {confirmed} times"
            );
        }
    }

    fn apply(&mut self, batch: &[(u64, Command)]) -> Answer {
        let answer = self.spool.apply_batch(batch).pop();
        for (_, command) in batch {
            match command {
                Command::Accept(accept) => {
                    self.note_confirmed(&accept.confirmed);
                    let known = self.spool.known_of(accept.id);
                    if matches!(known, Some(Known::Queued(_) | Known::Departed(_))) {
                        self.spooled.insert(Letter::of(accept.id));
                    }
                    if let Some(Known::Repeat { first, .. }) = known {
                        let is_spooled = self.spooled.contains(&Letter::of(first));
                        assert!(is_spooled, "{first} was answered and never spooled");
                    }
                }
                Command::Confirm { ids } => self.note_confirmed(ids),
                _ => {}
            }
        }
        answer
    }

    fn note_confirmed(&mut self, ids: &[MessageId]) {
        for id in ids {
            *self.confirmed.entry(Letter::of(*id).content()).or_default() += 1;
        }
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
        self.apply(&[entry])
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
        self.apply(&batch);
    }

    /// Brings everything home, and loses and delays nothing from now on.
    pub(super) fn heal(&mut self, dice: &mut Dice, now: Timestamp) {
        self.deliver_late(dice, Timestamp(now.0 + LATE_MS_MAX));
        self.is_healed = true;
    }
}
