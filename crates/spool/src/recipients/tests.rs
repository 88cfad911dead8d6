use smtp::Mailbox;

use super::*;
use crate::{Guard, Reachability};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn ago(span: Duration) -> Timestamp {
    NOW.before(span)
}

fn learned(is_valid: bool, at: Timestamp) -> Learned {
    Learned {
        is_valid,
        at,
        from: Source::Probe,
        policy_version: 1,
    }
}

fn up() -> Destination {
    Destination::default()
}

/// Down since a moment.
fn down(since: Timestamp) -> Destination {
    Destination {
        reachability: Reachability::Down("connection refused".into()),
        since,
        ..Destination::default()
    }
}

/// Back from an outage, and on trial.
fn on_trial() -> Destination {
    Destination {
        guard: Some(Box::new(Guard {
            begun_at: NOW,
            tripped: None,
        })),
        ..up()
    }
}

#[test]
fn one_that_is_on_trial_is_asked_no_more_than_one_that_is_down() {
    let old = learned(true, ago(VALID_FRESH * 2));
    assert_eq!(judge(Some(old), &up(), NOW), Judgement::TakeAndAsk);
    assert_eq!(judge(Some(old), &on_trial(), NOW), Judgement::Take);
    assert_eq!(judge(None, &on_trial(), NOW), Judgement::Unknowable);
}

fn with_nonsense(destination: Destination, nonsense: Learned) -> Destination {
    Destination {
        roster: Roster {
            nonsense: Some(nonsense),
            ..Roster::default()
        },
        ..destination
    }
}

fn fact(news: News) -> Fact {
    Fact {
        domain: "example.com".into(),
        address: "a@example.com".into(),
        news,
    }
}

const HOUR: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn while_the_primary_is_up_knowledge_is_used_then_asked_about_then_forgotten() {
    for (is_valid, age, expected) in [
        (true, Duration::ZERO, Judgement::Take),
        (true, VALID_FRESH, Judgement::Take),
        (true, VALID_FRESH + MOMENT, Judgement::TakeAndAsk),
        (true, VALID_AGE_MAX, Judgement::TakeAndAsk),
        (true, VALID_AGE_MAX + MOMENT, Judgement::Ask),
        (false, Duration::ZERO, Judgement::Refuse),
        (false, UNKNOWN_FRESH, Judgement::Refuse),
        (false, UNKNOWN_FRESH + MOMENT, Judgement::AskOrRefuse),
        (false, UNKNOWN_AGE_MAX, Judgement::AskOrRefuse),
        (false, UNKNOWN_AGE_MAX + MOMENT, Judgement::Ask),
    ] {
        let judged = judge(Some(learned(is_valid, ago(age))), &up(), NOW);
        assert_eq!(judged, expected, "valid: {is_valid}, {age:?} old");
    }
    assert_eq!(judge(None, &up(), NOW), Judgement::Ask);
}

#[test]
fn an_outage_keeps_who_is_valid_and_forgets_who_is_not() {
    let destination = down(ago(40 * 24 * HOUR));
    let year = 365 * 24 * HOUR;
    let judged = |is_valid, age| judge(Some(learned(is_valid, ago(age))), &destination, NOW);
    assert_eq!(judged(true, year), Judgement::Take);
    assert_eq!(judged(false, UNKNOWN_AGE_MAX), Judgement::Refuse);
    assert_eq!(
        judged(false, UNKNOWN_AGE_MAX + MOMENT),
        Judgement::Unknowable
    );
    assert_eq!(judge(None, &destination, NOW), Judgement::Unknowable);
}

#[test]
fn who_outlived_his_age_in_an_outage_counts_for_a_day_after_it() {
    let old = learned(true, ago(40 * 24 * HOUR));
    let back = |since| Destination { since, ..up() };
    let judged = |since| judge(Some(old), &back(since), NOW);
    assert_eq!(judged(ago(RETURN_GRACE)), Judgement::TakeAndAsk);
    assert_eq!(judged(ago(RETURN_GRACE + MOMENT)), Judgement::Ask);
}

#[test]
fn an_operators_word_counts_for_ever() {
    let word = Learned {
        from: Source::Operator,
        ..learned(true, Timestamp(0))
    };
    for destination in [up(), down(ago(HOUR))] {
        assert_eq!(judge(Some(word), &destination, NOW), Judgement::Take);
        for news in [News::Valid(Source::Delivery), News::Unknown(Source::Probe)] {
            assert!(!is_news(&fact(news), Some(word), &destination, NOW));
        }
    }
    assert!(is_news(&fact(News::Nothing), Some(word), &up(), NOW));
}

