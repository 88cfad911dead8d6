//! Bodies that are kept, and messages that are delivered again.

use core::time::Duration;

use spool::{
    Action, Adopt, Claims, Command, Handling, MessageId, Outcome, Replay, Status, Timestamp, Verb,
    apply::RELINQUISH_MAX, policy::Document, view::Known,
};

use crate::{
    letters::{HOST, Letter, POLICY, deferred, delivered, found, rejected},
    replica::Replica,
};

/// No pieces, one recipient at a.example.
const SMALL: Letter = Letter(0);
/// Three pieces and a tail, one recipient at a.example.
const LARGE: Letter = Letter(3);
/// One piece and a tail, recipients at b.example, *.c.example and b.example.
const WIDE: Letter = Letter(1);

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn later(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

/// A spool that keeps bodies, and letters in it.
fn accepted(queue: &str, letters: &[Letter]) -> Replica {
    let mut replica = Replica::default();
    replica.apply(found());
    replica.apply(Command::Adopt(Adopt {
        policy: Document::of_text(format!("[queue]\n{queue}\n{POLICY}")),
        replaces: 1,
        at: NOW,
        by: "postmaster".to_owned(),
    }));
    for letter in letters {
        for number in 0..letter.pieces() {
            replica.apply(letter.stage(number, NOW));
        }
        assert_eq!(replica.apply(letter.accept(NOW)), Outcome::Accepted);
    }
    replica
}

fn wish(since: Timestamp, domain: Option<&str>, at: Timestamp, letters: &[Letter]) -> Command {
    Command::Replay(Replay {
        since,
        domain: domain.map(str::to_owned),
        at,
        ids: letters.iter().map(|letter| letter.id()).collect(),
    })
}

fn handle(verb: Verb, letter: Letter, at: Timestamp) -> Command {
    Command::Handle(Handling {
        verb,
        action: Action {
            id: MessageId::new(at.0, 0).0,
            at,
            ..Action::default()
        },
        batch: 1,
        ids: vec![letter.id()],
    })
}

/// Claims a letter for a domain, as a leader does before it delivers it.
fn claim(replica: &mut Replica, letter: Letter, domain: &str) {
    let sequence = replica
        .memory
        .message_of(letter.id())
        .map(|message| message.sequence);
    replica.apply(Command::Claim(Claims {
        term: 4,
        domain: domain.to_owned(),
        sequences: sequence.into_iter().collect(),
    }));
}

fn kept(replica: &Replica) -> Vec<MessageId> {
    replica.memory.retained().map(|(_, id, _)| id).collect()
}

fn waiting(replica: &Replica, domain: &str) -> u64 {
    replica.memory.destination_of(domain).totals.waiting
}

#[test]
fn a_delivered_message_keeps_its_body_until_it_is_given_up() {
    let mut replica = accepted("", &[LARGE, SMALL]);
    replica.apply(LARGE.delivered(later(1)));
    replica.apply(SMALL.delivered(later(2)));
    assert!(replica.memory.dropped.is_empty());
    assert_eq!(kept(&replica), [LARGE.id(), SMALL.id()]);
    let octets = LARGE.body().len() + SMALL.body().len();
    assert_eq!(replica.memory.history().retained_octets, octets as u64);

    replica.apply_repeatedly(Command::Relinquish { until: later(2) });
    assert_eq!(
        kept(&replica),
        [SMALL.id()],
        "what left at that moment stays"
    );
    assert_eq!(replica.memory.dropped.len(), 4);
    assert!(replica.memory.departure_of(LARGE.id()).is_some());
    replica.apply_repeatedly(Command::Relinquish { until: later(3) });
    assert_eq!(kept(&replica), []);
    assert_eq!(replica.memory.history().retained, 0);
    assert_eq!(RELINQUISH_MAX, 1000);
}

#[test]
fn nothing_is_kept_where_the_policy_says_so() {
    let mut replica = accepted("retain_delivered = \"0s\"", &[LARGE]);
    replica.apply(LARGE.delivered(later(1)));
    assert_eq!(kept(&replica), []);
    assert_eq!(replica.memory.dropped.len(), 4);
    let replay = wish(NOW, None, later(9), &[LARGE]);
    assert_eq!(replica.apply_repeatedly(replay), Outcome::Replayed(0));
}

#[test]
fn a_replayed_message_is_the_same_in_its_old_place() {
    let mut replica = accepted("history = \"0s\"", &[LARGE, SMALL]);
    let before = replica.memory.message_of(LARGE.id()).unwrap().clone();
    replica.apply(SMALL.delivered(later(1)));
    replica.apply(LARGE.delivered(later(2)));
    let replay = wish(NOW, None, later(9), &[SMALL, LARGE]);
    assert_eq!(replica.apply_repeatedly(replay), Outcome::Replayed(2));
    let after = replica.memory.message_of(LARGE.id()).unwrap();
    assert_eq!(
        (after.sequence, after.received_at),
        (before.sequence, before.received_at)
    );
    assert_eq!((&after.body, &after.trace), (&before.body, &before.trace));
    assert_eq!(after.recipients[0].status, Status::Pending);
    assert_eq!(after.recipients[0].replayed_at, Some(later(9)));
    let tried = &after.tries[0];
    assert_eq!(
        (tried.at, tried.host.as_str(), tried.delivered),
        (later(2), HOST, 1)
    );
    assert_eq!(waiting(&replica, "a.example"), 2);
    assert_eq!(replica.memory.destination_of("a.example").revision, 2);
    assert_eq!(
        (replica.memory.history().rows, kept(&replica)),
        (0, Vec::new())
    );

    claim(&mut replica, LARGE, "a.example");
    replica.apply(LARGE.delivered(later(20)));
    assert_eq!(kept(&replica), [LARGE.id()], "it is kept once more");
    let known = replica.memory.known_of(LARGE.id());
    assert_eq!(known, Some(Known::Departed(later(20))));
}

#[test]
fn only_who_got_it_since_then_in_that_domain_gets_it_again() {
    let mut replica = accepted("", &[WIDE]);
    replica.apply(WIDE.report(later(10), vec![(0, delivered()), (1, delivered())]));
    replica.apply(WIDE.report(later(20), vec![(2, delivered())]));
    let none = wish(later(21), None, later(30), &[WIDE]);
    assert_eq!(replica.apply_repeatedly(none), Outcome::Replayed(0));
    let elsewhere = wish(later(15), Some("*.c.example"), later(30), &[WIDE]);
    assert_eq!(replica.apply_repeatedly(elsewhere), Outcome::Replayed(0));
    let one = wish(later(15), Some("b.example"), later(30), &[WIDE]);
    assert_eq!(replica.apply_repeatedly(one), Outcome::Replayed(1));
    let message = replica.memory.message_of(WIDE.id()).unwrap();
    let pending = |status: &Status| *status == Status::Pending;
    let pending: Vec<bool> = message
        .recipients
        .iter()
        .map(|r| pending(&r.status))
        .collect();
    assert_eq!(pending, [false, false, true]);
    assert_eq!(waiting(&replica, "*.c.example"), 0);
}

#[test]
fn who_has_it_gets_it_again_while_others_wait_and_claims_stay() {
    let mut replica = accepted("", &[WIDE]);
    let words = [(0, delivered()), (1, rejected()), (2, deferred())];
    replica.apply(WIDE.report(later(10), words.to_vec()));
    claim(&mut replica, WIDE, "b.example");
    let replay = wish(NOW, None, later(30), &[WIDE]);
    assert_eq!(replica.apply_repeatedly(replay), Outcome::Replayed(1));
    let message = replica.memory.message_of(WIDE.id()).unwrap();
    assert_eq!(message.recipients[0].status, Status::Pending);
    assert!(matches!(
        message.recipients[1].status,
        Status::Rejected { .. }
    ));
    assert!(matches!(
        message.recipients[2].status,
        Status::Deferred { .. }
    ));
    assert_eq!(replica.memory.claimant_of(WIDE.id(), "b.example"), Some(4));
}

#[test]
fn a_copy_of_a_replay_and_a_late_report_from_before_it_change_nothing() {
    let mut replica = accepted("", &[SMALL]);
    let before = SMALL.delivered(later(5));
    replica.apply(before.clone());
    let replay = wish(NOW, None, later(30), &[SMALL]);
    assert_eq!(replica.apply(replay.clone()), Outcome::Replayed(1));
    replica.apply(before);
    assert_eq!(
        waiting(&replica, "a.example"),
        1,
        "it is to be delivered all the same"
    );
    claim(&mut replica, SMALL, "a.example");
    // Whoever delivers it may have a clock that is behind the one of whoever wanted it.
    replica.apply(SMALL.delivered(later(20)));
    assert_eq!(replica.apply_repeatedly(replay), Outcome::Replayed(1));
    assert_eq!(
        waiting(&replica, "a.example"),
        0,
        "it has been delivered again"
    );
    let another = wish(NOW, None, later(50), &[SMALL]);
    assert_eq!(replica.apply_repeatedly(another), Outcome::Replayed(1));
    assert_eq!(waiting(&replica, "a.example"), 1);
}

#[test]
fn what_is_kept_is_remembered_whatever_the_history() {
    let mut replica = accepted("history = \"1h\"", &[SMALL]);
    replica.apply(SMALL.delivered(NOW));
    replica.apply(Command::Sweep { at: later(90_000) });
    assert!(replica.memory.departure_of(SMALL.id()).is_some());
    replica.apply(Command::Sweep { at: later(900_000) });
    assert!(
        replica.memory.departure_of(SMALL.id()).is_some(),
        "its body is there"
    );
    replica.apply(Command::Relinquish { until: later(1) });
    replica.apply(Command::Sweep { at: later(900_000) });
    assert_eq!(replica.memory.known_of(SMALL.id()), None);
}

#[test]
fn what_was_deleted_is_remembered_as_it_was_and_not_kept_for_those_who_had_got_it() {
    let mut replica = accepted("", &[WIDE]);
    replica.apply(WIDE.report(later(1), vec![(0, delivered()), (1, rejected())]));
    replica.apply_repeatedly(handle(Verb::Delete, WIDE, later(2)));
    let left = replica.memory.departure_of(WIDE.id()).expect("remembered");
    assert!(!left.is_delivered());
    assert!(matches!(left.recipients[1].status, Status::Rejected { .. }));
    assert_eq!(replica.memory.history().rows, 1);
    assert_eq!((kept(&replica), replica.memory.dropped.len()), (vec![], 2));
    let replay = wish(NOW, None, later(3), &[WIDE]);
    assert_eq!(replica.apply_repeatedly(replay), Outcome::Replayed(0));
}

#[test]
fn a_replayed_message_is_not_held_although_it_was_and_has_its_time_again() {
    let mut replica = accepted("max_age = \"10s\"", &[SMALL]);
    claim(&mut replica, SMALL, "a.example");
    replica.apply(handle(Verb::Hold, SMALL, later(1)));
    replica.apply(SMALL.delivered(later(2)));
    replica.apply(wish(NOW, None, later(30), &[SMALL]));
    let message = replica.memory.message_of(SMALL.id()).unwrap();
    assert_eq!(message.hold, None);
    assert_eq!(message.counts_from(), later(30));
}

#[test]
fn a_replayed_message_that_is_held_on_its_way_is_reported_as_ever() {
    let mut replica = accepted("", &[SMALL]);
    replica.apply(SMALL.delivered(later(2)));
    replica.apply(wish(NOW, None, later(30), &[SMALL]));
    claim(&mut replica, SMALL, "a.example");
    replica.apply(handle(Verb::Hold, SMALL, later(31)));
    replica.apply(SMALL.delivered(later(32)));
    let known = replica.memory.known_of(SMALL.id());
    assert_eq!(known, Some(Known::Departed(later(32))));
}

#[test]
fn a_replayed_message_that_an_operator_touches_on_its_way_is_reported_as_ever() {
    let replayed = || {
        let mut replica = accepted("", &[SMALL]);
        replica.apply(SMALL.delivered(later(2)));
        replica.apply(wish(NOW, None, later(30), &[SMALL]));
        replica
    };
    let mut retried = replayed();
    claim(&mut retried, SMALL, "a.example");
    retried.apply(SMALL.report(later(31), vec![(0, deferred())]));
    claim(&mut retried, SMALL, "a.example");
    retried.apply(handle(Verb::Retry, SMALL, later(40)));
    assert_eq!(retried.memory.claimant_of(SMALL.id(), "a.example"), Some(4));
    assert_eq!(waiting(&retried, "a.example"), 1);

    let mut released = replayed();
    claim(&mut released, SMALL, "a.example");
    released.apply(handle(Verb::Hold, SMALL, later(31)));
    released.apply(handle(Verb::Release, SMALL, later(32)));

    for mut replica in [retried, released] {
        replica.apply(SMALL.delivered(later(41)));
        let known = replica.memory.known_of(SMALL.id());
        assert_eq!(known, Some(Known::Departed(later(41))));
    }
}
