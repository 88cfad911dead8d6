//! Which policy is in force, after any founding and any adoptions.

use proptest::{collection::vec, prelude::*};
use spool::{
    Adopt, Command, Fact, Lessons, Offers, Outcome, SeenStarttls, Timestamp, alarm,
    policy::Document,
    recipients::{Judgement, MOVE_GRACE, News, Source, judge},
};

use crate::{
    letters::{Letter, POLICY, found},
    memory::Memory,
    replica::Replica,
    scripts::{adoption, any_command},
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn adopt(text: &str, replaces: u64) -> Command {
    Command::Adopt(Adopt {
        policy: Document::of_text(text),
        replaces,
        at: NOW,
        by: "postmaster".to_owned(),
    })
}

fn another() -> String {
    format!("{POLICY}connections = 3\n")
}

fn founded() -> Replica {
    let mut replica = Replica::default();
    replica.apply(found());
    replica
}

#[track_caller]
fn assert_in_force(replica: &Replica, version: u64, text: &str) {
    let policy = replica.memory.policy().expect("a policy is in force");
    assert_eq!(
        (policy.version, policy.document.text.as_str()),
        (version, text)
    );
}

#[test]
fn an_adopted_policy_is_in_force_with_the_next_version() {
    let mut replica = founded();
    let outcome = replica.apply_repeatedly(adopt(&another(), 1));
    assert_eq!(outcome, Outcome::Adopted(2));
    assert_in_force(&replica, 2, &another());
    let policy = replica.memory.policy().expect("a policy is in force");
    assert_eq!((policy.since, policy.by.as_str()), (NOW, "postmaster"));
    assert_eq!(policy.policy.domains[0].connections, 3);
}

#[test]
fn a_policy_that_is_in_force_already_is_not_counted_again() {
    let mut replica = founded();
    assert_eq!(replica.apply(adopt(POLICY, 1)), Outcome::Adopted(1));
    assert_eq!(replica.apply(adopt(POLICY, 7)), Outcome::Adopted(1));
    assert_in_force(&replica, 1, POLICY);
}

#[test]
fn a_late_copy_of_an_adoption_does_not_undo_what_came_after_it() {
    let mut replica = founded();
    replica.apply(adopt(&another(), 1));
    assert_eq!(replica.apply(adopt(POLICY, 2)), Outcome::Adopted(3));
    assert_eq!(replica.apply(adopt(&another(), 1)), Outcome::Overtaken(3));
    assert_in_force(&replica, 3, POLICY);
}

#[test]
fn a_policy_that_makes_no_sense_changes_nothing() {
    let mut replica = founded();
    let text = format!("{POLICY}conections = 3\n");
    let outcome = replica.apply(adopt(&text, 1));
    let Outcome::NotUnderstood(why) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(why.starts_with("5:1: unknown key `conections`"), "{why}");
    assert_in_force(&replica, 1, POLICY);
}

#[test]
fn a_cluster_that_is_not_founded_adopts_nothing() {
    let mut replica = Replica::default();
    assert_eq!(replica.apply(adopt(POLICY, 0)), Outcome::Overtaken(0));
    assert!(replica.memory.policy().is_none());
}

#[test]
fn mail_for_a_domain_that_has_left_the_policy_stays() {
    let mut replica = founded();
    replica.apply(Letter(0).accept(NOW));
    let elsewhere = "[[domain]]\nname = \"d.example\"\nprimary = [\"mail.d.example\"]\n";
    assert_eq!(replica.apply(adopt(elsewhere, 1)), Outcome::Adopted(2));
    assert!(replica.memory.message_of(Letter(0).id()).is_some());
    assert_eq!(replica.memory.destination_of("a.example").totals.waiting, 1);
}

#[test]
fn what_was_learned_of_a_primary_is_forgotten_when_the_domain_gets_another() {
    let mut replica = founded();
    let told = |policy_version| Command::Offers {
        domain: "a.example".to_owned(),
        offers: Offers::default(),
        policy_version,
        at: NOW,
    };
    replica.apply(told(1));
    let is_known = |replica: &Replica| {
        let destination = replica.memory.destination_of("a.example");
        destination.learned.is_some()
    };
    replica.apply(adopt(&another(), 1));
    assert!(is_known(&replica), "the hosts are the same");
    let elsewhere = POLICY.replace("mail.a.example", "mx.a.example");
    assert_eq!(replica.apply(adopt(&elsewhere, 2)), Outcome::Adopted(3));
    assert!(!is_known(&replica));
    replica.apply(told(2));
    assert!(!is_known(&replica), "the former primary has told that");
    replica.apply(told(3));
    assert!(is_known(&replica));
}

#[test]
fn a_primary_that_loses_tls_raises_an_alarm_until_it_is_back_or_the_policy_says_otherwise() {
    let mut replica = founded();
    let seen = |is_offered, policy_version, after: u64| {
        Command::Starttls(SeenStarttls {
            domain: "a.example".to_owned(),
            host: "mail.a.example:25".to_owned(),
            is_offered,
            policy_version,
            at: Timestamp(NOW.0 + after),
        })
    };
    let raised = |replica: &Replica| {
        let destination = replica.memory.destination_of("a.example");
        let alarms = alarm::of_destination("a.example", &destination).into_iter();
        let gone = alarms.filter(|alarm| alarm.name == alarm::TLS_GONE);
        gone.map(|alarm| alarm.since.0 - NOW.0).next()
    };
    replica.apply_repeatedly(seen(false, 1, 1));
    assert_eq!(raised(&replica), None, "it never offered any");
    replica.apply_repeatedly(seen(true, 1, 2));
    assert_eq!(raised(&replica), None);
    replica.apply_repeatedly(seen(false, 1, 3));
    replica.apply_repeatedly(seen(false, 1, 4));
    replica.apply_repeatedly(seen(true, 1, 2));
    assert_eq!(raised(&replica), Some(3), "a late copy clears nothing");
    replica.apply_repeatedly(seen(true, 1, 5));
    assert_eq!(raised(&replica), None);
    replica.apply_repeatedly(seen(false, 1, 6));
    replica.apply(adopt(&another(), 1));
    assert_eq!(raised(&replica), Some(6), "the policy says the same of it");
    replica.apply_repeatedly(seen(true, 1, 7));
    assert_eq!(raised(&replica), Some(6), "found out under another policy");
    let in_clear = format!("{POLICY}tls = \"off\"\n");
    assert_eq!(replica.apply(adopt(&in_clear, 2)), Outcome::Adopted(3));
    assert_eq!(raised(&replica), None);
}

#[test]
fn whom_a_former_primary_did_not_know_is_asked_about_again_when_the_domain_gets_another() {
    let mut replica = founded();
    let address = "bob@a.example";
    let learn = |address: &str, policy_version, at, news| {
        let fact = Fact {
            domain: "a.example".to_owned(),
            address: address.to_owned(),
            news,
        };
        Command::Learn(Lessons {
            at,
            policy_version,
            facts: vec![fact],
        })
    };
    let judged = |replica: &Replica, at| {
        let destination = replica.memory.destination_of("a.example");
        judge(
            replica.memory.recipient_of("a.example", address),
            &destination,
            at,
        )
    };
    let unknown = News::Unknown(Source::Probe);
    // By a clock that is ahead of the one that the policy is adopted by.
    let ahead = NOW.after(core::time::Duration::from_secs(600));
    replica.apply(learn(address, 1, ahead, unknown));
    replica.apply(adopt(&another(), 1));
    assert_eq!(
        judged(&replica, NOW),
        Judgement::Refuse,
        "the hosts are the same"
    );
    replica.apply(learn("", 2, NOW, News::Valid(Source::Probe)));
    replica.apply(adopt(&POLICY.replace("mail.a.example", "mx.a.example"), 2));
    for at in [NOW, ahead] {
        assert_eq!(judged(&replica, at), Judgement::Ask);
    }
    let roster = replica.memory.destination_of("a.example").roster;
    assert_eq!(roster.unknown, 1, "it stays to be overwritten");
    replica.apply(learn(address, 2, ahead.after(MOVE_GRACE), unknown));
    replica.apply(learn(address, 0, ahead.after(MOVE_GRACE), unknown));
    assert_eq!(
        judged(&replica, ahead),
        Judgement::Ask,
        "the former primary has told that"
    );
    replica.apply_repeatedly(learn(address, 3, NOW, unknown));
    assert_eq!(judged(&replica, NOW), Judgement::Refuse);
}

#[test]
fn an_operators_word_is_no_primarys_and_what_is_on_its_way_counts_for_the_former_one() {
    let mut replica = founded();
    replica.apply(adopt(&POLICY.replace("mail.a.example", "mx.a.example"), 1));
    let told = |address: &str, news| Fact {
        domain: "a.example".to_owned(),
        address: address.to_owned(),
        news,
    };
    replica.apply(Command::Learn(Lessons {
        at: NOW,
        policy_version: 1,
        facts: vec![
            told("ann@a.example", News::Unknown(Source::Operator)),
            told("bob@a.example", News::Unknown(Source::Probe)),
        ],
    }));
    let is_known = |address| replica.memory.recipient_of("a.example", address).is_some();
    assert!(is_known("ann@a.example"));
    assert!(!is_known("bob@a.example"));
}

proptest! {
    #[test]
    fn versions_count_the_policies_and_replicas_agree_on_them(
        commands in vec(prop_oneof![3 => adoption(), 1 => any_command()], 1..60),
        cuts in vec(1..9_usize, 60),
    ) {
        let mut replica = Replica::default();
        for command in std::iter::once(found()).chain(commands.iter().cloned()) {
            let before = replica.memory.policy().cloned();
            let outcome = replica.apply(command);
            let after = replica.memory.policy();
            let version = |policy: Option<&spool::policy::InForce>| policy.map_or(0, |p| p.version);
            match outcome {
                Outcome::Adopted(version) => prop_assert_eq!(after.map(|p| p.version), Some(version)),
                Outcome::Overtaken(_) | Outcome::NotUnderstood(_) => {
                    prop_assert_eq!(before.as_ref(), after);
                }
                _ => {}
            }
            let differs = before.as_ref() != after;
            prop_assert_eq!(version(after), version(before.as_ref()) + u64::from(differs));
            if let Some(after) = after {
                let read = after.document.policy();
                prop_assert_eq!(read.as_ref().ok(), Some(after.policy.as_ref()));
            }
        }
        let commands = std::iter::once(found()).chain(commands);
        let log: Vec<(u64, Command)> = (1..).zip(commands).collect();
        let mut in_batches = Memory::default();
        let mut rest = log.as_slice();
        for cut in cuts {
            let (batch, behind) = rest.split_at(cut.min(rest.len()));
            in_batches.apply_batch(batch);
            rest = behind;
        }
        in_batches.apply_batch(rest);
        prop_assert_eq!(in_batches.policy(), replica.memory.policy());
    }
}