#[test]
fn a_primary_that_takes_everybody_proves_nobody() {
    let takes_all = with_nonsense(up(), learned(true, ago(HOUR)));
    assert_eq!(judge(None, &takes_all, NOW), Judgement::Take);
    assert!(!is_news(
        &fact(News::Valid(Source::Probe)),
        None,
        &takes_all,
        NOW
    ));
    assert!(is_news(
        &fact(News::Unknown(Source::Probe)),
        None,
        &takes_all,
        NOW
    ));
    let unknown = Some(learned(false, ago(HOUR)));
    assert_eq!(judge(unknown, &takes_all, NOW), Judgement::Refuse);
    let old = learned(true, ago(NONSENSE_FRESH + MOMENT));
    assert_eq!(
        judge(None, &with_nonsense(up(), old), NOW),
        Judgement::TakeAndAsk
    );
    let down = down(ago(HOUR));
    assert_eq!(judge(None, &with_nonsense(down, old), NOW), Judgement::Take);
    let refuses = with_nonsense(up(), learned(false, ago(HOUR)));
    assert_eq!(judge(None, &refuses, NOW), Judgement::Ask);
}

#[test]
fn what_is_known_and_fresh_is_no_news_and_neither_is_a_late_copy() {
    let valid = fact(News::Valid(Source::Delivery));
    let unknown = fact(News::Unknown(Source::Delivery));
    let known = learned(true, ago(HOUR));
    assert!(is_news(&valid, None, &up(), NOW));
    assert!(!is_news(&valid, Some(known), &up(), NOW));
    assert!(is_news(&unknown, Some(known), &up(), NOW));
    assert!(!is_news(&unknown, Some(known), &up(), known.at));
    let old = learned(true, ago(VALID_FRESH + MOMENT));
    assert!(is_news(&valid, Some(old), &up(), NOW));
    assert!(!is_news(&fact(News::Nothing), None, &up(), NOW));
}

#[test]
fn nobody_becomes_unknown_or_stays_so_for_longer_while_the_primary_is_down() {
    let unknown = fact(News::Unknown(Source::Probe));
    let down = down(ago(HOUR));
    for known in [None, Some(learned(false, ago(UNKNOWN_FRESH + MOMENT)))] {
        assert!(is_news(&unknown, known, &up(), NOW));
        assert!(!is_news(&unknown, known, &down, NOW));
    }
}

#[test]
fn a_full_roster_learns_nobody_new() {
    let mut full = up();
    full.roster.valid = VALID_MAX;
    full.roster.unknown = UNKNOWN_MAX;
    let known = learned(true, ago(VALID_FRESH + MOMENT));
    for source in [Source::Delivery, Source::Probe, Source::Operator] {
        assert!(!is_news(&fact(News::Valid(source)), None, &full, NOW));
        assert!(!is_news(&fact(News::Unknown(source)), None, &full, NOW));
    }
    assert!(is_news(
        &fact(News::Valid(Source::Probe)),
        Some(known),
        &full,
        NOW
    ));
}

#[test]
fn a_clock_that_is_ahead_makes_nothing_last() {
    let ahead = learned(false, NOW.after(UNKNOWN_AGE_MAX + MOMENT));
    assert!(!ahead.counts(&up(), NOW));
    assert!(!ahead.is_fresh(NOW));
}

#[test]
fn what_older_versions_learned_goes_by_the_moment_when_the_primary_was_replaced() {
    let moved = Destination {
        moved_at: Some(NOW),
        ..up()
    };
    let old = |at| Learned {
        policy_version: 0,
        ..learned(false, at)
    };
    let settled = NOW.after(MOVE_GRACE + MOMENT);
    assert!(!old(NOW.after(MOVE_GRACE)).counts(&moved, NOW));
    assert!(old(settled).counts(&moved, settled));
    assert!(learned(false, NOW).counts(&moved, NOW), "it says of which");
    let moved_again = Destination {
        moved_by: 1,
        ..up()
    };
    assert!(!old(settled).counts(&moved_again, settled));
    assert!(learned(false, NOW).counts(&moved_again, NOW));
}

#[test]
fn a_recipient_is_known_without_case_and_the_postmaster_always() {
    let path = |local_part: &str| {
        ForwardPath::Mailbox(Mailbox {
            local_part: local_part.into(),
            domain: "Example.COM".into(),
        })
    };
    assert_eq!(
        address_of(&path("Ann.B")).as_deref(),
        Some("ann.b@example.com")
    );
    assert_eq!(address_of(&path("PostMaster")), None);
    assert_eq!(address_of(&ForwardPath::Postmaster), None);
}

#[test]
fn both_forms_of_a_domain_are_one_recipient() {
    let path = |address: &str| ForwardPath::Mailbox(address.parse().unwrap());
    for (address, known) in [
        ("Bob@B\u{fc}cher.example", "bob@xn--bcher-kva.example"),
        ("bob@XN--bcher-kva.example", "bob@xn--bcher-kva.example"),
        (
            "gr\u{fc}n@b\u{fc}cher.example",
            "gr\u{fc}n@xn--bcher-kva.example",
        ),
        // A wide `b` stands in no domain.
        ("bob@\u{ff42}.example", "bob@\u{ff42}.example"),
        ("bob@[192.0.2.1]", "bob@[192.0.2.1]"),
    ] {
        assert_eq!(
            address_of(&path(address)).as_deref(),
            Some(known),
            "{address}"
        );
    }
    assert_eq!(address_of(&path("postmaster@b\u{fc}cher.example")), None);
}
