//! Mail that is given up because it is too old.

use core::time::Duration;

use spool::{
    Action, Adopt, Claims, Command, Expire, Handling, MessageId, Outage, Outcome, Reachability,
    Recovery, Status, Timestamp, Totals, Verb, guard::Step, outage::OUTAGES_MAX, policy::Document,
};

use crate::{
    letters::{Letter, POLICY, deferred, delivered, found},
    memory::{Key, Row},
    replica::Replica,
};

/// No pieces, one recipient at a.example.
const SMALL: Letter = Letter(0);
/// One piece and a tail, recipients at b.example, *.c.example and b.example.
const WIDE: Letter = Letter(1);

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn later(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

/// A spool that gives mail up after 100 s, or 500 s with outages; letters came to it at `NOW`.
fn accepted(letters: &[Letter]) -> Replica {
    let mut replica = Replica::default();
    replica.apply(found());
    let queue = "[queue]\nmax_age = \"100s\"\nmax_age_total = \"500s\"\n";
    replica.apply(Command::Adopt(Adopt {
        policy: Document::of_text(format!("{queue}{POLICY}")),
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

fn down(domain: &str, at: Timestamp) -> Command {
    Command::Observe {
        domain: domain.to_owned(),
        reachability: Reachability::Down("connection refused".to_owned()),
        at,
    }
}

fn up(domain: &str, at: Timestamp) -> Command {
    Command::Observe {
        domain: domain.to_owned(),
        reachability: Reachability::Up,
        at,
    }
}

fn sequence(replica: &Replica, letter: Letter) -> u64 {
    replica
        .memory
        .message_of(letter.id())
        .expect("it is in the spool")
        .sequence
}

fn expire(replica: &Replica, letter: Letter, domain: &str, at: Timestamp) -> Command {
    Command::Expire(Expire {
        domain: domain.to_owned(),
        at,
        sequences: vec![sequence(replica, letter)],
    })
}

fn statuses(replica: &Replica, letter: Letter) -> Vec<Status> {
    let message = replica
        .memory
        .message_of(letter.id())
        .expect("it is in the spool");
    let recipients = message.recipients.iter();
    recipients
        .map(|recipient| recipient.status.clone())
        .collect()
}

fn is_given_up(status: &Status) -> bool {
    matches!(status, Status::Rejected { reply, .. } if reply.starts_with("5.4.7 "))
}

#[test]
fn what_is_too_old_is_given_up_and_stays_for_the_postmaster() {
    let mut replica = accepted(&[SMALL]);
    let too_early = expire(&replica, SMALL, "a.example", later(99));
    replica.apply_repeatedly(too_early);
    assert_eq!(statuses(&replica, SMALL), [Status::Pending]);
    let in_time = expire(&replica, SMALL, "a.example", later(100));
    replica.apply_repeatedly(in_time);
    assert!(is_given_up(&statuses(&replica, SMALL)[0]));
    let totals = replica.memory.destination_of("a.example").totals;
    assert_eq!((totals.rejected, totals.undelivered()), (1, 0));
    // A report that comes late is about a recipient who is settled.
    replica.apply(SMALL.delivered(later(101)));
    assert!(is_given_up(&statuses(&replica, SMALL)[0]));
    assert!(replica.memory.dropped.is_empty(), "its body is there");
}

#[test]
fn time_in_which_the_primary_was_down_does_not_count() {
    let mut replica = accepted(&[SMALL]);
    replica.apply(down("a.example", later(50)));
    replica.apply(expire(&replica, SMALL, "a.example", later(400)));
    assert_eq!(statuses(&replica, SMALL), [Status::Pending], "it is down");
    replica.apply(up("a.example", later(400)));
    replica.apply(expire(&replica, SMALL, "a.example", later(449)));
    assert_eq!(statuses(&replica, SMALL), [Status::Pending], "it was down");
    replica.apply(expire(&replica, SMALL, "a.example", later(450)));
    assert!(is_given_up(&statuses(&replica, SMALL)[0]));
}

#[test]
fn an_outage_without_end_keeps_mail_no_longer_than_the_age_in_all() {
    let mut replica = accepted(&[SMALL]);
    replica.apply(down("a.example", later(1)));
    replica.apply(expire(&replica, SMALL, "a.example", later(499)));
    assert_eq!(statuses(&replica, SMALL), [Status::Pending]);
    replica.apply(expire(&replica, SMALL, "a.example", later(500)));
    assert!(is_given_up(&statuses(&replica, SMALL)[0]));
}

#[test]
fn each_domain_has_a_clock_of_its_own_and_who_has_the_message_keeps_it() {
    let mut replica = accepted(&[WIDE]);
    replica.apply(WIDE.report(later(5), vec![(0, delivered()), (2, deferred())]));
    replica.apply(down("*.c.example", later(50)));
    replica.apply(expire(&replica, WIDE, "*.c.example", later(150)));
    replica.apply(expire(&replica, WIDE, "b.example", later(150)));
    let [first, second, third] = statuses(&replica, WIDE).try_into().unwrap();
    assert!(matches!(first, Status::Delivered { .. }));
    assert_eq!(second, Status::Pending);
    let Status::Rejected { reply, .. } = third else {
        panic!("{third:?}");
    };
    assert!(
        reply.contains("5.4.7") && reply.ends_with("451 4.3.0 not now"),
        "{reply}"
    );
    // The other recipient gets it, and the message stays for the one who did not.
    replica.apply(WIDE.report(later(160), vec![(1, delivered())]));
    let totals = replica.memory.destination_of("b.example").totals;
    assert_eq!((totals.rejected, totals.undelivered()), (1, 0));
    assert_eq!(
        replica.memory.destination_of("*.c.example").totals,
        Totals::default()
    );
}

#[test]
fn what_a_leader_may_be_delivering_is_left_alone() {
    let mut replica = accepted(&[SMALL]);
    let claims = Claims {
        term: 3,
        domain: "a.example".to_owned(),
        sequences: vec![sequence(&replica, SMALL)],
    };
    replica.apply(Command::Claim(claims.clone()));
    replica.apply(expire(&replica, SMALL, "a.example", later(200)));
    assert_eq!(statuses(&replica, SMALL), [Status::Pending]);
    replica.apply(down("a.example", later(210)));
    replica.apply(expire(&replica, SMALL, "a.example", later(1100)));
    assert_eq!(statuses(&replica, SMALL), [Status::Pending]);
    let mut long_down = replica.clone();
    long_down.apply(expire(&replica, SMALL, "a.example", later(1110)));
    assert!(is_given_up(&statuses(&long_down, SMALL)[0]));
    assert_eq!(long_down.memory.destination_of("a.example").revision, 1);
    replica.apply(Command::Release(claims));
    replica.apply(expire(&replica, SMALL, "a.example", later(200)));
    assert!(is_given_up(&statuses(&replica, SMALL)[0]));
}

#[test]
fn outages_are_remembered_once_and_not_without_end() {
    let mut replica = accepted(&[]);
    for number in 0..OUTAGES_MAX as u64 + 3 {
        let since = later(100 * number);
        replica.apply(down("a.example", since));
        replica.apply(down("a.example", since.after(Duration::from_secs(5))));
        replica.apply(up("a.example", since.after(Duration::from_secs(10))));
        replica.apply(up("a.example", since.after(Duration::from_secs(20))));
    }
    let outages = replica.memory.outages_of("a.example");
    assert_eq!(outages.len(), OUTAGES_MAX);
    let first = Outage {
        since: NOW,
        until: later(310),
    };
    assert_eq!(outages[0], first, "the earliest have become one");
    let last = outages.last().unwrap();
    assert_eq!(last.until.since(last.since), Duration::from_secs(10));
    let rows = replica.memory.rows.iter();
    let others = rows.filter(|(key, row)| {
        matches!((key, row), (Key::Outage(domain, _), Row::Until(_)) if domain != "a.example")
    });
    assert_eq!(others.count(), 0);
}

#[test]
fn a_clock_that_was_set_back_makes_no_outage() {
    let mut replica = accepted(&[]);
    replica.apply(down("a.example", later(50)));
    replica.apply(up("a.example", later(40)));
    assert!(replica.memory.outages_of("a.example").is_empty());
}

fn action(at: Timestamp) -> Action {
    Action {
        id: MessageId::new(at.0, 0).0,
        at,
        by: "ann".to_owned(),
        ..Action::default()
    }
}

fn handle(verb: Verb, letter: Letter, at: Timestamp) -> Command {
    Command::Handle(Handling {
        verb,
        action: action(at),
        batch: 1,
        ids: vec![letter.id()],
    })
}

#[test]
fn what_is_held_is_not_given_up_and_has_its_time_again_once_it_is_released() {
    let mut replica = accepted(&[SMALL]);
    replica.apply(handle(Verb::Hold, SMALL, later(50)));
    replica.apply(expire(&replica, SMALL, "a.example", later(1000)));
    assert_eq!(statuses(&replica, SMALL), [Status::Pending], "it is held");
    replica.apply(handle(Verb::Release, SMALL, later(1000)));
    replica.apply(expire(&replica, SMALL, "a.example", later(1099)));
    assert_eq!(statuses(&replica, SMALL), [Status::Pending]);
    replica.apply(expire(&replica, SMALL, "a.example", later(1100)));
    assert!(is_given_up(&statuses(&replica, SMALL)[0]));
}

#[test]
fn what_was_given_up_and_is_retried_has_its_time_again() {
    let mut replica = accepted(&[SMALL]);
    replica.apply(expire(&replica, SMALL, "a.example", later(600)));
    assert!(is_given_up(&statuses(&replica, SMALL)[0]));
    replica.apply_repeatedly(handle(Verb::Retry, SMALL, later(700)));
    assert_eq!(statuses(&replica, SMALL), [Status::Pending]);
    replica.apply(expire(&replica, SMALL, "a.example", later(799)));
    assert_eq!(statuses(&replica, SMALL), [Status::Pending]);
    let message = replica.memory.message_of(SMALL.id()).unwrap();
    assert_eq!(message.received_at, NOW, "it is no younger");
    replica.apply(expire(&replica, SMALL, "a.example", later(800)));
    assert!(is_given_up(&statuses(&replica, SMALL)[0]));
}

#[test]
fn time_in_which_the_domain_was_paused_does_not_count() {
    let pause = |at: Timestamp, until| Command::Pause {
        domain: "a.example".to_owned(),
        until,
        action: action(at),
    };
    let resume = |at: Timestamp| Command::Resume {
        domain: "a.example".to_owned(),
        action: action(at),
    };
    let mut replica = accepted(&[SMALL]);
    replica.apply_repeatedly(pause(later(10), None));
    replica.apply(expire(&replica, SMALL, "a.example", later(200)));
    assert_eq!(statuses(&replica, SMALL), [Status::Pending], "it is paused");
    replica.apply_repeatedly(resume(later(210)));
    // One that ends by itself counts the same before and after it is swept.
    replica.apply_repeatedly(pause(later(220), Some(later(270))));
    replica.apply(expire(&replica, SMALL, "a.example", later(349)));
    assert_eq!(
        statuses(&replica, SMALL),
        [Status::Pending],
        "it was paused"
    );
    replica.apply_repeatedly(Command::Sweep { at: later(349) });
    let spans = replica.memory.outages_of("a.example");
    let spans: Vec<_> = spans.iter().map(|o| (o.since, o.until)).collect();
    assert_eq!(spans, [(later(10), later(210)), (later(220), later(270))]);
    replica.apply(expire(&replica, SMALL, "a.example", later(349)));
    assert_eq!(statuses(&replica, SMALL), [Status::Pending]);
    replica.apply(expire(&replica, SMALL, "a.example", later(350)));
    assert!(is_given_up(&statuses(&replica, SMALL)[0]));
}

#[test]
fn another_pause_forgets_none_that_has_ended_and_outages_of_one_moment_are_one() {
    let pause = |at: Timestamp, until| Command::Pause {
        domain: "a.example".to_owned(),
        until: Some(until),
        action: action(at),
    };
    let mut replica = accepted(&[]);
    replica.apply(down("a.example", later(10)));
    replica.apply(pause(later(10), later(40)));
    replica.apply(up("a.example", later(30)));
    replica.apply(pause(later(50), later(60)));
    replica.apply(Command::Sweep { at: later(70) });
    let spans = replica.memory.outages_of("a.example");
    let spans: Vec<_> = spans.iter().map(|o| (o.since, o.until)).collect();
    assert_eq!(spans, [(later(10), later(40)), (later(50), later(60))]);
}

#[test]
fn time_in_which_the_recovery_guard_kept_mail_back_does_not_count() {
    let recover = |step: Step, at: Timestamp| {
        Command::Recover(Recovery {
            domain: "a.example".to_owned(),
            at,
            step,
        })
    };
    let begun_at = later(20);
    let why = "it refused 5 of the first 5".to_owned();
    let mut replica = accepted(&[SMALL]);
    replica.apply(down("a.example", later(10)));
    replica.apply(recover(Step::Begun, begun_at));
    replica.apply(up("a.example", later(20)));
    replica.apply(recover(Step::Tripped { begun_at, why }, later(50)));
    replica.apply(expire(&replica, SMALL, "a.example", later(300)));
    assert_eq!(
        statuses(&replica, SMALL),
        [Status::Pending],
        "it is held back"
    );

    let mut unguarded = replica.clone();
    let queue = "[queue]\nmax_age = \"100s\"\nmax_age_total = \"500s\"\n";
    unguarded.apply(Command::Adopt(Adopt {
        policy: Document::of_text(format!("{queue}{POLICY}recovery_guard = false\n")),
        replaces: 2,
        at: later(300),
        by: "postmaster".to_owned(),
    }));
    replica.apply_repeatedly(Command::Resume {
        domain: "a.example".to_owned(),
        action: action(later(300)),
    });
    for mut replica in [replica, unguarded] {
        let spans = replica.memory.outages_of("a.example");
        let spans: Vec<_> = spans.iter().map(|o| (o.since, o.until)).collect();
        assert_eq!(spans, [(later(10), later(20)), (later(50), later(300))]);
        replica.apply(expire(&replica, SMALL, "a.example", later(359)));
        assert_eq!(statuses(&replica, SMALL), [Status::Pending]);
        replica.apply(expire(&replica, SMALL, "a.example", later(360)));
        assert!(is_given_up(&statuses(&replica, SMALL)[0]));
    }
}
