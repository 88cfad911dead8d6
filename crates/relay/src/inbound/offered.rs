//! What senders are offered: what can be handed over, whether a primary is up or not.

use spool::Intake;

/// Octets of the largest message that is announced: as much as this node takes, or, where every
/// domain's primary is known to take less, as much as the one that takes the most.
///
/// A message for a domain whose primary takes less than others' is refused at RCPT or at the end
/// of its data.
pub(super) fn size_max(intake: &impl Intake, own: u64) -> u64 {
    let Some(policy) = intake.policy() else {
        return own;
    };
    let of_primary = |name: &str| intake.offers(name).and_then(|offers| offers.size_max);
    let sizes = policy
        .domains
        .iter()
        .map(|domain| of_primary(&domain.name).unwrap_or(u64::MAX));
    sizes.max().map_or(own, |largest| own.min(largest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::tests::memory::Memory;

    #[test]
    fn the_largest_primary_counts_once_all_are_known() {
        let memory = Memory::for_domains(&["a.example", "b.example"]);
        assert_eq!(size_max(&memory, 1000), 1000, "nothing is known");
        memory.learn_size("a.example", Some(300));
        assert_eq!(size_max(&memory, 1000), 1000, "the other may take all");
        memory.learn_size("b.example", Some(500));
        assert_eq!(size_max(&memory, 1000), 500);
        assert_eq!(size_max(&memory, 400), 400);
        memory.learn_size("b.example", None);
        assert_eq!(size_max(&memory, 1000), 1000, "it has no limit");
        assert_eq!(size_max(&Memory::default(), 1000), 1000, "no policy");
    }
}
