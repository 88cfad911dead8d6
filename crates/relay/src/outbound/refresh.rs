//! Keeps what is known of idle primaries fresh.
//!
//! There is nothing to send to primaries that are up and get their mail from the senders, so nobody
//! would talk to them before they go down, which is when it matters what they take. Each is asked now
//! and then. One that does not answer is left alone: whether it is down shows when there is mail for it.

use core::convert::Infallible;

use spool::policy::Domain;
use spool::{Destination, Outbox, Reachability};
use tokio::time::sleep;

use crate::outbound::Shared;

/// The first round comes after this part of the time between two: soon after a node has begun to lead,
/// and not while everything else begins.
const FIRST_ROUND: u32 = 60;

/// Asks each idle primary in turn what it offers, for as long as it is polled.
pub(super) async fn refresh<O: Outbox>(shared: &Shared<O>) -> Infallible {
    let mut wait = shared.config.timeouts.refresh / FIRST_ROUND;
    loop {
        sleep(wait).await;
        wait = shared.config.timeouts.refresh;
        let policy = shared.outbox.policy();
        for domain in policy.iter().flat_map(|policy| &policy.domains) {
            if is_idle(&shared.outbox.destination(&domain.name)) {
                ask(shared, domain).await;
            }
        }
    }
}

/// Whether nobody else is about to talk to the primary.
fn is_idle(destination: &Destination) -> bool {
    destination.reachability == Reachability::Up && destination.totals.undelivered() == 0
}

async fn ask<O: Outbox>(shared: &Shared<O>, domain: &Domain) {
    let name = &domain.name;
    match shared.connect(domain).await {
        Ok(connection) => {
            if let Err(error) = shared.note_offers(domain, &connection).await {
                tracing::debug!(domain = %name, %error, "what the primary offers was not recorded");
            }
            connection.quit().await;
        }
        Err(reason) => tracing::debug!(domain = %name, reason, "an idle primary does not answer"),
    }
}
