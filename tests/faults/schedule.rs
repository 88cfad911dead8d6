//! What happens when, decided by a seed before anything happens.

use std::fmt;

use crate::{
    dice::Dice,
    fault::{Fault, Kind, Lane, Whom},
};

/// Calm in the beginning, so that mail flows when the first fault comes.
const CALM_MS: u64 = 1_500;

/// Between two faults of one lane at least; long enough for a node to start again.
const BETWEEN_MS: u64 = 1_000;

/// Between two faults of one lane at most.
const BETWEEN_MAX_MS: u64 = 5_000;

/// Operators are not as busy as fate, and a leader that always changes would hide what else happens.
const OPERATOR_REST_MS: u64 = 6_000;

/// A fault, from when and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Milliseconds from the beginning of the round.
    pub(crate) at_ms: u64,
    pub(crate) lasts_ms: u64,
    pub(crate) fault: Fault,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>6} ms  for {:>5} ms  {}",
            self.at_ms, self.lasts_ms, self.fault
        )
    }
}

/// The faults of one round, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule(pub(crate) Vec<Item>);

impl Schedule {
    /// Of the given kinds, over `round_ms`. In each lane one fault follows the other.
    pub(crate) fn of(seed: u64, round: u64, kinds: &[Kind], round_ms: u64) -> Self {
        let mut items = Vec::new();
        for (number, lane) in (0..).zip([Lane::Nodes, Lane::Network, Lane::Primary, Lane::Operator])
        {
            let of_lane: Vec<Kind> = kinds.iter().copied().filter(|k| k.lane() == lane).collect();
            let mut dice = Dice::new(seed.wrapping_mul(1_000_003) + round * 16 + number);
            if !of_lane.is_empty() {
                fill(&mut items, &mut dice, &of_lane, round_ms);
            }
        }
        items.sort_by_key(|item| item.at_ms);
        Self(items)
    }
}

fn fill(items: &mut Vec<Item>, dice: &mut Dice, kinds: &[Kind], round_ms: u64) {
    let mut at_ms = CALM_MS + dice.within(0..BETWEEN_MAX_MS);
    while at_ms < round_ms {
        let kind = *dice.pick(kinds);
        let (shortest, longest) = kind.lasts_ms();
        let lasts_ms = dice.within(shortest..longest);
        // Most faults are only interesting where the decisions are made.
        let whom = *dice.pick(&[Whom::Leader, Whom::Leader, Whom::Follower]);
        items.push(Item {
            at_ms,
            lasts_ms,
            fault: Fault { kind, whom },
        });
        at_ms += lasts_ms + dice.within(BETWEEN_MS..BETWEEN_MAX_MS);
        if kind.lane() == Lane::Operator {
            at_ms += OPERATOR_REST_MS;
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|item| writeln!(f, "{item}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;
    use crate::fault::{Kind, Lane};

    #[test]
    fn a_seed_decides_everything_and_lanes_do_not_overlap_themselves() {
        let of = |seed| Schedule::of(seed, 0, &Kind::MIX, 60_000);
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        for lane in [Lane::Nodes, Lane::Network, Lane::Primary, Lane::Operator] {
            let mut free_from = 0;
            for item in of(7).0.iter().filter(|i| i.fault.kind.lane() == lane) {
                assert!(item.at_ms >= free_from, "{item}");
                free_from = item.at_ms + item.lasts_ms;
            }
        }
    }

    #[test]
    fn every_kind_of_the_mix_comes_up() {
        let all: Vec<_> = (0..60)
            .flat_map(|seed| Schedule::of(seed, 0, &Kind::MIX, 60_000).0)
            .collect();
        for kind in Kind::MIX {
            assert!(all.iter().any(|i| i.fault.kind == kind), "{}", kind.name());
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
    }
}
