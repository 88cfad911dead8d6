//! What claims do, in examples.

use core::time::Duration;

use spool::{Attempt, Claims, Command, Report, Timestamp, Verdict};

use crate::{
    letters::{Letter, deferred, delivered},
    memory::{Key, Row},
    replica::Replica,
};

/// No pieces, one recipient at a.example.
const SMALL: Letter = Letter(0);
/// One piece and a tail, recipients at b.example, *.c.example and b.example.
const WIDE: Letter = Letter(1);

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn accepted(letter: Letter) -> Replica {
    let mut replica = Replica::default();
    for number in 0..letter.pieces() {
        replica.apply(letter.stage(number, NOW));
    }
    replica.apply(letter.accept(NOW));
    replica
}

/// What the leader of a term may ask for a domain, all messages there are.
fn claims(replica: &Replica, term: u64, domain: &str) -> Claims {
    let sequences = replica.memory.messages().map(|message| message.sequence);
    Claims {
        term,
        domain: domain.to_owned(),
        sequences: sequences.collect(),
    }
}

impl Replica {
    fn claim(&mut self, term: u64, domain: &str) {
        let claims = claims(self, term, domain);
        self.apply_repeatedly(Command::Claim(claims));
    }

    fn release(&mut self, term: u64, domain: &str) {
        let claims = claims(self, term, domain);
        self.apply_repeatedly(Command::Release(claims));
    }

    fn report(&mut self, term: u64, letter: Letter, verdicts: Vec<(u32, Verdict)>) {
        let attempts: Vec<Attempt> = vec![letter.attempt(verdicts)];
        let at = NOW.after(Duration::from_secs(1));
        self.apply(Command::Report(Report { term, at, attempts }));
    }
}

#[test]
fn a_later_term_takes_a_claim_over_and_an_earlier_one_does_not() {
    let mut replica = accepted(SMALL);
    let claimant = |replica: &Replica| replica.memory.claimant_of(SMALL.id(), "a.example");
    assert_eq!(claimant(&replica), None);
    for (term, then) in [(4, 4), (6, 6), (5, 6)] {
        replica.claim(term, "a.example");
        assert_eq!(claimant(&replica), Some(then));
    }
}

#[test]
fn a_release_ends_the_claims_of_its_own_term_only() {
    let mut replica = accepted(SMALL);
    replica.claim(4, "a.example");
    for (term, then) in [(3, Some(4)), (5, Some(4)), (4, None)] {
        replica.release(term, "a.example");
        let claimant = replica.memory.claimant_of(SMALL.id(), "a.example");
        assert_eq!(claimant, then);
    }
}

#[test]
fn a_report_ends_the_claim_for_the_domain_it_tells_of() {
    let mut replica = accepted(WIDE);
    replica.claim(4, "b.example");
    replica.claim(4, "*.c.example");
    replica.report(4, WIDE, vec![(0, deferred()), (2, deferred())]);
    let claimant = |domain| replica.memory.claimant_of(WIDE.id(), domain);
    assert_eq!(claimant("b.example"), None);
    assert_eq!(claimant("*.c.example"), Some(4));
}

#[test]
fn a_late_report_of_an_earlier_leader_leaves_the_claim_of_a_later_one() {
    let mut replica = accepted(SMALL);
    replica.claim(4, "a.example");
    replica.claim(6, "a.example");
    replica.report(4, SMALL, vec![(0, deferred())]);
    let claimant = replica.memory.claimant_of(SMALL.id(), "a.example");
    assert_eq!(claimant, Some(6));
    let due = replica.memory.rows.values().find_map(|row| match row {
        Row::Place(place) => Some(place.due),
        _ => None,
    });
    assert!(due > Some(NOW), "the deferral counts all the same");
    replica.report(4, SMALL, vec![(0, delivered())]);
    assert_eq!(replica.memory.messages().count(), 0);
}

#[test]
fn what_is_not_in_the_queue_is_not_claimed() {
    let mut replica = accepted(SMALL);
    replica.claim(4, "b.example");
    let gone = claims(&replica, 4, "a.example");
    replica.apply(SMALL.delivered(NOW));
    replica.apply_repeatedly(Command::Claim(gone));
    let places = replica.memory.rows.keys();
    let places = places.filter(|key| matches!(key, Key::Queue(..)));
    assert_eq!(places.count(), 0);
}
