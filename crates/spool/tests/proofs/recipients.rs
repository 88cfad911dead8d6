//! What is learned of recipients, and for how long.

use core::time::Duration;
use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};
use spool::{
    Command, Fact, Learned, Lessons, Outcome, Reachability, Timestamp,
    policy::{Document, Recipients},
    recipients::{NONSENSE_FRESH, News, Source, UNKNOWN_AGE_MAX, VALID_AGE_MAX, VALID_FRESH},
    time::LATE_MAX,
};

use crate::{
    letters::{POLICY, found},
    memory::{Key, Memory, Row},
    replica::Replica,
    scripts::{any_command, lessons, long_moment},
};

const DOMAIN: &str = "a.example";
const NOW: Timestamp = Timestamp(1_800_000_000_000);
const MOMENT: Duration = Duration::from_millis(1);

fn fact(address: &str, news: News) -> Fact {
    Fact {
        domain: DOMAIN.to_owned(),
        address: address.to_owned(),
        news,
    }
}

fn learn(at: Timestamp, facts: &[(&str, News)]) -> Command {
    let facts = facts.iter().map(|(address, news)| fact(address, *news));
    Command::Learn(Lessons {
        at,
        policy_version: 1,
        facts: facts.collect(),
    })
}

fn observe(reachability: Reachability, at: Timestamp) -> Command {
    Command::Observe {
        domain: DOMAIN.to_owned(),
        reachability,
        at,
    }
}

fn down() -> Reachability {
    Reachability::Down("refused".to_owned())
}

fn known(memory: &Memory) -> BTreeMap<(String, String), Learned> {
    let rows = memory.rows.iter().filter_map(|row| match row {
        (Key::Recipient(domain, address), Row::Recipient(learned)) => {
            Some(((domain.clone(), address.clone()), *learned))
        }
        _ => None,
    });
    rows.collect()
}

fn addresses(replica: &Replica) -> Vec<String> {
    let known = known(&replica.memory).into_keys();
    known.map(|(_, address)| address).collect()
}

/// A founded spool that knows one valid recipient, one unknown, and one by an operator's word.
fn taught() -> Replica {
    let mut replica = Replica::default();
    replica.apply(found());
    let facts = [
        ("valid@a.example", News::Valid(Source::Delivery)),
        ("unknown@a.example", News::Unknown(Source::Probe)),
        ("word@a.example", News::Valid(Source::Operator)),
    ];
    let outcome = replica.apply_repeatedly(learn(NOW, &facts));
    assert_eq!(outcome, Outcome::Done);
    replica
}

#[test]
fn the_valid_are_kept_for_a_month_the_unknown_for_days_an_operators_for_ever() {
    let mut replica = taught();
    let roster = replica.memory.destination_of(DOMAIN).roster;
    assert_eq!((roster.valid, roster.unknown), (2, 1));
    let all = ["unknown@a.example", "valid@a.example", "word@a.example"];
    for (age, expected) in [
        (UNKNOWN_AGE_MAX, &all[..]),
        (UNKNOWN_AGE_MAX + MOMENT, &all[1..]),
        (VALID_AGE_MAX, &all[1..]),
        (VALID_AGE_MAX + MOMENT, &all[2..]),
        (VALID_AGE_MAX * 100, &all[2..]),
    ] {
        let at = NOW.after(age);
        replica.apply_repeatedly(Command::Sweep { at });
        assert_eq!(addresses(&replica), expected, "{age:?} later");
    }
}

#[test]
fn an_outage_keeps_the_valid_and_not_the_unknown() {
    let mut replica = taught();
    replica.apply(observe(down(), NOW));
    let later = NOW.after(VALID_AGE_MAX * 2);
    replica.apply(learn(
        NOW.after(UNKNOWN_AGE_MAX),
        &[("unknown@a.example", News::Unknown(Source::Delivery))],
    ));
    replica.apply(Command::Sweep { at: later });
    let kept = ["valid@a.example", "word@a.example"];
    assert_eq!(addresses(&replica), kept);
    replica.apply(observe(Reachability::Up, later));
    replica.apply(Command::Sweep { at: later });
    assert_eq!(
        addresses(&replica),
        kept,
        "it can be asked about them first"
    );
    let at = later.after(Duration::from_secs(24 * 3600) + MOMENT);
    replica.apply(Command::Sweep { at });
    assert_eq!(addresses(&replica), kept[1..]);
}

