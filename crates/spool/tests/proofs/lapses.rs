//! Mail that was refused for good, and has been kept for the postmaster long enough.

use core::time::Duration;

use spool::{
    Action, Adopt, Command, Handling, Lapse, MessageId, Status, Timestamp, Totals, Verb,
    policy::Document, view::Known,
};

use crate::{
    letters::{Letter, POLICY, TALKATIVE, delivered, found, rejected},
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

/// A spool with both letters in it.
fn accepted(queue: &str) -> Replica {
    let mut replica = Replica::default();
    replica.apply(found());
    replica.apply(Command::Adopt(Adopt {
        policy: Document::of_text(format!("{queue}{POLICY}")),
        replaces: 1,
        at: NOW,
        by: "postmaster".to_owned(),
    }));
    for letter in [SMALL, WIDE] {
        for number in 0..letter.pieces() {
            replica.apply(letter.stage(number, NOW));
        }
        replica.apply(letter.accept(NOW));
    }
    replica
}

const BRIEFLY: &str = "[queue]\nretain_rejected = \"100s\"\nretain_delivered = \"50s\"\n";

/// Everything that is there, as far as the proposer knows.
fn lapse(at: Timestamp) -> Command {
    let sequences = (0..50).collect();
    Command::Lapse(Lapse { at, sequences })
}

fn handle(verb: Verb, letter: Letter, at: Timestamp) -> Command {
    Command::Handle(Handling {
        verb,
        action: Action {
            id: MessageId::new(at.0, 0).0,
            at,
            by: "ann".to_owned(),
            ..Action::default()
        },
        batch: 1,
        ids: vec![letter.id()],
    })
}

fn is_there(replica: &Replica, letter: Letter) -> bool {
    replica.memory.message_of(letter.id()).is_some()
}

#[test]
fn what_was_refused_is_kept_for_so_long_and_remembered_after_that() {
    let mut replica = accepted(BRIEFLY);
    replica.apply(SMALL.report(later(10), vec![(0, rejected())]));
    replica.apply_repeatedly(lapse(later(109)));
    assert!(is_there(&replica, SMALL));
    replica.apply_repeatedly(lapse(later(110)));
    assert_eq!(
        replica.memory.known_of(SMALL.id()),
        Some(Known::Departed(later(110)))
    );
    let totals = replica.memory.destination_of("a.example").totals;
    assert_eq!(totals, Totals::default());
    let remembered = replica.memory.departure_of(SMALL.id()).unwrap();
    let status = &remembered.recipients[0].status;
    assert!(matches!(status, Status::Rejected { .. }), "{status:?}");
    assert_eq!(replica.memory.retained().count(), 0);
    assert!(is_there(&replica, WIDE), "it still waits");
}

#[test]
fn it_is_kept_as_long_as_anybody_waits_or_an_operator_wants_it() {
    let mut replica = accepted(BRIEFLY);
    replica.apply(WIDE.report(later(10), vec![(0, rejected()), (1, delivered())]));
    replica.apply(lapse(later(1000)));
    assert!(is_there(&replica, WIDE), "the third has not got it");
    replica.apply(handle(Verb::Hold, WIDE, later(1001)));
    replica.apply(WIDE.report(later(1002), vec![(2, rejected())]));
    replica.apply(lapse(later(2000)));
    assert!(is_there(&replica, WIDE), "it is held");
    replica.apply(handle(Verb::Release, WIDE, later(2001)));
    let mut retried = replica.clone();
    retried.apply(handle(Verb::Retry, WIDE, later(2002)));
    retried.apply(lapse(later(3000)));
    assert!(is_there(&retried, WIDE), "it is tried again");
    replica.apply(lapse(later(2003)));
    assert!(!is_there(&replica, WIDE));
}

#[test]
fn who_has_got_it_may_get_it_once_more_as_long_as_any_that_was_delivered() {
    let queue = "[queue]\nretain_rejected = \"1s\"\nretain_delivered = \"100s\"\n";
    let mut replica = accepted(queue);
    let verdicts = vec![(0, rejected()), (1, delivered()), (2, delivered())];
    replica.apply(WIDE.report(later(10), verdicts));
    replica.apply(lapse(later(109)));
    assert!(is_there(&replica, WIDE));
    replica.apply(lapse(later(110)));
    assert!(!is_there(&replica, WIDE));
}

#[test]
fn a_sender_who_is_still_to_be_told_is_told() {
    let mut replica = accepted(&format!("{TALKATIVE}retain_rejected = \"1s\"\n"));
    replica.apply(SMALL.report(later(10), vec![(0, rejected())]));
    let recipient = &replica.memory.message_of(SMALL.id()).unwrap().recipients[0];
    assert!(recipient.owed.is_some());
    replica.apply(lapse(later(1000)));
    assert!(is_there(&replica, SMALL));
}

#[test]
fn nothing_lapses_at_once_where_the_policy_says_nothing_of_it() {
    let mut replica = accepted("");
    replica.apply(SMALL.report(later(10), vec![(0, rejected())]));
    let day = 24 * 3600;
    replica.apply(lapse(later(60 * day)));
    assert!(is_there(&replica, SMALL));
    replica.apply(lapse(later(60 * day + 10)));
    assert!(!is_there(&replica, SMALL));
}
