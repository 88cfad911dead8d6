use prost::Message as _;
use smtp::{
    BodyType, Mailbox, Recipient, ReversePath,
    dsn::{Notify, PerMessage, PerRecipient, Ret},
};
use spool::{
    Accept, Action, Adopt, Authentication, Client, Delay, Digest, Expire, Fact, Finding,
    Fingerprint, Handling, Lapse, Lessons, MessageId, Notify as Telling, Offers, Outcome, Recovery,
    Replay, SeenStarttls, Tally, Verb, Visitor, Visits,
    authentication::{SIGNATURES_MAX, Signature},
    guard::Step,
    notice::Kind,
    policy::Document,
    recipients::{News, Source},
};

use super::*;
use crate::codec::{outcome_from, outcome_to};

const MANY: usize = 1000;

fn accept() -> Command {
    Command::Accept(Box::new(large()))
}

fn large() -> Accept {
    let mailbox = |number: usize| Mailbox {
        local_part: format!("{number:064}"),
        domain: "d".repeat(180),
    };
    let recipient = |number| {
        let path = smtp::ForwardPath::Mailbox(mailbox(number));
        let dsn = PerRecipient {
            notify: Some(Notify {
                success: true,
                failure: true,
                delay: true,
            }),
            orcpt: Some(format!("rfc822;{}", "o".repeat(490)).parse().unwrap()),
        };
        (Recipient { path, dsn }, "*.example.com".to_owned())
    };
    let signature = Signature {
        domain: "d".repeat(253),
        finding: Finding::PermError,
    };
    Accept {
        id: MessageId(u128::MAX),
        received_at: Timestamp(u64::MAX),
        reverse_path: ReversePath::Mailbox(mailbox(0)),
        body_type: BodyType::BinaryMime,
        smtputf8: true,
        dsn: PerMessage {
            ret: Some(Ret::Headers),
            envid: Some("e".repeat(100).parse().unwrap()),
        },
        recipients: (0..MANY).map(recipient).collect(),
        staged: u32::MAX,
        tail: vec![0; 1000].into(),
        size: u64::MAX,
        digest: Digest([255; 32]),
        trace: vec![b'a'; 300].into(),
        client: Client {
            address: "[2001:db8:1111:2222:3333:4444:5555:6666]:65535"
                .parse()
                .unwrap(),
            helo: "h".repeat(255),
            tls: Some("TLSv1.3 TLS13_AES_256_GCM_SHA384".into()),
        },
        authentication: Some(Authentication {
            spf: Finding::PermError,
            spf_helo: Finding::PermError,
            dkim: vec![signature; SIGNATURES_MAX],
            dmarc: Finding::PermError,
            from_domain: "d".repeat(253),
        }),
        fingerprint: Some(Fingerprint(u128::MAX)),
        confirmed: vec![MessageId(u128::MAX); MANY],
    }
}

fn report() -> Command {
    let verdict = |number| (number, Verdict::Rejected("no".repeat(100)));
    let attempt = Attempt {
        id: MessageId(u128::MAX),
        host: "mail.example.com:25".to_owned(),
        verdicts: (0..1000).map(verdict).collect(),
    };
    Command::Report(Report {
        term: u64::MAX,
        at: Timestamp(u64::MAX),
        attempts: vec![attempt; 3],
    })
}

fn tripped() -> Command {
    Command::Recover(Recovery {
        domain: "example.com".into(),
        at: Timestamp(u64::MAX),
        step: Step::Tripped {
            begun_at: Timestamp(u64::MAX),
            why: "w".repeat(500),
        },
    })
}

fn policy() -> Document {
    let list = |number| (format!("users-{number}"), "l".repeat(300));
    Document {
        text: "p".repeat(5000),
        lists: (0..MANY).map(list).collect(),
    }
}

const fn all_offers() -> Offers {
    Offers {
        size_max: Some(u64::MAX),
        eight_bit_mime: true,
        smtputf8: true,
        chunking: true,
        binary_mime: true,
        dsn: true,
    }
}