#[test]
fn what_a_clock_far_ahead_has_noted_gives_way_and_what_comes_late_does_not_count() {
    let mut replica = taught();
    let is_valid = |replica: &Replica| {
        let known = replica.memory.recipient_of(DOMAIN, "unknown@a.example");
        known.map(|known| known.is_valid)
    };
    let valid = [("unknown@a.example", News::Valid(Source::Probe))];
    replica.apply(learn(NOW.before(LATE_MAX), &valid));
    assert_eq!(is_valid(&replica), Some(false));
    replica.apply_repeatedly(learn(NOW.before(LATE_MAX + MOMENT), &valid));
    assert_eq!(is_valid(&replica), Some(true));
}

#[test]
fn what_a_clock_far_ahead_has_noted_is_swept_but_not_by_one_that_is_far_behind() {
    let mut replica = Replica::default();
    let facts = [
        ("valid@a.example", News::Valid(Source::Delivery)),
        ("unknown@a.example", News::Unknown(Source::Probe)),
        ("word@a.example", News::Valid(Source::Operator)),
    ];
    replica.apply(learn(NOW.after(VALID_AGE_MAX + MOMENT), &facts));
    let adopted = Command::Found {
        cluster: 1,
        policy: Document::of_text(POLICY),
        at: NOW,
    };
    replica.apply(adopted);
    replica.apply_repeatedly(Command::Sweep {
        at: NOW.before(MOMENT),
    });
    assert_eq!(known(&replica.memory).len(), 3, "its clock is wrong");
    replica.apply_repeatedly(Command::Sweep { at: NOW });
    assert_eq!(addresses(&replica), ["word@a.example"]);
}

#[test]
fn a_sweep_forgets_so_many_and_the_next_one_the_rest() {
    let mut replica = Replica::default();
    replica.apply(found());
    for domain in [DOMAIN, "b.example"] {
        let fact = |number| Fact {
            domain: domain.to_owned(),
            address: format!("{number}@{domain}"),
            news: News::Unknown(Source::Probe),
        };
        let facts = (0..1500).map(fact).collect();
        replica.apply(Command::Learn(Lessons {
            at: NOW,
            policy_version: 1,
            facts,
        }));
    }
    let at = NOW.after(UNKNOWN_AGE_MAX + MOMENT);
    for left in [1000, 0] {
        replica.apply(Command::Sweep { at });
        assert_eq!(known(&replica.memory).len(), left);
    }
}

#[test]
fn what_is_fresh_is_not_written_again_and_what_is_not_is() {
    let mut replica = taught();
    let again = [("valid@a.example", News::Valid(Source::Delivery))];
    let at = |replica: &Replica| {
        let key = (DOMAIN.to_owned(), "valid@a.example".to_owned());
        known(&replica.memory)[&key].at
    };
    replica.apply(learn(NOW.after(VALID_FRESH), &again));
    assert_eq!(at(&replica), NOW);
    let stale = NOW.after(VALID_FRESH + MOMENT);
    replica.apply_repeatedly(learn(stale, &again));
    assert_eq!(at(&replica), stale);
}

#[test]
fn what_is_said_later_wins_and_what_is_forgotten_is_gone() {
    let mut replica = taught();
    let later = NOW.after(MOMENT);
    replica.apply_repeatedly(learn(
        later,
        &[
            ("valid@a.example", News::Unknown(Source::Delivery)),
            ("unknown@a.example", News::Valid(Source::Delivery)),
            ("word@a.example", News::Unknown(Source::Delivery)),
        ],
    ));
    let roster = replica.memory.destination_of(DOMAIN).roster;
    assert_eq!((roster.valid, roster.unknown), (2, 1));
    replica.apply_repeatedly(learn(
        later,
        &[
            ("word@a.example", News::Nothing),
            ("valid@a.example", News::Nothing),
        ],
    ));
    assert_eq!(addresses(&replica), ["unknown@a.example"]);
}

