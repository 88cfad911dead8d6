//! Who leads and delivers, and who takes what is delivered.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use spool::{Claims, Command, Message, Report, Status, Timestamp, Verdict};

use super::network::Network;
use crate::{
    dice::Dice,
    letters::{Letter, deferred, delivered, rejected},
};

/// Messages that one leader tries in a round.
const ATTEMPTS_MAX: usize = 3;

/// Messages that a leader claims in a round: more than it tries, so that some are left when another
/// takes over.
const CLAIMS_MAX: usize = 5;

/// A new leader lets what others have claimed lie for so long: some rounds.
const IN_DOUBT_WAIT: Duration = Duration::from_secs(10);

/// What the primaries have seen.
#[derive(Debug, Default)]
pub(super) struct Primary {
    /// In whose term it was taken last.
    taken: BTreeMap<(Letter, u32), u64>,
    repeats: usize,
    refused: BTreeSet<(Letter, u32)>,
    verdicts: BTreeMap<Letter, u32>,
}

impl Primary {
    pub(super) fn has_taken(&self, letter: Letter, number: u32) -> bool {
        self.taken.contains_key(&(letter, number))
    }

    pub(super) fn has_judged(&self, letter: Letter, number: u32) -> bool {
        self.has_taken(letter, number) || self.refused.contains(&(letter, number))
    }

    pub(super) fn has_seen(&self, letter: Letter) -> bool {
        self.verdicts.contains_key(&letter)
    }

    /// Says of a recipient always the same in the end, after some "not now".
    fn judge(&mut self, dice: &mut Dice, letter: Letter, number: u32, term: u64) -> Verdict {
        let verdicts = self.verdicts.entry(letter).or_default();
        *verdicts += 1;
        if dice.percent(40) {
            return deferred();
        }
        if (letter.0 + number).is_multiple_of(7) {
            self.refused.insert((letter, number));
            return rejected();
        }
        let again = self.taken.insert((letter, number), term).is_some();
        self.repeats += usize::from(again);
        delivered()
    }

    /// How often it has got a message again.
    pub(super) const fn repeats(&self) -> usize {
        self.repeats
    }

    /// The term in which it was last taken to the primary.
    fn carrier(&self, letter: Letter, number: u32) -> Option<u64> {
        self.taken.get(&(letter, number)).copied()
    }
}

/// One term of one leader.
#[derive(Debug)]
pub(super) struct Leader {
    /// When it and those before it were elected; its term is their number.
    elections: Vec<Timestamp>,
    /// What it has claimed and not tried yet: sequence and domain.
    claimed: Vec<(u64, String)>,
    /// Reports and releases that it has heard no answer to, and repeats in this order.
    unanswered: Vec<Command>,
}

impl Leader {
    pub(super) fn first(elected_at: Timestamp) -> Self {
        Self::elected(vec![elected_at])
    }

    const fn elected(elections: Vec<Timestamp>) -> Self {
        Self {
            elections,
            claimed: Vec::new(),
            unanswered: Vec::new(),
        }
    }

    /// The next leader. This one may live on for a while, and tell how it has fared.
    pub(super) fn successor(&self, elected_at: Timestamp) -> Self {
        let mut elections = self.elections.clone();
        elections.push(elected_at);
        Self::elected(elections)
    }

    const fn term(&self) -> u64 {
        self.elections.len() as u64
    }

    /// Claims some of what is due, and delivers what it has claimed. Nothing is claimed or tried
    /// while a report is unanswered, so that nothing is delivered twice by one leader.
    pub(super) fn lead(
        &mut self,
        dice: &mut Dice,
        now: Timestamp,
        network: &mut Network,
        primary: &mut Primary,
    ) {
        self.tell(dice, now, network);
        if self.unanswered.is_empty() {
            self.claim(dice, now, network);
            let report = self.deliver(dice, now, network, primary);
            self.unanswered.push(report);
            self.tell(dice, now, network);
        }
    }

