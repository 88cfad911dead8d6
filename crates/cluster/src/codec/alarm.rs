//! What the webhook of the alarms was told.

use api::spool::v1::{self as pb, destination};
use spool::{
    Timestamp,
    alarm::{Notice, Posted, Raised, Turn},
};

pub(crate) fn notice_to(notice: Notice) -> pb::AlarmPosted {
    pb::AlarmPosted {
        domain: notice.domain,
        name: notice.name,
        since_ms: notice.since.0,
        cleared: notice.turn == Turn::Cleared,
    }
}

pub(crate) fn notice_from(told: pb::AlarmPosted) -> Notice {
    Notice {
        domain: told.domain,
        name: told.name,
        since: Timestamp(told.since_ms),
        turn: if told.cleared {
            Turn::Cleared
        } else {
            Turn::Raised
        },
    }
}

/// Nothing for what the webhook knows nothing of.
pub(crate) fn posted_to(posted: Option<Box<Posted>>) -> Vec<destination::Raised> {
    let raised = posted.map_or_else(Vec::new, |posted| posted.raised);
    let raised = raised.into_iter().map(|known| destination::Raised {
        name: known.name,
        since_ms: known.since.0,
    });
    raised.collect()
}

pub(crate) fn posted_from(stored: Vec<destination::Raised>) -> Option<Box<Posted>> {
    let raised = stored.into_iter().map(|known| Raised {
        name: known.name,
        since: Timestamp(known.since_ms),
    });
    let raised: Vec<Raised> = raised.collect();
    (!raised.is_empty()).then(|| Box::new(Posted { raised }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_read_as_it_was_written() {
        for turn in [Turn::Raised, Turn::Cleared] {
            let notice = Notice {
                domain: "example.com".to_owned(),
                name: "no-route".to_owned(),
                since: Timestamp(7),
                turn,
            };
            assert_eq!(notice_from(notice_to(notice.clone())), notice);
        }
    }

    #[test]
    fn what_was_posted_is_read_as_it_was_written() {
        let raised = Raised {
            name: "no-route".to_owned(),
            since: Timestamp(7),
        };
        let posted = Posted {
            raised: vec![raised],
        };
        for posted in [None, Some(Box::new(posted))] {
            assert_eq!(posted_from(posted_to(posted.clone())), posted);
        }
    }
}
