//! What operators do with messages.
//!
//! A message that is held or deleted may be on its way to the primary. It is not called back: what becomes
//! of it is reported as ever, and a report of a message that is gone changes nothing. What has not started
//! by then does not: its place in the queue is gone, or claimed by nobody, and the domain's revision tells
//! whoever has read ahead to look again.

use super::{
    Change, Outcome, View, audit, departures, ledger::Ledger, notices, report::kept_claims,
};
use crate::{
    Message, Status,
    audit::{Action, Handling, Tally, Verb},
    message::Hold,
    notice::Word,
    policy::ReportTo,
};

pub(super) fn handle<V: View>(
    view: &V,
    handling: Handling,
) -> Result<(Outcome, Vec<Change>), V::Error> {
    let Handling {
        verb,
        action,
        batch,
        mut ids,
    } = handling;
    ids.sort_unstable();
    ids.dedup();
    let to = notices::reports(view).to;
    audit::once(view, action, batch, |action| {
        let mut tally = Tally::default();
        let mut ledger = Ledger::new(view);
        let mut changes = Vec::new();
        for before in view.queued(&ids)? {
            let Some(before) = before else {
                tally.absent += 1;
                continue;
            };
            let after = match verb.applied(&before, action, to) {
                Next::Becomes(after) => Some(after),
                Next::Leaves(last) => {
                    departures::leave(view, *last, action.at, &mut ledger, &mut changes);
                    None
                }
                Next::Stays => {
                    tally.unaffected += 1;
                    continue;
                }
                Next::IsHeld => {
                    tally.held += 1;
                    continue;
                }
            };
            tally.changed += 1;
            // What is on its way and is to be tried at once is on its way all the same. A held message has no place
            // in a queue, and so no claim.
            let mut kept = match &after {
                Some(after) if before.hold.is_none() => kept_claims(view, after, 0)?,
                _ => Vec::new(),
            };
            ledger.recount(Some(&before), after.as_deref());
            ledger.revise(&before);
            changes.push(Change::Message {
                before: Some(Box::new(before)),
                after,
            });
            changes.append(&mut kept);
        }
        ledger.write_to(&mut changes);
        Ok((tally, changes))
    })
}

/// What a verb makes of a message.
enum Next {
    Becomes(Box<Message>),
    /// It was like this in the end.
    Leaves(Box<Message>),
    Stays,
    IsHeld,
}

impl Verb {
    fn applied(self, before: &Message, action: &Action, to: ReportTo) -> Next {
        let mut after = before.clone();
        match self {
            Self::Delete => return Next::Leaves(Box::new(after)),
            Self::Retry if before.hold.is_some() => return Next::IsHeld,
            Self::Hold => {
                let is_to_be_delivered = before.recipients.iter().any(|r| !r.status.is_final());
                if before.hold.is_none() && is_to_be_delivered {
                    after.hold = Some(Hold {
                        at: action.at,
                        by: action.by.clone(),
                        reason: action.reason.clone(),
                    });
                }
            }
            Self::Release => after.hold = None,
            Self::Retry => {
                for recipient in &mut after.recipients {
                    if let Status::Deferred { .. } | Status::Rejected { .. } = recipient.status {
                        recipient.status = Status::Pending;
                        recipient.owed = None;
                    }
                }
            }
            Self::Bounce => {
                let may_tell = before.may_tell(to, Word::Operator);
                for recipient in &mut after.recipients {
                    recipient.bounce(action.at, &action.reason, may_tell);
                }
                after.hold = None;
            }
        }
        if after == *before {
            Next::Stays
        } else if after.is_settled() {
            Next::Leaves(Box::new(after))
        } else {
            if let Self::Release | Self::Retry = self {
                after.renewed_at = Some(action.at);
            }
            Next::Becomes(Box::new(after))
        }
    }
}
