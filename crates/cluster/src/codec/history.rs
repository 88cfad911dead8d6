//! What is remembered of messages.

use api::spool::v1 as pb;
use spool::{HistoryTotals, Timestamp, Try};

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
    pb::HistoryTotals { rows: totals.rows }
}

pub(crate) const fn history_totals_from(totals: pb::HistoryTotals) -> HistoryTotals {
    HistoryTotals { rows: totals.rows }
}