fn action() -> Action {
    Action {
        id: u128::MAX,
        at: Timestamp(u64::MAX),
        by: "b".repeat(200),
        what: "w".repeat(500),
        reason: "r".repeat(500),
    }
}

#[test]
fn what_operators_want_is_read_as_it_was_written() {
    let handling = |verb| {
        Command::Handle(Handling {
            verb,
            action: action(),
            batch: 3,
            ids: vec![MessageId(1), MessageId(2)],
        })
    };
    let pause = |until| Command::Pause {
        domain: "example.com".into(),
        until,
        action: action(),
    };
    for command in [
        handling(Verb::Hold),
        handling(Verb::Release),
        handling(Verb::Delete),
        handling(Verb::Retry),
        handling(Verb::Bounce),
        pause(None),
        pause(Some(Timestamp(5))),
        Command::Resume {
            domain: "example.com".into(),
            action: action(),
        },
        Command::Note(action()),
    ] {
        assert_eq!(command_from(command_to(command.clone())).unwrap(), command);
    }
    let outcome = Outcome::Handled(Tally {
        changed: 1,
        unaffected: 2,
        held: 3,
        absent: 4,
    });
    assert_eq!(outcome_from(outcome_to(&outcome)).unwrap(), outcome);
}

#[test]
fn outcomes_of_policies_come_through() {
    for outcome in [
        Outcome::Adopted(7),
        Outcome::Overtaken(8),
        Outcome::NotUnderstood("1:1: no".to_owned()),
    ] {
        assert_eq!(outcome_from(outcome_to(&outcome)).unwrap(), outcome);
    }
}

#[test]
fn a_policy_comes_through_with_its_lists() {
    let adopt = Command::Adopt(Adopt {
        policy: policy(),
        replaces: 3,
        at: Timestamp(4),
        by: "postmaster".to_owned(),
    });
    assert_eq!(command_from(command_to(adopt.clone())).unwrap(), adopt);
}

#[test]
fn a_founding_of_before_there_were_lists_is_understood() {
    let found = pb::Found {
        cluster: Some(id_to(MessageId(7))),
        policy: "text".to_owned(),
        ..pb::Found::default()
    };
    let kind = Some(pb::command::Kind::Found(found));
    let expected = Command::Found {
        cluster: 7,
        policy: Document::of_text("text"),
        at: Timestamp(0),
    };
    assert_eq!(command_from(pb::Command { kind }).unwrap(), expected);
}

#[test]
fn what_a_primary_offers_is_read_as_it_was_written() {
    let dsn_only = Offers {
        dsn: true,
        ..Offers::default()
    };
    for offers in [Offers::default(), dsn_only, all_offers()] {
        let command = Command::Offers {
            domain: "example.com".into(),
            offers,
            policy_version: 3,
            at: Timestamp(7),
        };
        assert_eq!(command_from(command_to(command.clone())).unwrap(), command);
    }
    for is_offered in [true, false] {
        let command = Command::Starttls(SeenStarttls {
            domain: "example.com".into(),
            host: "mail.example.com:25".into(),
            is_offered,
            policy_version: 3,
            at: Timestamp(7),
        });
        assert_eq!(command_from(command_to(command.clone())).unwrap(), command);
    }
}

#[test]
fn commands_about_time_come_through_and_are_counted() {
    for command in [
        Command::Expire(Expire {
            domain: "d".repeat(250),
            at: Timestamp(u64::MAX),
            sequences: vec![u64::MAX; MANY],
        }),
        Command::Lapse(Lapse {
            at: Timestamp(u64::MAX),
            sequences: vec![u64::MAX; MANY],
        }),
        Command::Relinquish {
            until: Timestamp(u64::MAX),
        },
        Command::Replay(Replay {
            since: Timestamp(u64::MAX),
            domain: Some("d".repeat(250)),
            at: Timestamp(u64::MAX),
            ids: vec![MessageId(u128::MAX); MANY],
        }),
        report(),
    ] {
        let encoded = command_to(command.clone());
        assert!(encoded.encoded_len() <= command.octets(), "{command:?}");
        assert_eq!(command_from(encoded).unwrap(), command);
    }
    let outcome = Outcome::Replayed(3);
    assert_eq!(outcome_from(outcome_to(&outcome)).unwrap(), outcome);
}

