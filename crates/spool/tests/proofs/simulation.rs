//! A cluster as the spool sees it: nodes that propose, repeat themselves and crash, leaders that
//! come and go, and one log on which all agree.
//!
//! ```text
//!   sessions ──propose──▶ network ──▶ log ──▶ spool ──▶ leader ──deliver──▶ primary
//!      ▲                   │ lost, late, twice            │
//!      └──── answer ◀──────┘◀──────────report─────────────┘
//! ```
//!
//! A proposal reaches the log not at all, once or twice, at once or minutes later; its answer may
//! be lost. A sender that has not read 250 sends its letter again; that it has read it gets known
//! late, or never. One seed decides everything.

mod leader;
mod network;
mod session;

use std::collections::{BTreeMap, BTreeSet};

use spool::{Command, Message, MessageId, Outcome, Timestamp};

use crate::{dice::Dice, letters::Letter};
use leader::{Leader, Primary};
use network::Network;
use session::{Session, Step};

const SEEDS: u64 = 2000;
const ROUNDS: u64 = 60;
const SESSIONS: usize = 4;

/// What an audit finds does not heal by itself, so it need not be looked for all the time.
const ROUNDS_BETWEEN_AUDITS: u64 = 15;

/// A sender gives up after so many tries.
const SENDINGS_MAX: u32 = 5;

/// A round of the simulation is at most this long.
const ROUND_MS_MAX: u64 = 8_000;

/// Longer than anything is remembered, and than any deferral lasts.
const LONG_MS: u64 = 3 * 3_600_000;

/// Within so many rounds without faults everything is delivered.
const DELIVERY_ROUNDS_MAX: u64 = 100;

/// What the senders were told.
#[derive(Debug, Default)]
struct Told {
    /// 250, so these must arrive.
    accepted: Vec<Letter>,
    /// 4xx or nothing: these may arrive, if their acceptance reached the log after all.
    refused: Vec<Letter>,
}

