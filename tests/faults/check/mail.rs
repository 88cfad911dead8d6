//! Every message: lost, changed, invented, repeated, out of order?

use std::collections::{BTreeMap, BTreeSet};

use harness::{Letter, Received, compare, letter};

use crate::ledger::{Entry, Event, Outcome};

/// A fault's consequences are over so long after it was undone: an election, a probe of the
/// primary, and what was under way meanwhile.
const AFTERMATH_MS: u64 = 8_000;

/// A delivery is recorded within this time, or never: what began later has not kept it from that.
const RECORDED_WITHIN_MS: u64 = 5_000;

/// Deliveries that a fault of nodes or network may repeat at most: a leader lets no more be at the
/// primary that is not recorded than there are connections (`connections = 20`).
const REPEATS_PER_FAULT_MAX: usize = 20;

/// And a fault of the primary: it may break every connection behind the final dot, several times.
const REPEATS_PER_PRIMARY_FAULT_MAX: usize = 100;

/// How soon after a fault the gap begins that it is answerable for.
const FELT_WITHIN_MS: u64 = 3_000;

/// Everything there is to judge by.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    pub(crate) entries: BTreeMap<usize, Entry>,
    /// Messages of earlier rounds, each of which ended with empty queues.
    pub(crate) past: BTreeSet<usize>,
    pub(crate) events: Vec<Event>,
    pub(crate) acknowledged_ms: Vec<u64>,
    /// What the primary has, and when it got it.
    pub(crate) received: Vec<(u64, Received)>,
    /// What the nodes said.
    pub(crate) logs: Vec<String>,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    /// What must not be, in sentences.
    pub(crate) violations: Vec<String>,
    /// Messages that some node said 250 to.
    pub(crate) acknowledged: usize,
    /// Messages that arrived, repeats not counted.
    pub(crate) arrived: usize,
    /// Messages that were refused for good.
    pub(crate) refused: usize,
    /// Copies that a client's second try left, its first outcome unknown or 4xx.
    pub(crate) sent_again: usize,
    /// Deliveries that were made again.
    pub(crate) repeated: usize,
    /// The most that one fault repeated.
    pub(crate) repeated_by_one_fault: usize,
    /// Messages overtaken because the primary or its connections had failed under them, which is
    /// what deferring is for.
    pub(crate) stepped_aside: usize,
    /// For each leader that was deposed: how long no client was told 250, in milliseconds.
    pub(crate) gaps_ms: Vec<u64>,
}

/// Judges.
pub(crate) fn judge(evidence: &Evidence) -> Findings {
    let mut findings = Findings {
        acknowledged: evidence.entries.values().filter(|e| e.is_taken()).count(),
        refused: evidence.entries.values().filter(|e| e.is_refused()).count(),
        gaps_ms: gaps(evidence),
        ..Findings::default()
    };
    check_acknowledged(evidence, &mut findings);
    check_the_rest(evidence, &mut findings);
    check_repeats(evidence, &mut findings);
    findings
}

/// What was acknowledged arrived, whole and in order.
fn check_acknowledged(evidence: &Evidence, findings: &mut Findings) {
    let taken: Vec<Letter> = evidence
        .entries
        .values()
        .filter(|entry| entry.is_taken())
        .map(|entry| entry.plan.letter())
        .collect();
    let serials: BTreeSet<usize> = taken.iter().map(|letter| letter.serial).collect();
    let ours = |arrived: &&Received| arrived.serial().is_some_and(|s| serials.contains(&s));
    let received: Vec<Received> = evidence
        .received
        .iter()
        .map(|(_, arrived)| arrived)
        .filter(ours)
        .cloned()
        .collect();
    let account = compare(&taken, &received);
    findings.arrived = account.acknowledged.saturating_sub(account.lost.len());
    for (what, found) in [
        ("acknowledged and did not arrive", &account.lost),
        ("arrived with other octets than were sent", &account.changed),
    ] {
        let violations = found
            .iter()
            .map(|serial| format!("message {serial} {what}"));
        findings.violations.extend(violations);
    }
    if account.unknown > 0 {
        let count = account.unknown;
        let violation = format!("{count} arrivals for people who were not written to");
        findings.violations.push(violation);
    }
    for serial in account.out_of_order {
        if was_deferred(evidence, serial) {
            findings.stepped_aside += 1;
        } else {
            let violation = format!("message {serial} arrived after one that was sent after it");
            findings.violations.push(violation);
        }
    }
}

/// Whether a node put a message, or one for the same person, off: then order is given up for it.
fn was_deferred(evidence: &Evidence, serial: usize) -> bool {
    let Some(entry) = evidence.entries.get(&serial) else {
        return false;
    };
    let ids = entry.outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Taken(id) => Some(id.as_str()),
        _ => None,
    });
    let mut lines = evidence.logs.iter().flat_map(|log| log.lines());
    let ids: Vec<&str> = ids.collect();
    lines.any(|line| line.contains("deferred") && ids.iter().any(|id| line.contains(id)))
}

/// What was not acknowledged: refused for good means no copy, anything else at most one for each
/// try; and what nobody sent is nowhere.
fn check_the_rest(evidence: &Evidence, findings: &mut Findings) {
    for (_, arrived) in &evidence.received {
        let Some(entry) = arrived.serial().and_then(|s| evidence.entries.get(&s)) else {
            let from = &arrived.from;
            let old = arrived.serial().is_some_and(|s| evidence.past.contains(&s));
            let violation = if old {
                format!("a message from <{from}> arrived again, long after the queue was empty")
            } else {
                format!("a message from <{from}> arrived that nobody sent")
            };
            findings.violations.push(violation);
            continue;
        };
        let serial = entry.plan.serial;
        if entry.is_refused() {
            let violation = format!("message {serial} was refused for good and arrived");
            findings.violations.push(violation);
        }
        let is_whole = || letter::without_trace(&arrived.body) == entry.plan.letter().body;
        if !entry.is_taken() && !is_whole() {
            let violation = format!("message {serial}, not acknowledged, arrived changed");
            findings.violations.push(violation);
        }
    }
}