#[test]
fn commands_about_notices_come_through_and_are_counted() {
    let telling = |kind| {
        Command::Notify(Telling {
            id: MessageId(u128::MAX),
            kind,
            recipients: vec![u32::MAX; MANY],
            at: Timestamp(u64::MAX),
            report: Box::new(large()),
        })
    };
    let relayed = Attempt {
        id: MessageId(1),
        host: String::new(),
        verdicts: vec![(7, Verdict::Relayed("250 ok".to_owned()))],
    };
    let mut commands: Vec<Command> = Kind::ALL.into_iter().map(telling).collect();
    commands.push(Command::Delay(Delay {
        at: Timestamp(u64::MAX),
        sequences: vec![u64::MAX; MANY],
    }));
    commands.push(Command::Report(Report {
        term: 1,
        at: Timestamp(2),
        attempts: vec![relayed],
    }));
    for command in commands {
        assert_eq!(command_from(command_to(command.clone())).unwrap(), command);
        assert_counted(command);
    }
}

#[test]
fn no_command_is_larger_on_the_wire_than_it_is_counted() {
    let claims = Claims {
        term: u64::MAX,
        domain: "example.com".into(),
        sequences: vec![u64::MAX; MANY],
    };
    let fact = Fact {
        domain: "d".repeat(250),
        address: "a".repeat(254),
        news: News::Unknown(Source::Operator),
    };
    for command in [
        accept(),
        report(),
        Command::Claim(claims),
        Command::Visits(Visits {
            at: Timestamp(u64::MAX),
            visitors: vec![Visitor(u128::MAX); MANY],
        }),
        Command::Learn(Lessons {
            at: Timestamp(u64::MAX),
            policy_version: u64::MAX,
            facts: vec![fact; MANY],
        }),
        Command::Confirm {
            ids: vec![MessageId(u128::MAX); MANY],
        },
        Command::Found {
            cluster: u128::MAX,
            policy: policy(),
            at: Timestamp(u64::MAX),
        },
        Command::Adopt(Adopt {
            policy: policy(),
            replaces: u64::MAX,
            at: Timestamp(u64::MAX),
            by: "b".repeat(500),
        }),
        Command::Observe {
            domain: "example.com".into(),
            reachability: Reachability::Down("w".repeat(500)),
            at: Timestamp(u64::MAX),
        },
        tripped(),
        Command::Offers {
            domain: "example.com".into(),
            offers: all_offers(),
            policy_version: u64::MAX,
            at: Timestamp(u64::MAX),
        },
        Command::Starttls(SeenStarttls {
            domain: "example.com".into(),
            host: "h".repeat(500),
            is_offered: true,
            policy_version: u64::MAX,
            at: Timestamp(u64::MAX),
        }),
        Command::Flush {
            domain: Some("example.com".into()),
            at: Timestamp(u64::MAX),
        },
        Command::Sweep {
            at: Timestamp(u64::MAX),
        },
        Command::Discard {
            id: MessageId(u128::MAX),
        },
    ] {
        assert_counted(command);
    }
}

fn assert_counted(command: Command) {
    let counted = command.octets();
    let encoded = command_to(command.clone()).encoded_len();
    assert!(
        encoded <= counted,
        "{command:?}: {encoded} octets, counted as {counted}"
    );
}

#[test]
fn what_operators_want_is_no_larger_on_the_wire_than_it_is_counted() {
    for command in [
        Command::Handle(Handling {
            verb: Verb::Retry,
            action: action(),
            batch: u32::MAX,
            ids: vec![MessageId(u128::MAX); MANY],
        }),
        Command::Pause {
            domain: "example.com".into(),
            until: Some(Timestamp(u64::MAX)),
            action: action(),
        },
        Command::Resume {
            domain: "example.com".into(),
            action: action(),
        },
        Command::Note(action()),
    ] {
        assert_counted(command);
    }
}