    /// Delivers no more. What became of its deliveries it still reports, and what it had only
    /// claimed it gives back.
    pub(super) fn step_down(&mut self, dice: &mut Dice, now: Timestamp, network: &mut Network) {
        for (sequence, domain) in core::mem::take(&mut self.claimed) {
            let claims = self.claims(domain, vec![sequence]);
            self.unanswered.push(Command::Release(claims));
        }
        self.tell(dice, now, network);
    }

    fn tell(&mut self, dice: &mut Dice, now: Timestamp, network: &mut Network) {
        self.unanswered
            .retain(|command| network.propose(dice, now, command).is_none());
    }

    const fn claims(&self, domain: String, sequences: Vec<u64>) -> Claims {
        Claims {
            term: self.term(),
            domain,
            sequences,
        }
    }

    /// Claims go straight into the log or nowhere: nobody else may bring them there later.
    fn claim(&mut self, dice: &mut Dice, now: Timestamp, network: &mut Network) {
        let term = self.term();
        let waited = replaced_for(&self.elections, term - 1, now) >= IN_DOUBT_WAIT;
        let mut due = Vec::new();
        for message in network.spool().messages() {
            for domain in message.domains() {
                let claimant = network.spool().claimant_of(message.id, domain);
                let may_start = claimant.is_none_or(|by| by == term || waited);
                let place = (message.sequence, domain.to_owned());
                let is_due = !due_in(message, domain, now).is_empty();
                if may_start && is_due && !self.claimed.contains(&place) {
                    due.push(place);
                }
            }
        }
        due.truncate(CLAIMS_MAX);
        for (sequence, domain) in due {
            if dice.percent(90) {
                let claims = self.claims(domain.clone(), vec![sequence]);
                network.append(&Command::Claim(claims));
                self.claimed.push((sequence, domain));
            }
        }
    }

    /// Tries a few of the messages that it has claimed; returns what became of them. What an
    /// earlier leader has delivered comes again only when nothing was heard of it for the whole
    /// wait.
    fn deliver(
        &mut self,
        dice: &mut Dice,
        now: Timestamp,
        network: &Network,
        primary: &mut Primary,
    ) -> Command {
        let mut attempts = Vec::new();
        let term = self.term();
        let tried = self.claimed.len().min(ATTEMPTS_MAX);
        for (sequence, domain) in self.claimed.drain(..tried) {
            let mut messages = network.spool().messages();
            let Some(message) = messages.find(|message| message.sequence == sequence) else {
                continue;
            };
            let letter = Letter::of(message.id);
            let body = network.spool().body_of(message);
            assert_eq!(body, letter.body(), "{letter:?}");
            let verdicts = due_in(message, &domain, now).into_iter().map(|number| {
                if let Some(earlier) = primary.carrier(letter, number) {
                    assert_ne!(earlier, term, "{letter:?} again by one leader");
                    let wait = replaced_for(&self.elections, earlier, now);
                    assert!(wait >= IN_DOUBT_WAIT, "{letter:?} again after {wait:?}");
                }
                (number, primary.judge(dice, letter, number, term))
            });
            attempts.push(letter.attempt(verdicts.collect()));
        }
        Command::Report(Report {
            term: self.term(),
            at: now,
            attempts,
        })
    }
}

/// For how long the leader of a term has been replaced.
fn replaced_for(elections: &[Timestamp], term: u64, now: Timestamp) -> Duration {
    let next = elections.get(term as usize);
    next.map_or(Duration::ZERO, |elected_at| now.since(*elected_at))
}

/// Which recipients of a message may be tried now in a domain.
fn due_in(message: &Message, domain: &str, now: Timestamp) -> Vec<u32> {
    let recipients = (0_u32..).zip(&message.recipients);
    let recipients = recipients.filter(|(_, recipient)| recipient.domain == domain);
    let due = recipients.filter(|(_, recipient)| match recipient.status {
        Status::Pending => true,
        Status::Deferred { until, .. } => until <= now,
        Status::Delivered { .. } | Status::Rejected { .. } | Status::Returned { .. } => false,
    });
    due.map(|(number, _)| number).collect()
}
