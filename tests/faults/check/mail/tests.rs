//! The checks against evidence in which something is wrong, and against evidence that is right.

use std::time::Instant;

use harness::{Received, Said, letter::Text};

use super::{Evidence, Findings, judge, queue_id};
use crate::{
    fault::Kind,
    ledger::{Entry, Event, Outcome, Plan},
};

const PEOPLE: usize = 2;

fn entry(serial: usize, outcomes: Vec<Outcome>) -> (usize, Entry) {
    let plan = Plan {
        serial,
        to: format!("u{}@example.com", serial % PEOPLE),
        size: 500,
        text: Text::Dots,
        malformed: false,
    };
    (serial, Entry { plan, outcomes })
}

fn id(serial: usize) -> String {
    format!("01ID{serial}")
}

fn arrival(entry: &Entry, id: &str) -> Received {
    let letter = entry.plan.letter();
    let mut body =
        format!("Received: from x\r\n\tby mx1 with ESMTP id {id}\r\n\tfor y; now\r\n").into_bytes();
    body.extend_from_slice(&letter.body);
    Received {
        from: letter.from,
        to: letter.to,
        said: Said::default(),
        body,
        session: 1,
        tls: false,
        at: Instant::now(),
    }
}

/// Six messages that were taken at once and arrived one after the other, a second apart.
fn right() -> Evidence {
    let taken = |serial| entry(serial, vec![Outcome::Taken(id(serial))]);
    let entries: std::collections::BTreeMap<_, _> = (0..6).map(taken).collect();
    let received = entries
        .iter()
        .zip(1..)
        .map(|((serial, entry), second)| (second * 1000, arrival(entry, &id(*serial))))
        .collect();
    Evidence {
        entries,
        past: [100].into(),
        events: Vec::new(),
        acknowledged_ms: (1..100).map(|tenth| tenth * 100).collect(),
        received,
        logs: Vec::new(),
    }
}

fn event(kind: Kind, from_ms: u64, until_ms: u64) -> Event {
    Event {
        kind,
        deposes: true,
        from_ms,
        until_ms,
    }
}

#[track_caller]
fn found(evidence: &Evidence, what: &str) -> Findings {
    let findings = judge(evidence);
    assert!(
        findings
            .violations
            .iter()
            .any(|violation| violation.contains(what)),
        "{:?}",
        findings.violations
    );
    findings
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let findings = judge(&right());
    assert_eq!(findings.violations, Vec::<String>::new());
    assert_eq!((findings.acknowledged, findings.arrived), (6, 6));
}

#[test]
fn a_message_that_is_missing_is_found() {
    let mut evidence = right();
    evidence.received.remove(3);
    found(&evidence, "message 3 acknowledged and did not arrive");
}

#[test]
fn one_octet_that_was_changed_is_found() {
    let mut evidence = right();
    let body = &mut evidence.received[2].1.body;
    let last = body.len() - 3;
    body[last] ^= 1;
    found(&evidence, "message 2 arrived with other octets");
}

#[test]
fn a_message_that_overtakes_another_is_found_unless_that_one_was_deferred() {
    let mut evidence = right();
    evidence.received.swap(1, 3);
    found(
        &evidence,
        "message 1 arrived after one that was sent after it",
    );
    evidence
        .logs
        .push(format!("INFO mail: deferred id={}", id(1)));
    let findings = judge(&evidence);
    assert_eq!(findings.violations, Vec::<String>::new());
    assert_eq!(findings.stepped_aside, 1);
}

#[test]
fn what_nobody_sent_is_found() {
    let mut evidence = right();
    let (_, stranger) = entry(7, Vec::new());
    evidence.received.push((9000, arrival(&stranger, "X")));
    found(&evidence, "that nobody sent");
    let (_, old) = entry(100, Vec::new());
    evidence.received.push((9000, arrival(&old, "Y")));
    found(&evidence, "long after the queue was empty");
}

