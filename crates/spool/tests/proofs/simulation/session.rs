//! A sender's session at some node: it stages, accepts, and answers the sender.

use spool::{Command, MessageId, Outcome, Timestamp};

use super::network::Network;
use crate::{dice::Dice, letters::Letter};

/// A proposal is given up after so many tries.
const TRIES_MAX: u32 = 5;

/// What became of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Goes,
    /// The node says 250 and names this letter: the session's own, or the same one sent before.
    Accepted(Letter),
    /// The sender has read 4xx.
    Refused,
    /// The node or the connection died; the sender has read nothing.
    Crashed,
}

/// One message on its way into the spool.
#[derive(Debug)]
pub(super) struct Session {
    letter: Letter,
    /// What the acceptance tells in passing.
    confirmed: Vec<MessageId>,
    skew_ms: u64,
    /// The next piece to stage; the acceptance comes after the last.
    number: u32,
    tries: u32,
}

impl Session {
    pub(super) const fn new(letter: Letter, confirmed: Vec<MessageId>, skew_ms: u64) -> Self {
        Self {
            letter,
            confirmed,
            skew_ms,
            number: 0,
            tries: 0,
        }
    }

    pub(super) const fn letter(&self) -> Letter {
        self.letter
    }

    /// Proposes what comes next, or the same again when it heard nothing.
    pub(super) fn step(&mut self, dice: &mut Dice, now: Timestamp, network: &mut Network) -> Step {
        if dice.percent(4) {
            return Step::Crashed;
        }
        let answer = network.propose(dice, now, &self.command(now));
        match answer {
            None if self.tries < TRIES_MAX => {
                self.tries += 1;
                Step::Goes
            }
            None | Some(Outcome::StageGone) => self.give_up(dice, now, network),
            Some(Outcome::Accepted) => Step::Accepted(self.letter),
            Some(Outcome::Repeated(first)) => {
                assert!(!self.confirmed.contains(&first), "{first} was read");
                Step::Accepted(Letter::of(first))
            }
            Some(Outcome::Done) => {
                self.number += 1;
                self.tries = 0;
                Step::Goes
            }
            Some(other) => panic!("a session heard {other:?}"),
        }
    }

    fn command(&self, now: Timestamp) -> Command {
        let at = Timestamp(now.0 - self.skew_ms);
        if self.number < self.letter.pieces() {
            self.letter.stage(self.number, at)
        } else {
            self.letter.accept_after(at, self.confirmed.clone())
        }
    }

    /// The discard is proposed once and may get lost; the sweep is for that.
    fn give_up(&self, dice: &mut Dice, now: Timestamp, network: &mut Network) -> Step {
        network.propose(dice, now, &self.letter.discard());
        Step::Refused
    }
}