/// A repeat is a client's second try, which has an id of its own, or a delivery made again, which
/// has the same id and needs a fault that explains it.
fn check_repeats(evidence: &Evidence, findings: &mut Findings) {
    let mut arrivals: BTreeMap<usize, BTreeMap<String, Vec<u64>>> = BTreeMap::new();
    for (at_ms, arrived) in &evidence.received {
        let (Some(serial), Some(id)) = (arrived.serial(), queue_id(&arrived.body)) else {
            continue;
        };
        let ids = arrivals.entry(serial).or_default();
        ids.entry(id).or_default().push(*at_ms);
    }
    let broken_off = broken_off(evidence);
    let mut by_fault: BTreeMap<usize, usize> = BTreeMap::new();
    for (serial, ids) in arrivals {
        findings.sent_again += ids.len() - 1;
        let copies_max = evidence.entries.get(&serial).map_or(0, Entry::copies_max);
        if ids.len() > copies_max {
            let count = ids.len();
            let violation = format!("message {serial} was spooled {count} times, of {copies_max}");
            findings.violations.push(violation);
        }
        for (id, times_ms) in ids {
            let by_primary = broken_off.contains(id.as_str());
            for pair in times_ms.windows(2) {
                let &[first, again] = pair else { continue };
                findings.repeated += 1;
                match explained(evidence, first, again, by_primary) {
                    Some(fault) => *by_fault.entry(fault).or_default() += 1,
                    None => findings.violations.push(format!(
                        "message {serial} ({id}) was delivered at {first} ms and again at {again} \
                         ms, and nothing had happened"
                    )),
                }
            }
        }
    }
    for (fault, count) in by_fault {
        findings.repeated_by_one_fault = findings.repeated_by_one_fault.max(count);
        let Some(event) = evidence.events.get(fault) else {
            continue;
        };
        let count_max = if event.hits_cluster() {
            REPEATS_PER_FAULT_MAX
        } else {
            REPEATS_PER_PRIMARY_FAULT_MAX
        };
        if count > count_max {
            let (kind, at) = (event.kind.name(), event.from_ms);
            let violation = format!("{kind} at {at} ms made {count} deliveries happen again");
            findings.violations.push(violation);
        }
    }
}

/// The messages of which a node says that the primary broke off behind their final dot.
fn broken_off(evidence: &Evidence) -> BTreeSet<&str> {
    let lines = evidence.logs.iter().flat_map(|log| log.lines());
    let ids = lines.filter_map(|line| {
        let (_, rest) = line.split_once("possible repeat id=")?;
        let (id, why) = rest.split_once(' ')?;
        why.starts_with("host=").then_some(id)
    });
    ids.collect()
}

/// The last fault that was under way, or not long over, when the first of two deliveries was to be recorded, or
/// else between them: of the primary's where it broke the first one off, if there is one, of any kind otherwise.
fn explained(evidence: &Evidence, first_ms: u64, again_ms: u64, by_primary: bool) -> Option<usize> {
    let explains = |event: &Event| {
        event.kind.may_repeat()
            && event.from_ms <= again_ms
            && first_ms <= event.until_ms.saturating_add(AFTERMATH_MS)
    };
    let of_primary = |event: &Event| !event.hits_cluster() && explains(event);
    let by_primary = by_primary.then(|| evidence.events.iter().rposition(of_primary));
    let begun_by = |ms: u64| {
        let mut events = evidence.events.iter();
        events.rposition(|event| explains(event) && event.from_ms <= ms)
    };
    let soon = || begun_by(first_ms.saturating_add(RECORDED_WITHIN_MS));
    let by_primary = by_primary.flatten();
    by_primary.or_else(soon).or_else(|| begun_by(again_ms))
}

/// What stands behind `id` in our own trace field.
fn queue_id(body: &[u8]) -> Option<String> {
    let field = body.get(..body.len() - letter::after_field(body).len())?;
    let at = memchr::memmem::find(field, b" id ")? + 4;
    let rest = field.get(at..)?;
    let end = rest
        .iter()
        .position(|octet| !octet.is_ascii_alphanumeric())?;
    Some(String::from_utf8_lossy(rest.get(..end)?).into_owned())
}

/// For each leader that was deposed while all else was well, which includes that all nodes were
/// ready: the longest time without a 250.
fn gaps(evidence: &Evidence) -> Vec<u64> {
    let alone = |event: &&Event| {
        let others = evidence.events.iter().filter(|other| other.hits_cluster());
        let mut others = others.filter(|other| other.from_ms != event.from_ms);
        !others.any(|other| {
            let began = other.from_ms < event.from_ms + FELT_WITHIN_MS;
            began && event.from_ms < other.until_ms
        })
    };
    let deposed = evidence
        .events
        .iter()
        .filter(|event| event.deposes)
        .filter(alone);
    let gap = |event: &Event| {
        let pairs = evidence.acknowledged_ms.windows(2);
        let felt = pairs.filter_map(|pair| {
            let &[before, after] = pair else { return None };
            let during = before <= event.from_ms + FELT_WITHIN_MS && after >= event.from_ms;
            during.then(|| after - before)
        });
        felt.max()
    };
    deposed.filter_map(gap).collect()
}

#[cfg(test)]
mod tests;
