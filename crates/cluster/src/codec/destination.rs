//! Destinations.

use api::spool::v1 as pb;
use spool::{
    Destination, KnownOffers, Offers, Pause, Reachability, Roster, Starttls, Timestamp, Totals,
};

use super::{
    CodecError,
    alarm::{posted_from, posted_to},
    learned_from, learned_to,
    recovery::{guard_from, guard_to},
};

pub(crate) fn destination_to(destination: Destination) -> pb::Destination {
    let down = match destination.reachability {
        Reachability::Up => None,
        Reachability::Down(words) => Some(words),
    };
    pb::Destination {
        down,
        since_ms: destination.since.0,
        flushed_at_ms: destination.flushed_at.0,
        waiting: destination.totals.waiting,
        deferred: destination.totals.deferred,
        rejected: destination.totals.rejected,
        bytes: destination.totals.bytes,
        learned: destination
            .learned
            .map(|learned| pb::destination::KnownOffers {
                offers: Some(offers_to(learned.offers)),
                since_ms: learned.since.0,
            }),
        valid: destination.roster.valid,
        unknown: destination.roster.unknown,
        nonsense: destination.roster.nonsense.map(learned_to),
        moved_at_ms: destination.moved_at.map(|at| at.0),
        moved_by: destination.moved_by,
        paused: destination.paused.map(|pause| pause_to(*pause)),
        revision: destination.revision,
        held: destination.totals.held,
        guard: destination.guard.map(|guard| guard_to(*guard)),
        posted: posted_to(destination.posted),
        starttls: destination.starttls.map(|known| pb::destination::Starttls {
            is_offered: known.is_offered,
            since_ms: known.since.0,
            host: known.host,
        }),
    }
}

pub(crate) fn destination_from(destination: pb::Destination) -> Result<Destination, CodecError> {
    let nonsense = destination.nonsense.map(learned_from).transpose()?;
    Ok(Destination {
        reachability: destination
            .down
            .map_or(Reachability::Up, Reachability::Down),
        since: Timestamp(destination.since_ms),
        flushed_at: Timestamp(destination.flushed_at_ms),
        totals: Totals {
            waiting: destination.waiting,
            deferred: destination.deferred,
            held: destination.held,
            rejected: destination.rejected,
            bytes: destination.bytes,
        },
        learned: destination.learned.map(|learned| KnownOffers {
            offers: offers_from(&learned.offers.unwrap_or_default()),
            since: Timestamp(learned.since_ms),
        }),
        roster: Roster {
            valid: destination.valid,
            unknown: destination.unknown,
            nonsense,
        },
        moved_by: destination.moved_by,
        moved_at: destination.moved_at_ms.map(Timestamp),
        paused: destination.paused.map(pause_from).map(Box::new),
        revision: destination.revision,
        guard: destination.guard.map(guard_from).map(Box::new),
        posted: posted_from(destination.posted),
        starttls: destination.starttls.map(|known| {
            Box::new(Starttls {
                is_offered: known.is_offered,
                since: Timestamp(known.since_ms),
                host: known.host,
            })
        }),
    })
}

fn pause_to(pause: Pause) -> pb::destination::Pause {
    pb::destination::Pause {
        since_ms: pause.since.0,
        until_ms: pause.until.map(|until| until.0),
        by: pause.by,
        reason: pause.reason,
    }
}

fn pause_from(stored: pb::destination::Pause) -> Pause {
    Pause {
        since: Timestamp(stored.since_ms),
        until: stored.until_ms.map(Timestamp),
        by: stored.by,
        reason: stored.reason,
    }
}

pub(super) const fn offers_to(offers: Offers) -> pb::PrimaryOffers {
    pb::PrimaryOffers {
        size_max: offers.size_max,
        eight_bit_mime: offers.eight_bit_mime,
        smtputf8: offers.smtputf8,
        chunking: offers.chunking,
        binary_mime: offers.binary_mime,
        dsn: offers.dsn,
    }
}

pub(super) const fn offers_from(offers: &pb::PrimaryOffers) -> Offers {
    Offers {
        size_max: offers.size_max,
        eight_bit_mime: offers.eight_bit_mime,
        smtputf8: offers.smtputf8,
        chunking: offers.chunking,
        binary_mime: offers.binary_mime,
        dsn: offers.dsn,
    }
}