#[test]
fn of_a_primary_that_takes_everybody_no_valid_recipient_is_learned() {
    let mut replica = Replica::default();
    replica.apply(found());
    let yes = News::Valid(Source::Probe);
    replica.apply_repeatedly(learn(NOW, &[("", yes), ("x@a.example", yes)]));
    assert_eq!(addresses(&replica), [""; 0]);
    let nonsense = replica.memory.destination_of(DOMAIN).roster.nonsense;
    assert_eq!(nonsense.map(|nonsense| nonsense.is_valid), Some(true));
    let no = News::Unknown(Source::Probe);
    let later = NOW.after(NONSENSE_FRESH);
    replica.apply_repeatedly(learn(later, &[("", no), ("x@a.example", yes)]));
    assert_eq!(addresses(&replica), ["x@a.example"]);
}

/// Whether a command may change what is known of a recipient in this way.
fn may_change(
    command: &Command,
    address: &str,
    before: Option<Learned>,
    after: Option<Learned>,
    earlier: &Memory,
    domain: &str,
) -> bool {
    let destination = earlier.destination_of(domain);
    match command {
        Command::Learn(lessons) => {
            let mut told = lessons.facts.iter();
            let news = told.any(|fact| {
                let source = |news| match news {
                    News::Valid(from) => Some((true, from)),
                    News::Unknown(from) => Some((false, from)),
                    News::Nothing => None,
                };
                let after = after.map(|learned| (learned.is_valid, learned.from));
                fact.address == address && fact.domain == domain && source(fact.news) == after
            });
            let is_down = matches!(destination.reachability, Reachability::Down(_));
            let is_unknown =
                after.is_some_and(|learned| !learned.is_valid && learned.from != Source::Operator);
            news && after.is_none_or(|learned| learned.at == lessons.at) && !(is_down && is_unknown)
        }
        Command::Sweep { at } => {
            let policy = earlier
                .policy()
                .and_then(|policy| policy.policy.domain(domain));
            let is_verified =
                policy.is_some_and(|policy| matches!(policy.recipients, Recipients::Verify { .. }));
            let destination = if is_verified {
                destination
            } else {
                Default::default()
            };
            after.is_none() && before.is_some_and(|learned| !learned.counts(&destination, *at))
        }
        _ => false,
    }
}

/// Mostly of recipients, with outages.
fn commands() -> impl Strategy<Value = Vec<Command>> {
    let outage = (any::<bool>(), long_moment())
        .prop_map(|(is_down, at)| observe(if is_down { down() } else { Reachability::Up }, at));
    let command = prop_oneof![
        4 => lessons(),
        1 => outage,
        1 => long_moment().prop_map(|at| Command::Sweep { at }),
        1 => any_command(),
    ];
    vec(command, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Figures and ages are audited on the way (`audit`).
    #[test]
    fn recipients_are_known_by_what_was_told_last_and_forgotten_when_it_is_old(
        commands in commands(),
    ) {
        let mut replica = Replica::default();
        for command in commands {
            let earlier = replica.memory.clone();
            replica.apply(command.clone());
            let (before, after) = (known(&earlier), known(&replica.memory));
            for key in before.keys().chain(after.keys()) {
                let (was, is) = (before.get(key).copied(), after.get(key).copied());
                let (domain, address) = key;
                prop_assert!(
                    was == is || may_change(&command, address, was, is, &earlier, domain),
                    "{:?} went from {:?} to {:?} by {:?}", key, was, is, command
                );
            }
        }
    }

    #[test]
    fn a_lesson_repeated_at_once_changes_nothing(commands in commands()) {
        let mut replica = Replica::default();
        for command in commands {
            if matches!(command, Command::Learn(_)) {
                replica.apply_repeatedly(command);
            } else {
                replica.apply(command);
            }
        }
    }
}
