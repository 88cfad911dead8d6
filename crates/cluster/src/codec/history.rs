//! What is remembered of messages.

use api::spool::v1 as pb;
use spool::{Expire, HistoryTotals, Lapse, Replay, Retained, Timestamp, Try};

use super::{
    CodecError,
    values::{ids_from, ids_to},
};

pub(super) fn try_to(tried: Try) -> pb::Try {
    pb::Try {
        at_ms: tried.at.0,
        host: tried.host,
        delivered: tried.delivered,
        deferred: tried.deferred,
        rejected: tried.rejected,
        words: tried.words,
    }
}

pub(super) fn try_from(tried: pb::Try) -> Try {
    Try {
        at: Timestamp(tried.at_ms),
        host: tried.host,
        delivered: tried.delivered,
        deferred: tried.deferred,
        rejected: tried.rejected,
        words: tried.words,
    }
}

pub(crate) const fn history_totals_to(totals: HistoryTotals) -> pb::HistoryTotals {
    pb::HistoryTotals {
        rows: totals.rows,
        retained: totals.retained,
        retained_octets: totals.retained_octets,
    }
}

pub(crate) const fn history_totals_from(totals: pb::HistoryTotals) -> HistoryTotals {
    HistoryTotals {
        rows: totals.rows,
        retained: totals.retained,
        retained_octets: totals.retained_octets,
    }
}

pub(crate) fn retained_to(retained: Retained) -> pb::Retained {
    pb::Retained {
        pieces: retained.pieces,
        trace: retained.trace,
        size: retained.size,
    }
}

pub(crate) fn retained_from(retained: pb::Retained) -> Retained {
    Retained {
        pieces: retained.pieces,
        trace: retained.trace,
        size: retained.size,
    }
}

pub(super) fn expire_to(expire: Expire) -> pb::Expire {
    pb::Expire {
        domain: expire.domain,
        at_ms: expire.at.0,
        sequences: expire.sequences,
    }
}

pub(super) fn expire_from(expire: pb::Expire) -> Expire {
    Expire {
        domain: expire.domain,
        at: Timestamp(expire.at_ms),
        sequences: expire.sequences,
    }
}

pub(super) fn lapse_to(lapse: Lapse) -> pb::Lapse {
    pb::Lapse {
        at_ms: lapse.at.0,
        sequences: lapse.sequences,
    }
}

pub(super) fn lapse_from(lapse: pb::Lapse) -> Lapse {
    Lapse {
        at: Timestamp(lapse.at_ms),
        sequences: lapse.sequences,
    }
}

pub(super) fn replay_to(replay: Replay) -> pb::Replay {
    pb::Replay {
        since_ms: replay.since.0,
        domain: replay.domain,
        at_ms: replay.at.0,
        ids: ids_to(replay.ids),
    }
}

pub(super) fn replay_from(replay: pb::Replay) -> Result<Replay, CodecError> {
    Ok(Replay {
        since: Timestamp(replay.since_ms),
        domain: replay.domain,
        at: Timestamp(replay.at_ms),
        ids: ids_from(replay.ids)?,
    })
}
