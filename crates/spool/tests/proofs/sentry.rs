//! Who is let in by a sentry, by what the nodes have told each other.

use core::time::Duration;

use proptest::{collection::vec, prelude::*};
use spool::{
    Command, Outcome, Patience, Timestamp, Visitor, Visits,
    sentry::{
        PATIENCE, VISIT_GAP_MIN, VISITOR_AGE_MAX, VISITORS_MAX, VISITS_PER_COMMAND_MAX,
        VISITS_WANTED, lets_in,
    },
};

use crate::{
    memory::{Key, Row},
    replica::Replica,
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const ONE: Visitor = Visitor(1);
const OTHER: Visitor = Visitor(2);

fn minute(minutes: u64) -> Timestamp {
    NOW.after(Duration::from_secs(minutes * 60))
}

fn visit(visitors: &[Visitor], at: Timestamp) -> Command {
    Command::Visits(Visits {
        at,
        visitors: visitors.to_vec(),
    })
}

impl Replica {
    fn lets_in(&self, visitor: Visitor, now: Timestamp) -> bool {
        lets_in(self.memory.held.visitors.get(visitor), now)
    }
}

#[test]
fn visits_to_several_nodes_count_together() {
    let mut replica = Replica::default();
    // Each node tells of its own.
    assert_eq!(
        replica.apply_repeatedly(visit(&[ONE], minute(0))),
        Outcome::Done
    );
    replica.apply_repeatedly(visit(&[OTHER, ONE, ONE], minute(10)));
    assert!(!replica.lets_in(ONE, minute(19)));
    assert!(replica.lets_in(ONE, minute(20)));
    assert!(!replica.lets_in(OTHER, minute(20)));
    replica.apply_repeatedly(visit(&[ONE], minute(20)));
    assert!(replica.lets_in(ONE, minute(20 + 36 * 60)));
}

#[test]
fn a_late_copy_of_what_was_told_is_no_visit() {
    let mut replica = Replica::default();
    for at in [0, 10, 0, 10, 0] {
        replica.apply(visit(&[ONE], minute(at)));
    }
    let known = replica.memory.held.visitors.get(ONE).unwrap();
    assert_eq!(
        (known.first, known.last, known.visits),
        (minute(0), minute(10), 2)
    );
}

#[test]
fn a_sweep_forgets_who_came_back_no_more() {
    let mut replica = Replica::default();
    replica.apply(visit(&[ONE], minute(0)));
    replica.apply(visit(&[OTHER], minute(5)));
    let end = minute(0).after(VISITOR_AGE_MAX);
    replica.apply(Command::Sweep { at: end });
    assert_eq!(replica.memory.held.visitors.len(), 2);
    replica.apply_repeatedly(Command::Sweep {
        at: Timestamp(end.0 + 1),
    });
    assert_eq!(replica.memory.held.visitors.get(ONE), None);
    assert_eq!(replica.memory.held.visitors.len(), 1);
}

#[test]
fn when_too_many_are_remembered_those_make_room_that_were_away_for_the_longest() {
    let mut replica = Replica::default();
    for number in 0..VISITORS_MAX as u64 {
        let visitor = Visitor(u128::from(number) + 10);
        let at = Timestamp(NOW.0 + number);
        let patience = Patience {
            first: at,
            last: at,
            visits: 1,
        };
        let (key, row) = (Key::Visitor(visitor), Row::Patience(patience));
        replica.memory.rows.insert(key, row);
        replica.memory.held.visitors.change(visitor, Some(patience));
    }
    // The first of all comes again, so the two behind it make room.
    let visitors = [ONE, Visitor(10), OTHER];
    replica.apply_repeatedly(visit(&visitors, minute(10)));
    let known = &replica.memory.held.visitors;
    assert_eq!(known.len(), VISITORS_MAX);
    for visitor in visitors {
        assert!(known.get(visitor).is_some(), "{visitor:?}");
    }
    assert_eq!(known.get(Visitor(11)), None);
    assert_eq!(known.get(Visitor(12)), None);
    assert!(known.get(Visitor(13)).is_some());
}

#[test]
fn one_command_tells_of_so_many_at_most() {
    let mut replica = Replica::default();
    let visitors: Vec<Visitor> = (0..5000).map(Visitor).collect();
    replica.apply(visit(&visitors, NOW));
    assert_eq!(replica.memory.held.visitors.len(), VISITS_PER_COMMAND_MAX);
}

/// One visitor's visits that count, told in the plainest way.
#[derive(Clone, Debug, Default)]
struct Counted(Vec<Timestamp>);

impl Counted {
    fn come(&mut self, at: Timestamp) {
        match self.0.last() {
            Some(last) if at.since(*last) > VISITOR_AGE_MAX => self.0 = vec![at],
            Some(last) if at.since(*last) < VISIT_GAP_MIN => {}
            _ => self.0.push(at),
        }
    }

    fn is_patient(&self) -> bool {
        let (first, last) = (self.0.first(), self.0.last());
        self.0.len() >= VISITS_WANTED as usize
            && first
                .zip(last)
                .is_some_and(|(first, last)| last.since(*first) >= PATIENCE)
    }
}

/// Seconds: within a gap, within the time of patience, within an age, beyond it.
fn pause() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..70_u64, 4 => 0..1300_u64, 1 => 0..130_000_u64, 1 => 120_000..140_000_u64]
}

fn moment() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        (0..3600_u64).prop_map(|second| NOW.after(Duration::from_secs(second))),
        any::<u64>().prop_map(Timestamp),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn exactly_those_are_let_in_who_came_three_times_over_twenty_minutes(
        steps in vec((pause(), 0..3_usize, any::<bool>()), 1..60),
    ) {
        let mut replica = Replica::default();
        let mut counted = [Counted::default(), Counted::default(), Counted::default()];
        let mut now = NOW;
        for (pause, who, is_swept) in steps {
            now = now.after(Duration::from_secs(pause));
            counted[who].come(now);
            let visitor = Visitor(who as u128);
            prop_assert_eq!(replica.lets_in(visitor, now), counted[who].is_patient());
            replica.apply(visit(&[visitor], now));
            if is_swept {
                replica.apply(Command::Sweep { at: now });
            }
        }
    }

    #[test]
    fn whatever_clocks_say_a_command_repeated_changes_nothing_and_one_visit_is_not_enough(
        commands in vec((moment(), vec(0..3_u128, 0..4), any::<bool>()), 1..40),
    ) {
        let mut replica = Replica::default();
        let mut told = [0; 3];
        for (at, visitors, is_sweep) in commands {
            if is_sweep {
                replica.apply_repeatedly(Command::Sweep { at });
                continue;
            }
            for (number, told) in (0..).zip(&mut told) {
                *told += u32::from(visitors.contains(&number));
            }
            let visitors: Vec<Visitor> = visitors.into_iter().map(Visitor).collect();
            replica.apply_repeatedly(visit(&visitors, at));
            for (number, told) in (0..).zip(told) {
                let visits = replica.memory.held.visitors.get(Visitor(number));
                let visits = visits.map_or(0, |known| known.visits);
                prop_assert!(visits <= told, "{} visits of {}", visits, told);
            }
        }
    }
}
