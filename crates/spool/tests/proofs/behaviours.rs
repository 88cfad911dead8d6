//! What each command does, in examples.

use core::time::Duration;

use spool::{
    Command, HistoryTotals, KnownOffers, Message, Offers, Outcome, Place, Reachability, Standing,
    Status, Timestamp, Totals,
    apply::{STAGE_AGE_MAX, SWEEP_DEPARTED_MAX, SWEEP_STAGES_MAX},
    history::DEPARTED_AGE_MAX,
    policy::Document,
    retry,
    view::Known,
};

use crate::{
    letters::{Letter, POLICY, deferred, delivered, found, rejected},
    memory::{Key, Row},
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

fn accepted(letters: &[Letter]) -> Replica {
    let mut replica = Replica::default();
    for letter in letters {
        for number in 0..letter.pieces() {
            assert_eq!(replica.apply(letter.stage(number, NOW)), Outcome::Done);
        }
        assert_eq!(replica.apply(letter.accept(NOW)), Outcome::Accepted);
    }
    replica
}

impl Replica {
    fn message(&self, letter: Letter) -> &Message {
        self.memory
            .message_of(letter.id())
            .expect("the message is in the spool")
    }

    fn status(&self, letter: Letter, number: usize) -> &Status {
        &self.message(letter).recipients[number].status
    }

    fn totals(&self, domain: &str) -> Totals {
        self.memory.destination_of(domain).totals
    }

    fn is_empty(&self) -> bool {
        self.memory.messages().count() == 0 && self.memory.stages().count() == 0
    }
}

#[test]
fn an_accepted_message_waits_for_each_recipient() {
    let replica = accepted(&[SMALL]);
    let message = replica.message(SMALL);
    assert_eq!(message.standing("a.example"), Some(Standing::Waiting));
    assert_eq!((message.attempts, message.attempted_at), (0, None));
    assert_eq!(message.sequence, replica.applied);
    let totals = replica.totals("a.example");
    assert_eq!((totals.waiting, totals.undelivered()), (1, 1));
    assert_eq!(totals.bytes, SMALL.body().len() as u64);
}

#[test]
fn staged_pieces_and_the_tail_make_one_body_in_order() {
    let replica = accepted(&[LARGE]);
    let message = replica.message(LARGE);
    assert_eq!(message.body.pieces, [1, 2, 3, 4]);
    assert_eq!(replica.memory.body_of(message), LARGE.body());
    assert_eq!(replica.memory.stages().count(), 0);
}

#[test]
fn an_empty_body_needs_no_piece() {
    let empty = Letter(4);
    let replica = accepted(&[empty]);
    assert!(replica.message(empty).body.pieces.is_empty());
}

#[test]
fn a_message_whose_body_was_staged_whole_carries_nothing_more() {
    let staged_whole = Letter(9);
    let replica = accepted(&[staged_whole]);
    assert_eq!(replica.message(staged_whole).body.pieces, [1]);
}

#[test]
fn any_repeated_command_changes_nothing() {
    let mut replica = Replica::default();
    replica.apply_repeatedly(found());
    for number in 0..LARGE.pieces() {
        replica.apply_repeatedly(LARGE.stage(number, NOW));
    }
    replica.apply_repeatedly(LARGE.accept(NOW));
    replica.apply_repeatedly(WIDE.stage(0, NOW));
    replica.apply_repeatedly(WIDE.accept(NOW));
    replica.apply_repeatedly(LARGE.report(later(1), vec![(0, deferred())]));
    replica.apply_repeatedly(WIDE.report(later(1), vec![(0, rejected()), (1, deferred())]));
    replica.apply_repeatedly(LARGE.delivered(later(60)));
    replica.apply_repeatedly(SMALL.discard());
    replica.apply_repeatedly(Letter(2).stage(0, NOW));
    replica.apply_repeatedly(Letter(2).discard());
    replica.apply_repeatedly(Letter(5).stage(0, NOW));
    replica.apply_repeatedly(Command::Sweep { at: later(9000) });
    assert_eq!(replica.memory.messages().count(), 1);
}

#[test]
fn the_first_founding_wins() {
    let mut replica = accepted(&[]);
    replica.apply(found());
    replica.apply(Command::Found {
        cluster: 8,
        policy: Document::default(),
        at: NOW,
    });
    let Row::Founded(cluster, policy) = &replica.memory.rows[&Key::Founded] else {
        panic!("another row stands there");
    };
    assert_eq!((*cluster, policy.version), (7, 1));
    assert_eq!(policy.document, Document::of_text(POLICY));
}

#[test]
fn a_stage_with_a_gap_is_refused_and_its_piece_dropped() {
    let mut replica = Replica::default();
    assert_eq!(replica.apply(LARGE.stage(0, NOW)), Outcome::Done);
    assert_eq!(replica.apply(LARGE.stage(2, NOW)), Outcome::StageGone);
    assert_eq!(replica.memory.dropped, [2]);
    assert_eq!(replica.apply(LARGE.stage(1, NOW)), Outcome::Done);
}

#[test]
fn an_acceptance_without_all_pieces_is_refused_and_leaves_nothing() {
    let mut replica = Replica::default();
    replica.apply(LARGE.stage(0, NOW));
    assert_eq!(replica.apply(LARGE.accept(NOW)), Outcome::StageGone);
    assert!(replica.is_empty());
    assert_eq!(replica.memory.dropped, [2, 1]);
    assert_eq!(replica.apply(LARGE.accept(NOW)), Outcome::StageGone);
}

#[test]
fn a_discarded_message_leaves_no_piece() {
    let mut replica = Replica::default();
    replica.apply(LARGE.stage(0, NOW));
    replica.apply(LARGE.stage(1, NOW));
    replica.apply(LARGE.discard());
    assert!(replica.is_empty());
    assert_eq!(replica.memory.dropped, [1, 2]);
}

#[test]
fn a_discard_that_comes_late_does_not_touch_the_message() {
    let mut replica = accepted(&[LARGE]);
    let before = replica.memory.clone();
    replica.apply(LARGE.discard());
    assert_eq!(replica.memory, before);
}

#[test]
fn a_report_moves_each_recipient_on_its_own() {
    let mut replica = accepted(&[WIDE]);
    let verdicts = vec![(0, delivered()), (1, deferred()), (2, rejected())];
    replica.apply(WIDE.report(later(5), verdicts));
    let at = later(5);
    let until = retry::next_attempt(WIDE.id(), 1, at);
    assert!(matches!(replica.status(WIDE, 0), Status::Delivered { at: when, .. } if *when == at));
    assert!(matches!(replica.status(WIDE, 1), Status::Deferred { until: u, .. } if *u == until));
    assert!(matches!(replica.status(WIDE, 2), Status::Rejected { at: when, .. } if *when == at));
    let message = replica.message(WIDE);
    assert_eq!((message.attempts, message.attempted_at), (1, Some(at)));
    assert_eq!(replica.totals("b.example").rejected, 1);
    assert_eq!(replica.totals("*.c.example").deferred, 1);
}

#[test]
fn a_message_in_two_domains_stands_in_both_queues_until_each_is_done() {
    let mut replica = accepted(&[WIDE]);
    for domain in ["b.example", "*.c.example"] {
        assert_eq!(replica.totals(domain).waiting, 1);
        let place = Key::Queue(domain.to_owned(), replica.applied);
        let waits = Place {
            due: Timestamp(0),
            claimed_by: None,
        };
        assert_eq!(replica.memory.rows[&place], Row::Place(waits));
    }
    replica.apply(WIDE.report(later(1), vec![(1, delivered())]));
    assert_eq!(replica.totals("*.c.example"), Totals::default());
    assert_eq!(replica.totals("b.example").waiting, 1);
    replica.apply(WIDE.report(later(2), vec![(0, delivered()), (2, delivered())]));
    assert!(replica.is_empty());
}

#[test]
fn a_delivered_message_leaves_with_its_pieces_and_its_id_stays_known() {
    let mut replica = accepted(&[LARGE]);
    replica.apply(LARGE.delivered(later(9)));
    assert!(replica.is_empty());
    assert_eq!(replica.memory.dropped, [1, 2, 3, 4]);
    let known = replica.memory.known_of(LARGE.id());
    assert_eq!(known, Some(Known::Departed(later(9))));
    assert_eq!(replica.totals("a.example"), Totals::default());
}

#[test]
fn a_proposal_repeated_after_departure_is_answered_and_spools_nothing() {
    let mut replica = accepted(&[LARGE]);
    replica.apply(LARGE.delivered(later(9)));
    assert_eq!(replica.apply(LARGE.stage(0, NOW)), Outcome::Done);
    assert_eq!(replica.apply(LARGE.accept(NOW)), Outcome::Accepted);
    assert!(replica.is_empty());
}

#[test]
fn a_late_report_of_a_final_recipient_changes_nothing() {
    let mut replica = accepted(&[WIDE]);
    replica.apply(WIDE.report(later(5), vec![(0, delivered()), (2, rejected())]));
    let before = replica.memory.clone();
    replica.apply(WIDE.report(later(6), vec![(0, deferred()), (2, delivered())]));
    replica.apply(WIDE.report(later(7), vec![(0, rejected()), (2, deferred())]));
    assert_eq!(replica.memory, before);
}

#[test]
fn a_report_of_an_unknown_message_or_recipient_changes_nothing() {
    let mut replica = accepted(&[SMALL]);
    let before = replica.memory.clone();
    replica.apply(LARGE.delivered(later(1)));
    replica.apply(SMALL.report(later(1), vec![(1, delivered()), (u32::MAX, rejected())]));
    assert_eq!(replica.memory, before);
}

#[test]
fn an_old_deferral_does_not_bring_a_later_one_forward() {
    let mut replica = accepted(&[SMALL]);
    let first = SMALL.report(later(1), vec![(0, deferred())]);
    replica.apply(first.clone());
    replica.apply(SMALL.report(later(60), vec![(0, deferred())]));
    let before = replica.memory.clone();
    replica.apply(first);
    assert_eq!(replica.memory, before);
}

#[test]
fn a_flushed_message_is_deferred_anew_before_its_wait_is_over() {
    let mut replica = accepted(&[SMALL]);
    replica.apply(SMALL.report(later(1), vec![(0, deferred())]));
    replica.apply(SMALL.report(later(3), vec![(0, deferred())]));
    assert_eq!(replica.message(SMALL).attempts, 2);
    let until = retry::next_attempt(SMALL.id(), 2, later(3));
    assert!(matches!(replica.status(SMALL, 0), Status::Deferred { until: u, .. } if *u == until));
}

#[test]
fn two_attempts_of_one_message_in_one_report_both_count() {
    let mut replica = accepted(&[WIDE]);
    let at = later(1);
    for round in 1..=2 {
        let attempts = vec![
            WIDE.attempt(vec![(0, deferred()), (2, deferred())]),
            WIDE.attempt(vec![(1, deferred())]),
        ];
        let at = at.after(Duration::from_secs(round));
        replica.apply(Command::Report(spool::Report {
            term: 1,
            at,
            attempts,
        }));
        assert_eq!(u64::from(replica.message(WIDE).attempts), 2 * round);
    }
}

#[test]
fn a_rejected_message_stays_to_be_seen_and_in_nobodys_way() {
    let mut replica = accepted(&[SMALL]);
    replica.apply(SMALL.report(later(1), vec![(0, rejected())]));
    replica.apply(Command::Sweep { at: later(100_000) });
    assert_eq!(
        replica.message(SMALL).standing("a.example"),
        Some(Standing::Rejected)
    );
    let totals = replica.totals("a.example");
    assert_eq!((totals.rejected, totals.undelivered()), (1, 0));
    assert!(replica.memory.dropped.is_empty());
}

#[test]
fn the_words_of_a_primary_are_kept_within_a_bound() {
    let mut replica = accepted(&[SMALL]);
    let verdict = spool::Verdict::Rejected("\u{e9}".repeat(10_000));
    replica.apply(SMALL.report(later(1), vec![(0, verdict)]));
    let Status::Rejected { reply, .. } = replica.status(SMALL, 0) else {
        panic!("not rejected");
    };
    assert_eq!(reply.chars().count(), 512);
}

#[test]
fn a_flush_marks_one_domain_or_all_and_never_goes_back() {
    let mut replica = accepted(&[WIDE]);
    let flush = |domain: Option<&str>, at| Command::Flush {
        domain: domain.map(str::to_owned),
        at,
    };
    replica.apply_repeatedly(flush(Some("b.example"), later(5)));
    let flushed_at = |replica: &Replica, domain| replica.memory.destination_of(domain).flushed_at;
    assert_eq!(flushed_at(&replica, "b.example"), later(5));
    assert_eq!(flushed_at(&replica, "*.c.example"), Timestamp(0));
    replica.apply_repeatedly(flush(None, later(3)));
    assert_eq!(flushed_at(&replica, "b.example"), later(5));
    assert_eq!(flushed_at(&replica, "*.c.example"), later(3));
    assert_eq!(replica.totals("b.example").waiting, 1);
}

#[test]
fn what_a_primary_offers_is_kept_with_the_moment_of_the_change() {
    let mut replica = accepted(&[SMALL]);
    let offers = |size_max| Offers {
        size_max: Some(size_max),
        ..Offers::default()
    };
    let told = |size_max, at| Command::Offers {
        domain: "a.example".to_owned(),
        offers: offers(size_max),
        policy_version: 0,
        at,
    };
    let learned = |replica: &Replica| replica.memory.destination_of("a.example").learned;
    assert_eq!(learned(&replica), None);
    replica.apply_repeatedly(told(1000, later(1)));
    let first = Some(KnownOffers {
        offers: offers(1000),
        since: later(1),
    });
    assert_eq!(learned(&replica), first);
    replica.apply(told(1000, later(2)));
    assert_eq!(learned(&replica), first, "nothing new");
    replica.apply_repeatedly(told(2000, later(3)));
    replica.apply(told(1000, later(1)));
    let second = Some(KnownOffers {
        offers: offers(2000),
        since: later(3),
    });
    assert_eq!(
        learned(&replica),
        second,
        "a late copy of the first changes nothing"
    );
    replica.apply(told(3000, later(500_000)));
    replica.apply_repeatedly(told(1000, later(4)));
    assert_eq!(
        learned(&replica).map(|known| known.since),
        Some(later(4)),
        "a clock was ahead"
    );
    assert_eq!(replica.totals("a.example").waiting, 1);
}

#[test]
fn an_observation_keeps_the_moment_of_the_change_and_the_latest_words() {
    let mut replica = accepted(&[SMALL]);
    let observe = |reachability, at| Command::Observe {
        domain: "a.example".to_owned(),
        reachability,
        at,
    };
    replica.apply_repeatedly(observe(Reachability::Down("refused".to_owned()), later(1)));
    replica.apply(observe(
        Reachability::Down("timed out".to_owned()),
        later(2),
    ));
    let destination = replica.memory.destination_of("a.example");
    let down = Reachability::Down("timed out".to_owned());
    assert_eq!(
        (destination.reachability, destination.since),
        (down, later(1))
    );
    assert_eq!(destination.totals.waiting, 1);
    replica.apply_repeatedly(observe(Reachability::Up, later(3)));
    let destination = replica.memory.destination_of("a.example");
    assert_eq!(
        (destination.reachability, destination.since),
        (Reachability::Up, later(3))
    );
}

#[test]
fn a_sweep_drops_only_what_is_old() {
    let mut replica = accepted(&[SMALL]);
    replica.apply(SMALL.delivered(NOW));
    replica.apply(LARGE.stage(0, NOW));
    assert_eq!(STAGE_AGE_MAX, DEPARTED_AGE_MAX);
    let age = NOW.after(STAGE_AGE_MAX);
    let before = replica.memory.clone();
    replica.apply(Command::Sweep { at: age });
    assert_eq!(replica.memory, before);

    replica.apply(LARGE.stage(1, later(10)));
    replica.apply(Command::Sweep {
        at: Timestamp(age.0 + 1),
    });
    assert_eq!(replica.memory.known_of(SMALL.id()), None);
    assert_eq!(
        replica.memory.stages().count(),
        1,
        "touched ten seconds later"
    );
    replica.apply(Command::Sweep { at: later(3611) });
    assert!(replica.is_empty());
}

#[test]
fn a_sweep_drops_no_more_stages_than_its_limit() {
    let mut replica = Replica::default();
    let many = SWEEP_STAGES_MAX + 20;
    let letters = (0_u32..)
        .map(Letter)
        .filter(|letter| letter.pieces() > 0)
        .take(many);
    let stages = letters.map(|letter| letter.stage(0, NOW));
    let batch: Vec<_> = (1..).zip(stages).collect();
    replica.memory.apply_batch(&batch);
    replica.applied = batch.len() as u64;
    replica.apply(Command::Sweep { at: later(9000) });
    assert_eq!(replica.memory.stages().count(), 20);
    replica.apply(Command::Sweep { at: later(9000) });
    assert!(replica.is_empty());
}

#[test]
fn a_sweep_forgets_no_more_ids_than_its_limit() {
    let mut replica = Replica::default();
    for number in 0..SWEEP_DEPARTED_MAX as u32 + 5 {
        let (id, gone) = (Letter(number).id(), Known::Departed(NOW));
        replica.memory.rows.insert(Key::Known(id), Row::Known(gone));
        replica
            .memory
            .rows
            .insert(Key::Departed(NOW, id), Row::Present);
    }
    let rows = SWEEP_DEPARTED_MAX as u64 + 5;
    let totals = HistoryTotals {
        rows,
        ..HistoryTotals::default()
    };
    replica
        .memory
        .rows
        .insert(Key::History, Row::History(totals));
    replica.apply(Command::Sweep { at: later(9000) });
    assert_eq!(replica.memory.history().rows, 5);
    assert_eq!(replica.memory.rows.len(), 2 * 5 + 1);
}
