//! What a person must look at, because the cluster does not go on by itself.
//!
//! An alarm is a state, not an event: it is there for as long as its cause is, on every node that knows
//! of the cause, and goes with it. Whoever notices that one begins or ends says so in the log, with the
//! target `alarm`.

use crate::{Destination, Timestamp};

/// The recovery guard holds a domain's mail back.
pub const RECOVERY_GUARD: &str = "recovery-guard";

/// There is no way to a domain's primary.
pub const NO_ROUTE: &str = "no-route";

/// All that [`of_destination`] may tell of.
pub const OF_DESTINATIONS: [&str; 2] = [RECOVERY_GUARD, NO_ROUTE];

/// One alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Which kind: the same word in the log, in the metric and in the status.
    pub name: &'static str,
    /// The policy's domain that it is about.
    pub domain: String,
    /// Since when.
    pub since: Timestamp,
    /// What is wrong and what to do, in plain sentences.
    pub words: String,
}

/// The alarms about a domain that follow from what all nodes know of it.
#[must_use]
pub fn of_destination(domain: &str, destination: &Destination) -> Vec<Alarm> {
    let guard = destination.held_back().map(|tripped| Alarm {
        name: RECOVERY_GUARD,
        domain: domain.to_owned(),
        since: tripped.at,
        words: format!(
            "The primary of {domain} is back and not itself: {}. Its mail waits and nothing is bounced: \
             mend the primary, then layover domain resume {domain}.",
            tripped.why
        ),
    });
    let no_route = destination.no_route().map(|reason| Alarm {
        name: NO_ROUTE,
        domain: domain.to_owned(),
        since: destination.since,
        words: format!("The mail of {domain} waits: {reason}."),
    });
    guard.into_iter().chain(no_route).collect()
}
