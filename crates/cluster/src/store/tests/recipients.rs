//! What is known of recipients, in the tables.

use spool::{
    Fact, Learned, Lessons,
    recipients::{News, Source, UNKNOWN_AGE_MAX, VALID_AGE_MAX},
};

use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const DOMAIN: &str = "*.example.com";

fn learn(index: u64, at: Timestamp, facts: &[(&str, News)]) -> Entry {
    let facts = facts.iter().map(|(address, news)| Fact {
        domain: DOMAIN.to_owned(),
        address: (*address).to_owned(),
        news: *news,
    });
    let facts = facts.collect();
    let lessons = Lessons {
        at,
        policy_version: 1,
        facts,
    };
    entry(index, Command::Learn(lessons))
}

fn sweep(index: u64, at: Timestamp) -> Entry {
    entry(index, Command::Sweep { at })
}

fn listed(opened: &Opened) -> Vec<(String, Learned)> {
    opened.tables.recipients(DOMAIN, "", 100).unwrap()
}

fn roster(opened: &Opened) -> (u64, u64) {
    let roster = opened.tables.figures().destinations[DOMAIN].roster;
    (roster.valid, roster.unknown)
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_are_found_counted_listed_in_pages_and_kept_over_a_restart() {
    let mut opened = Opened::new();
    let facts = [
        ("", News::Unknown(Source::Probe)),
        ("b@x.example.com", News::Unknown(Source::Probe)),
        ("a@x.example.com", News::Valid(Source::Delivery)),
        ("c@x.example.com", News::Valid(Source::Operator)),
    ];
    opened.commit(vec![learn(1, NOW, &facts)]).await;
    let opened = opened.reopened();
    let learned = |is_valid, from| Learned {
        is_valid,
        at: NOW,
        from,
        policy_version: 1,
    };
    let a = learned(true, Source::Delivery);
    let listed = listed(&opened);
    let expected = [
        ("a@x.example.com".to_owned(), a),
        ("b@x.example.com".to_owned(), learned(false, Source::Probe)),
        (
            "c@x.example.com".to_owned(),
            learned(true, Source::Operator),
        ),
    ];
    assert_eq!(listed, expected);
    let tables = &opened.tables;
    assert_eq!(tables.recipients(DOMAIN, "", 1).unwrap(), expected[..1]);
    let behind = tables.recipients(DOMAIN, "a@x.example.com", 100).unwrap();
    assert_eq!(behind, expected[1..]);
    assert_eq!(
        tables.recipient(DOMAIN, "a@x.example.com").unwrap(),
        Some(a)
    );
    assert_eq!(
        tables.recipient("example.com", "a@x.example.com").unwrap(),
        None
    );
    assert_eq!(roster(&opened), (2, 1));
    let nonsense = tables.figures().destinations[DOMAIN].roster.nonsense;
    assert_eq!(nonsense, Some(learned(false, Source::Probe)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_forgets_who_is_too_old_and_leaves_no_row() {
    let mut opened = Opened::new();
    let empty = opened.tables.dump().len();
    let moment = std::time::Duration::from_millis(1);
    let facts = [
        ("a@x.example.com", News::Valid(Source::Delivery)),
        ("b@x.example.com", News::Unknown(Source::Delivery)),
    ];
    let later = [("b@x.example.com", News::Valid(Source::Delivery))];
    opened
        .commit(vec![
            learn(1, NOW, &facts),
            learn(2, NOW.after(moment), &later),
            sweep(3, NOW.after(UNKNOWN_AGE_MAX + moment)),
        ])
        .await;
    assert_eq!(roster(&opened), (2, 0), "what is known now counts");
    opened
        .commit(vec![sweep(4, NOW.after(VALID_AGE_MAX + moment))])
        .await;
    let addresses = listed(&opened).into_iter().map(|(address, _)| address);
    assert_eq!(addresses.collect::<Vec<_>>(), ["b@x.example.com"]);
    let forget = [("b@x.example.com", News::Nothing)];
    opened.commit(vec![learn(5, NOW, &forget)]).await;
    assert_eq!(roster(&opened), (0, 0));
    let ahead = NOW.after(VALID_AGE_MAX + moment);
    opened
        .commit(vec![learn(6, ahead, &facts), sweep(7, NOW)])
        .await;
    assert_eq!(roster(&opened), (0, 0), "a clock was wrong");
    let rows = opened.tables.dump().len();
    assert_eq!(rows, empty + 2, "the domain's figures and what is applied");
}
