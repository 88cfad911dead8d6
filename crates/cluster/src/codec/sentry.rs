//! Who has come to a sentry.

use api::spool::v1 as pb;
use bytes::Bytes;
use spool::{Patience, Timestamp, Visitor, Visits};

use super::{CodecError, required};

pub(super) fn visits_to(visits: Visits) -> pb::Visits {
    let octets = |visitor: Visitor| Bytes::copy_from_slice(&visitor.0.to_be_bytes());
    pb::Visits {
        at_ms: visits.at.0,
        visitors: visits.visitors.into_iter().map(octets).collect(),
    }
}

pub(super) fn visits_from(visits: pb::Visits) -> Result<Visits, CodecError> {
    Ok(Visits {
        at: Timestamp(visits.at_ms),
        visitors: visits
            .visitors
            .iter()
            .map(|octets| visitor_from(octets))
            .collect::<Result<_, _>>()?,
    })
}

fn visitor_from(octets: &[u8]) -> Result<Visitor, CodecError> {
    let octets = octets.try_into().ok().map(u128::from_be_bytes);
    required(octets.map(Visitor), "visitor to a sentry")
}

pub(crate) const fn patience_to(patience: Patience) -> pb::Patience {
    pb::Patience {
        first_at_ms: patience.first.0,
        last_at_ms: patience.last.0,
        visits: patience.visits,
    }
}

pub(crate) const fn patience_from(stored: &pb::Patience) -> Patience {
    Patience {
        first: Timestamp(stored.first_at_ms),
        last: Timestamp(stored.last_at_ms),
        visits: stored.visits,
    }
}