#[test]
fn what_was_refused_for_good_must_not_arrive_and_what_is_unknown_may() {
    let mut evidence = right();
    for (serial, outcome) in [(8, Outcome::Refused(451)), (9, Outcome::Unknown)] {
        let (serial, entry) = entry(serial, vec![outcome]);
        evidence.received.push((9000, arrival(&entry, &id(serial))));
        evidence.entries.insert(serial, entry);
    }
    assert_eq!(judge(&evidence).violations, Vec::<String>::new());
    let (serial, refused) = entry(7, vec![Outcome::Refused(550)]);
    evidence.received.push((9000, arrival(&refused, "Z")));
    evidence.entries.insert(serial, refused);
    found(&evidence, "message 7 was refused for good and arrived");
}

#[test]
fn a_delivery_made_again_needs_a_fault_that_explains_it() {
    let mut evidence = right();
    let again = evidence.received[0].1.clone();
    evidence.received.push((3000, again));
    found(&evidence, "and nothing had happened");
    evidence.events.push(event(Kind::Kill, 1500, 2000));
    let findings = judge(&evidence);
    assert_eq!(findings.violations, Vec::<String>::new());
    assert_eq!((findings.repeated, findings.repeated_by_one_fault), (1, 1));
}

#[test]
fn a_fault_makes_no_more_deliveries_happen_again_than_there_are_connections() {
    for (kind, max) in [(Kind::Kill, 20), (Kind::PrimaryDropsAfterDot, 100)] {
        let mut evidence = right();
        evidence.events.push(event(kind, 1500, 2000));
        let again = (3000, evidence.received[0].1.clone());
        evidence
            .received
            .extend(std::iter::repeat_n(again.clone(), max));
        assert_eq!(judge(&evidence).violations, Vec::<String>::new());
        evidence.received.push(again);
        found(&evidence, "deliveries happen again");
    }
}

#[test]
fn what_began_long_after_a_delivery_has_not_made_it_happen_again() {
    let mut evidence = right();
    evidence.events.push(event(Kind::Kill, 1500, 2000));
    evidence.events.push(event(Kind::SlowLink, 20_000, 35_000));
    // Once from the time of the first fault, for which there was no primary before; the others are the second's.
    let again = (40_000, evidence.received[0].1.clone());
    evidence.received.extend(std::iter::repeat_n(again, 21));
    let findings = judge(&evidence);
    assert_eq!(findings.violations, Vec::<String>::new());
    assert_eq!(
        (findings.repeated, findings.repeated_by_one_fault),
        (21, 20)
    );
}

#[test]
fn what_the_primary_broke_off_is_no_other_faults() {
    let mut evidence = right();
    evidence
        .events
        .push(event(Kind::PrimaryDropsAfterDot, 1400, 1600));
    evidence.events.push(event(Kind::Kill, 1500, 2000));
    let [killed, broken_off] = [0, 1].map(|place| (3000, evidence.received[place].1.clone()));
    evidence.received.extend(std::iter::repeat_n(killed, 20));
    let id = queue_id(&broken_off.1.body).unwrap();
    evidence.received.push(broken_off);
    found(&evidence, "made 21 deliveries happen again");
    evidence.logs.push(format!(
        " WARN mail: possible repeat id={id} host=\"192.0.2.1:25\" reason=the server closed the connection\n"
    ));
    assert_eq!(judge(&evidence).violations, Vec::<String>::new());
}

#[test]
fn a_message_is_spooled_no_more_often_than_its_outcome_was_in_doubt() {
    let mut evidence = right();
    let copy = arrival(&evidence.entries[&0], "01COPY");
    evidence.received.push((3000, copy));
    found(&evidence, "message 0 was spooled 2 times, of 1");
    let entry = evidence.entries.get_mut(&0).unwrap();
    entry.outcomes.insert(0, Outcome::Unknown);
    let findings = judge(&evidence);
    assert_eq!(findings.violations, Vec::<String>::new());
    assert_eq!(findings.sent_again, 1);
}

#[test]
fn the_time_without_a_250_is_that_between_two_of_them() {
    let mut evidence = right();
    evidence
        .acknowledged_ms
        .retain(|ms| !(2000..3600).contains(ms));
    evidence.events.push(event(Kind::Kill, 1950, 4000));
    assert_eq!(judge(&evidence).gaps_ms, [1700]);
    // With a second fault beside it, it is nobody's.
    evidence.events.push(event(Kind::Loss, 1800, 2500));
    assert_eq!(judge(&evidence).gaps_ms, Vec::<u64>::new());
}
