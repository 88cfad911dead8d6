//! What senders are owed, and how they are told, in examples.

use core::time::Duration;

use spool::{
    Accept, Action, Adopt, Authentication, Claims, Command, Delay, Expire, Finding, Handling,
    Message, MessageId, Outcome, Reachability, Replay, Status, Timestamp, Verb,
    notice::{Kind, QUEUE},
    policy::Document,
    view::Known,
};

use crate::{
    letters::{
        Letter, POLICY, TALKATIVE, deferred, delivered, found, found_with, rejected, relayed,
    },
    replica::Replica,
};

/// No pieces, one recipient at a.example, of whom nothing was said.
const SMALL: Letter = Letter(0);
/// One piece and a tail; recipients at b.example, *.c.example and b.example. Nothing was said of the first, of the
/// second the sender wants to know all, of the third nothing.
const WIDE: Letter = Letter(1);
/// Nobody has sent it; one recipient at a.example.
const NOBODYS: Letter = Letter(3);

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn later(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

/// A spool whose policy begins with this; letters came to it at `NOW`.
fn accepted(queue: &str, letters: &[Letter]) -> Replica {
    let mut replica = Replica::default();
    replica.apply(found_with(queue));
    for letter in letters {
        accept(&mut replica, *letter);
    }
    replica
}

fn accept(replica: &mut Replica, letter: Letter) {
    for number in 0..letter.pieces() {
        replica.apply(letter.stage(number, NOW));
    }
    assert_eq!(replica.apply(letter.accept(NOW)), Outcome::Accepted);
}

/// The same letter, from a sender whose SPF has passed.
fn authenticated(letter: Letter) -> Command {
    let Command::Accept(accept) = letter.accept(NOW) else {
        panic!("it is an acceptance");
    };
    Command::Accept(Box::new(Accept {
        authentication: Some(Authentication {
            spf: Finding::Pass,
            ..Authentication::default()
        }),
        ..*accept
    }))
}

fn handle(verb: Verb, reason: &str, at: Timestamp, letter: Letter) -> Command {
    Command::Handle(Handling {
        verb,
        action: Action {
            id: MessageId::new(at.0, 0).0,
            at,
            by: "ann".to_owned(),
            what: "what she wants".to_owned(),
            reason: reason.to_owned(),
        },
        batch: 1,
        ids: vec![letter.id()],
    })
}

impl Replica {
    fn letter(&self, letter: Letter) -> &Message {
        let message = self.memory.message_of(letter.id());
        message.expect("it is in the spool")
    }

    fn owed(&self, letter: Letter) -> Vec<Option<Kind>> {
        let recipients = self.letter(letter).recipients.iter();
        recipients.map(|recipient| recipient.owed).collect()
    }

    fn is_spooled(&self, letter: Letter) -> bool {
        self.memory.message_of(letter.id()).is_some()
    }
}

#[test]
fn a_refused_message_leaves_when_its_sender_is_told() {
    let mut replica = accepted(TALKATIVE, &[SMALL]);
    replica.apply(SMALL.report(later(1), vec![(0, rejected())]));
    assert_eq!(replica.owed(SMALL), [Some(Kind::Failed)]);
    assert_eq!(
        replica.memory.destination_of("a.example").totals.rejected,
        1
    );
    replica.apply_repeatedly(SMALL.notify(Kind::Failed, &[0], later(2)));
    assert_eq!(
        replica.memory.known_of(SMALL.id()),
        Some(Known::Departed(later(2)))
    );
    let report = replica.letter(SMALL.told_by(Kind::Failed));
    assert_eq!(report.domains(), [QUEUE]);
    assert_eq!(replica.memory.destination_of(QUEUE).totals.waiting, 1);
    let remembered = replica.memory.departure_of(SMALL.id()).unwrap();
    let Status::Returned { at, reply, report } = &remembered.recipients[0].status else {
        panic!("{:?}", remembered.recipients);
    };
    assert_eq!(*at, later(2));
    assert!(reply.starts_with("550 5.1.1"), "{reply}");
    assert_eq!(*report, Some(SMALL.told_by(Kind::Failed).id()));
}

#[test]
fn a_sender_who_may_be_forged_is_not_told() {
    let mut replica = accepted("", &[SMALL]);
    replica.apply(SMALL.report(later(1), vec![(0, rejected())]));
    assert_eq!(replica.owed(SMALL), [None]);
    let mut replica = accepted("", &[]);
    replica.apply(authenticated(SMALL));
    replica.apply(SMALL.report(later(1), vec![(0, rejected())]));
    assert_eq!(replica.owed(SMALL), [Some(Kind::Failed)]);
    let mut replica = accepted("[queue]\ndsn = \"never\"\n", &[]);
    replica.apply(authenticated(SMALL));
    replica.apply(SMALL.report(later(1), vec![(0, rejected())]));
    assert_eq!(replica.owed(SMALL), [None]);
}

#[test]
fn nobody_is_told_of_a_message_that_nobody_has_sent() {
    let mut replica = accepted(TALKATIVE, &[NOBODYS]);
    replica.apply(NOBODYS.report(later(1), vec![(0, rejected())]));
    assert_eq!(replica.owed(NOBODYS), [None]);
    replica.apply_repeatedly(NOBODYS.notify(Kind::Failed, &[0], later(2)));
    assert!(replica.is_spooled(NOBODYS), "the postmaster sees it");
    assert!(!replica.is_spooled(NOBODYS.told_by(Kind::Failed)));
}

#[test]
fn each_recipient_is_reported_on_as_the_sender_wants() {
    let mut replica = accepted(TALKATIVE, &[WIDE]);
    let refused = (0..3).map(|number| (number, rejected()));
    replica.apply(WIDE.report(later(1), refused.collect()));
    let failed = Some(Kind::Failed);
    assert_eq!(replica.owed(WIDE), [failed, failed, None]);
    replica.apply_repeatedly(WIDE.notify(Kind::Failed, &[0, 1], later(2)));
    let statuses = &replica.letter(WIDE).recipients;
    assert!(matches!(statuses[1].status, Status::Returned { .. }));
    assert!(matches!(statuses[2].status, Status::Rejected { .. }));
    assert_eq!(replica.owed(WIDE), [None; 3]);
}

#[test]
fn a_report_that_would_say_what_is_not_so_is_not_spooled() {
    let mut replica = accepted(TALKATIVE, &[WIDE]);
    replica.apply(WIDE.report(later(1), vec![(0, rejected()), (1, rejected())]));
    replica.apply(handle(Verb::Retry, "", later(2), WIDE));
    assert_eq!(replica.owed(WIDE), [None; 3]);
    replica.apply(WIDE.report(later(3), vec![(1, rejected())]));
    let before = replica.memory.rows.clone();
    replica.apply_repeatedly(WIDE.notify(Kind::Failed, &[0, 1], later(4)));
    replica.apply_repeatedly(WIDE.notify(Kind::Relayed, &[1], later(4)));
    replica.apply_repeatedly(WIDE.notify(Kind::Failed, &[], later(4)));
    replica.apply_repeatedly(WIDE.notify(Kind::Failed, &[9], later(4)));
    assert_eq!(replica.memory.rows, before);
}

#[test]
fn what_is_relayed_is_told_once_to_those_who_asked_and_then_leaves() {
    let mut replica = accepted(TALKATIVE, &[WIDE]);
    let taken = (0..3).map(|number| (number, relayed()));
    replica.apply(WIDE.report(later(1), taken.collect()));
    assert_eq!(replica.owed(WIDE), [None, Some(Kind::Relayed), None]);
    assert_eq!(replica.letter(WIDE).standing("*.c.example"), None);
    replica.apply_repeatedly(WIDE.notify(Kind::Relayed, &[1], later(2)));
    assert!(!replica.is_spooled(WIDE));
    let remembered = replica.memory.departure_of(WIDE.id()).unwrap();
    assert!(remembered.is_delivered());
    let id = WIDE.id();
    replica.apply(Command::Replay(Replay {
        since: NOW,
        domain: None,
        at: later(3),
        ids: vec![id],
    }));
    for domain in ["b.example", "*.c.example"] {
        let sequences = vec![replica.letter(WIDE).sequence];
        replica.apply(Command::Claim(Claims {
            term: 1,
            domain: domain.to_owned(),
            sequences,
        }));
    }
    let taken = (0..3).map(|number| (number, relayed()));
    replica.apply(WIDE.report(later(4), taken.collect()));
    assert!(!replica.is_spooled(WIDE), "it was told the first time");
}

#[test]
fn a_sender_is_told_once_that_his_mail_waits() {
    let mut replica = accepted(TALKATIVE, &[WIDE, NOBODYS]);
    let sequences = vec![
        replica.letter(WIDE).sequence,
        replica.letter(NOBODYS).sequence,
    ];
    let delay = |at| {
        let sequences = sequences.clone();
        Command::Delay(Delay { at, sequences })
    };
    replica.apply(delay(later(60)));
    assert_eq!(replica.owed(WIDE), [None; 3], "it is not late yet");
    replica.apply(Command::Claim(Claims {
        term: 4,
        domain: "b.example".to_owned(),
        sequences: sequences.clone(),
    }));
    replica.apply(WIDE.report(later(1), vec![(1, delivered())]));
    replica.apply_repeatedly(delay(later(1800)));
    assert_eq!(replica.owed(WIDE), [Some(Kind::Delayed), None, None]);
    assert_eq!(replica.owed(NOBODYS), [None]);
    let claimant = replica.memory.claimant_of(WIDE.id(), "b.example");
    assert_eq!(claimant, Some(4), "it may be on its way all the same");
    replica.apply_repeatedly(WIDE.notify(Kind::Delayed, &[0], later(1801)));
    assert!(replica.is_spooled(WIDE.told_by(Kind::Delayed)));
    replica.apply_repeatedly(delay(later(9000)));
    assert_eq!(replica.owed(WIDE), [None; 3]);
    assert_eq!(replica.memory.destination_of("b.example").totals.waiting, 1);
}

#[test]
fn late_news_is_no_news_once_the_message_has_arrived_or_failed() {
    let mut replica = accepted(TALKATIVE, &[WIDE]);
    let sequences = vec![replica.letter(WIDE).sequence];
    let at = later(1800);
    replica.apply(Command::Delay(Delay { at, sequences }));
    let delayed = Some(Kind::Delayed);
    assert_eq!(replica.owed(WIDE), [delayed, delayed, None]);
    let verdicts = vec![(0, delivered()), (1, rejected()), (2, deferred())];
    replica.apply(WIDE.report(later(1801), verdicts));
    assert_eq!(replica.owed(WIDE), [None, Some(Kind::Failed), None]);
}

#[test]
fn what_is_too_old_is_told() {
    let queue = "[queue]\nmax_age = \"100s\"\nmax_age_total = \"500s\"\ndsn = \"always\"\n";
    let mut replica = accepted(queue, &[SMALL]);
    let sequences = vec![replica.letter(SMALL).sequence];
    replica.apply_repeatedly(Command::Expire(Expire {
        domain: "a.example".to_owned(),
        at: later(100),
        sequences,
    }));
    assert_eq!(replica.owed(SMALL), [Some(Kind::Failed)]);
}

#[test]
fn a_report_that_nobody_takes_leaves_and_is_remembered() {
    let mut replica = accepted(TALKATIVE, &[SMALL, WIDE]);
    for letter in [SMALL, WIDE] {
        replica.apply(letter.report(later(1), vec![(0, rejected())]));
        replica.apply(letter.notify(Kind::Failed, &[0], later(2)));
    }
    let refused = SMALL.told_by(Kind::Failed);
    replica.apply_repeatedly(refused.report(later(3), vec![(0, rejected())]));
    assert!(!replica.is_spooled(refused));
    let remembered = replica.memory.departure_of(refused.id()).unwrap();
    let status = &remembered.recipients[0].status;
    assert!(
        matches!(status, Status::Returned { report: None, .. }),
        "{status:?}"
    );
    let expired = WIDE.told_by(Kind::Failed);
    let sequences = vec![replica.letter(expired).sequence];
    replica.apply_repeatedly(Command::Expire(Expire {
        domain: QUEUE.to_owned(),
        at: later(90 * 24 * 3600),
        sequences,
    }));
    assert!(!replica.is_spooled(expired));
}

#[test]
fn an_operators_word_stands_in_for_evidence_and_for_nothing_else() {
    let mut replica = accepted("", &[SMALL, WIDE, NOBODYS]);
    replica.apply_repeatedly(handle(Verb::Bounce, "moved", later(1), SMALL));
    assert_eq!(replica.owed(SMALL), [Some(Kind::Failed)]);
    let Status::Rejected { reply, .. } = &replica.letter(SMALL).recipients[0].status else {
        panic!("{:?}", replica.letter(SMALL));
    };
    assert_eq!(reply, "5.0.0 returned by the operator: moved");
    replica.apply(WIDE.report(later(2), vec![(0, delivered()), (1, rejected())]));
    replica.apply(handle(Verb::Hold, "", later(3), WIDE));
    replica.apply_repeatedly(handle(Verb::Bounce, "", later(4), WIDE));
    assert_eq!(replica.owed(WIDE), [None, Some(Kind::Failed), None]);
    assert_eq!(replica.letter(WIDE).hold, None);
    let Status::Rejected { reply, .. } = &replica.letter(WIDE).recipients[1].status else {
        panic!("{:?}", replica.letter(WIDE));
    };
    assert!(reply.starts_with("550 5.1.1"), "the primary's own words");
    replica.apply_repeatedly(handle(Verb::Bounce, "", later(5), NOBODYS));
    assert_eq!(replica.owed(NOBODYS), [None]);
    assert_eq!(
        replica.memory.destination_of("a.example").totals.rejected,
        2
    );
    let mut replica = accepted("[queue]\ndsn = \"never\"\n", &[SMALL]);
    replica.apply(handle(Verb::Bounce, "", later(1), SMALL));
    assert_eq!(replica.owed(SMALL), [None]);
}

#[test]
fn what_some_have_got_and_others_have_not_can_be_replayed_to_the_first() {
    let mut replica = accepted(TALKATIVE, &[WIDE]);
    let verdicts = vec![(0, delivered()), (1, rejected()), (2, delivered())];
    replica.apply(WIDE.report(later(1), verdicts));
    replica.apply(WIDE.notify(Kind::Failed, &[1], later(2)));
    assert_eq!(replica.memory.retained().count(), 1);
    let replayed = replica.apply(Command::Replay(Replay {
        since: NOW,
        domain: None,
        at: later(3),
        ids: vec![WIDE.id()],
    }));
    assert_eq!(replayed, Outcome::Replayed(1));
    let recipients = &replica.letter(WIDE).recipients;
    assert_eq!(recipients[0].status, Status::Pending);
    assert!(matches!(recipients[1].status, Status::Returned { .. }));
}

#[test]
fn reports_without_a_smarthost_have_no_primary_that_could_be_down() {
    let smarthost = "[dsn]\nsmarthost = \"relay.example\"\n";
    let mut replica = accepted(smarthost, &[]);
    let down = Reachability::Down("connection refused".to_owned());
    replica.apply(Command::Observe {
        domain: QUEUE.to_owned(),
        reachability: down.clone(),
        at: later(1),
    });
    let adopt = |text: String, replaces| {
        Command::Adopt(Adopt {
            policy: Document::of_text(text),
            replaces,
            at: later(2),
            by: "postmaster".to_owned(),
        })
    };
    replica.apply(adopt(format!("{TALKATIVE}{smarthost}{POLICY}"), 1));
    assert_eq!(replica.memory.destination_of(QUEUE).reachability, down);
    replica.apply(adopt(POLICY.to_owned(), 2));
    let destination = replica.memory.destination_of(QUEUE);
    assert_eq!(destination.reachability, Reachability::Up);
}

#[test]
fn what_was_refused_before_anyone_was_told_is_owed_nothing_until_it_is_bounced() {
    let mut replica = Replica::default();
    replica.apply(found());
    accept(&mut replica, SMALL);
    replica.apply(SMALL.report(later(1), vec![(0, rejected())]));
    replica.apply(Command::Adopt(Adopt {
        policy: Document::of_text(format!("{TALKATIVE}{POLICY}")),
        replaces: 1,
        at: later(2),
        by: "postmaster".to_owned(),
    }));
    assert_eq!(replica.owed(SMALL), [None]);
    replica.apply(handle(Verb::Bounce, "", later(3), SMALL));
    assert_eq!(replica.owed(SMALL), [Some(Kind::Failed)]);
}