#[derive(Debug)]
struct World {
    dice: Dice,
    now: Timestamp,
    network: Network,
    sessions: Vec<Session>,
    leaders: Vec<Leader>,
    primary: Primary,
    told: Told,
    /// Letters that were in the spool when it was last looked at.
    spooled: BTreeSet<Letter>,
    /// Letters that were in the spool and have left it.
    gone: BTreeSet<Letter>,
    letters: u32,
    /// Letters that are sent again, and what the acceptance of each tells in passing.
    returning: Vec<(Letter, Vec<MessageId>)>,
    /// Letters whose 250 was read, which no node has told the others yet.
    confirmed: Vec<MessageId>,
    /// Repeats that were recognised before everything grew old.
    recognised: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            dice: Dice::new(seed),
            now: Timestamp(1_800_000_000_000),
            network: Network::default(),
            sessions: Vec::new(),
            leaders: vec![Leader::first(Timestamp(0))],
            primary: Primary::default(),
            told: Told::default(),
            spooled: BTreeSet::new(),
            gone: BTreeSet::new(),
            letters: 0,
            returning: Vec::new(),
            confirmed: Vec::new(),
            recognised: 0,
        };
        world.fill_sessions();
        world
    }

    fn fill_sessions(&mut self) {
        while self.sessions.len() < SESSIONS {
            // The clocks of the nodes differ by up to a minute.
            let skew_ms = self.dice.below(60_000);
            let returning = match self.dice.percent(50) {
                true => self.dice.take(&mut self.returning),
                false => None,
            };
            let (letter, mut confirmed) = returning.unwrap_or_else(|| {
                self.letters += 1;
                (Letter(self.letters), Vec::new())
            });
            if self.dice.percent(50) {
                confirmed.append(&mut self.confirmed);
            }
            self.sessions.push(Session::new(letter, confirmed, skew_ms));
        }
    }

    /// A sender hears what became of its letter, or nothing.
    fn hear(&mut self, letter: Letter, step: Step) {
        let told = match step {
            Step::Accepted(told) => {
                self.told.accepted.push(told);
                self.dice.percent(80).then_some(told)
            }
            Step::Goes | Step::Refused | Step::Crashed => {
                self.told.refused.push(letter);
                None
            }
        };
        let mut confirmed = Vec::new();
        if let Some(told) = told {
            self.confirmed.push(told.id());
            // It has read 250, so if it sends the same once more it means another message.
            if !self.dice.percent(10) {
                return;
            }
            confirmed.push(told.id());
        }
        if letter.sendings() < SENDINGS_MAX {
            self.returning.push((letter.again(), confirmed));
        }
    }

    /// Something happens everywhere.
    fn round(&mut self) {
        self.now.0 += 1 + self.dice.below(ROUND_MS_MAX);
        self.network.deliver_late(&mut self.dice, self.now);
        for mut session in std::mem::take(&mut self.sessions) {
            match session.step(&mut self.dice, self.now, &mut self.network) {
                Step::Goes => self.sessions.push(session),
                step => self.hear(session.letter(), step),
            }
        }
        if self.dice.percent(30) {
            let ids = std::mem::take(&mut self.confirmed);
            let confirm = Command::Confirm { ids };
            self.network.propose(&mut self.dice, self.now, &confirm);
        }
        self.fill_sessions();
        self.lead();
        if self.dice.percent(10) {
            let sweep = Command::Sweep { at: self.now };
            self.network.propose(&mut self.dice, self.now, &sweep);
        }
        self.check();
    }

    /// The newest leader delivers; one that was replaced still tells how it has fared.
    fn lead(&mut self) {
        if self.dice.percent(8)
            && let Some(newest) = self.leaders.last()
        {
            self.leaders.push(newest.successor(self.now));
        }
        if self.leaders.len() > 2 || self.dice.percent(30) {
            let newest = self.leaders.pop();
            self.leaders = newest.into_iter().collect();
        }
        self.deliver();
    }

    fn deliver(&mut self) {
        let Some((newest, earlier)) = self.leaders.split_last_mut() else {
            return;
        };
        for leader in earlier {
            leader.step_down(&mut self.dice, self.now, &mut self.network);
        }
        newest.lead(
            &mut self.dice,
            self.now,
            &mut self.network,
            &mut self.primary,
        );
    }

    /// Nobody is late, lost or gone any more; senders stop, and all that is left is delivered.
    fn settle(&mut self) {
        for session in std::mem::take(&mut self.sessions) {
            self.told.refused.push(session.letter());
        }
        self.network.heal(&mut self.dice, self.now);
        self.check();
        self.recognised = self.network.recognised();
        let last = self.leaders.pop();
        self.leaders = last
            .map(|last| last.successor(self.now))
            .into_iter()
            .collect();
        for _ in 0..DELIVERY_ROUNDS_MAX {
            if self.network.spool().messages().all(is_settled) {
                break;
            }
            self.now.0 += LONG_MS;
            self.deliver();
        }
        // Departures of the last round have to grow old before the sweep.
        self.now.0 += LONG_MS;
        let sweep = Command::Sweep { at: self.now };
        self.network.append(&sweep);
        self.check();
        self.network.spool().assert_consistent();
    }

    /// What was answered 250 is in the spool exactly once until all have it, and never again.
    fn check(&mut self) {
        self.network.check_repeats();
        let mut copies: BTreeMap<Letter, u32> = BTreeMap::new();
        for message in self.network.spool().messages() {
            *copies.entry(Letter::of(message.id)).or_default() += 1;
        }
        assert!(
            copies.values().all(|copies| *copies == 1),
            "spooled twice: {copies:?}"
        );
        for letter in &self.told.accepted {
            let everyone = 0..letter.domains().len() as u32;
            let has_it = |number: &u32| self.primary.has_taken(*letter, *number);
            let is_owed = !everyone.clone().all(|number| has_it(&number));
            assert!(
                !is_owed || copies.contains_key(letter),
                "{letter:?} is lost"
            );
        }
        let spooled: BTreeSet<Letter> = copies.keys().copied().collect();
        self.gone.extend(self.spooled.difference(&spooled));
        let returned = spooled.intersection(&self.gone).next();
        assert_eq!(returned, None, "a letter came back");
        self.spooled = spooled;
        for letter in copies.keys() {
            let was_proposed = self.network.has_logged_acceptance(*letter);
            assert!(was_proposed, "{letter:?} was never accepted");
        }
    }

    /// What must be left when everything has come to rest.
    fn check_rest(&self) {
        let spool = self.network.spool();
        assert_eq!(spool.stages().count(), 0, "a stage was never swept");
        for message in spool.messages() {
            assert!(is_settled(message), "{:?} is left", message.id);
        }
        for letter in &self.told.accepted {
            for number in 0..letter.domains().len() as u32 {
                assert!(
                    self.primary.has_judged(*letter, number),
                    "{letter:?} never arrived"
                );
            }
        }
        for letter in &self.told.refused {
            if !self.network.has_logged_acceptance(*letter) {
                assert!(
                    !self.primary.has_seen(*letter),
                    "{letter:?} was never accepted"
                );
            }
        }
        let kept: usize = spool
            .messages()
            .map(|message| message.body.pieces.len())
            .sum();
        assert_eq!(
            spool.dropped.len() + kept,
            spool.carried.len(),
            "octets leak"
        );
    }
}

/// Whether nothing more will be tried for a message. The audit says that such a one stays only
/// where someone was refused.
fn is_settled(message: &Message) -> bool {
    let mut recipients = message.recipients.iter();
    recipients.all(|recipient| recipient.status.is_final())
}

fn simulate(seed: u64) -> World {
    let mut world = World::new(seed);
    for round in 0..ROUNDS {
        world.round();
        if round % ROUNDS_BETWEEN_AUDITS == 0 {
            world.network.spool().assert_consistent();
        }
    }
    world.settle();
    world.check_rest();
    world
}

#[test]
fn what_was_answered_250_arrives_and_what_was_not_is_swept() {
    let (mut accepted, mut refused, mut repeated) = (0, 0, 0);
    let (mut recognised, mut redelivered) = (0, 0);
    for seed in 0..SEEDS {
        let world = std::panic::catch_unwind(|| simulate(seed));
        let world = world.unwrap_or_else(|_| panic!("seed {seed} breaks a promise (see above)"));
        accepted += world.told.accepted.len();
        refused += world.told.refused.len();
        repeated += world.network.repeated();
        recognised += world.recognised;
        redelivered += world.primary.repeats();
    }
    // A simulation in which nothing happens proves nothing.
    assert!(accepted > 5 * SEEDS as usize, "{accepted} accepted");
    assert!(refused > SEEDS as usize, "{refused} refused");
    assert!(repeated > 5 * SEEDS as usize, "{repeated} repeated");
    assert!(recognised > SEEDS as usize, "{recognised} recognised");
    assert!(
        redelivered > SEEDS as usize / 10,
        "{redelivered} redelivered"
    );
}

#[test]
fn a_seed_decides_everything() {
    let (one, other) = (simulate(4711), simulate(4711));
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}

/// What a proposer learns of a proposal: what it came to, or nothing.
type Answer = Option<Outcome>;
