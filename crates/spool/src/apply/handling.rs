//! What operators do with messages.
//!
//! A message that is held or deleted may be on its way to the primary. It is not called back: what becomes
//! of it is reported as ever, and a report of a message that is gone changes nothing. What has not started
//! by then does not: its place in the queue is gone, or claimed by nobody, and the domain's revision tells
//! whoever has read ahead to look again.

use super::{
    audit, departures,
    ledger::Ledger,
    notices,
    report::{Due, kept_claims},
};
use crate::{
    Change, Footprint, Message, Outcome, Status, View,
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
        let mut due = Vec::new();
        for found in view.queued(&ids)? {
            let Some(message) = found else {
                tally.absent += 1;
                continue;
            };
            let (before, was_held) = (Footprint::of(&message), message.hold.is_some());
            let after = match verb.applied(message, action, to) {
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
            if let Some(after) = after.as_ref().filter(|_| !was_held) {
                due.extend(Due::of(after));
            }
            ledger.recount(Some(&before), after.as_deref());
            ledger.revise(before.domains());
            changes.push(Change::Message {
                before: Some(before),
                after,
            });
        }
        changes.append(&mut kept_claims(view, due, 0)?);
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
    fn applied(self, mut message: Message, action: &Action, to: ReportTo) -> Next {
        let is_changed = match self {
            Self::Delete => return Next::Leaves(Box::new(message)),
            Self::Retry if message.hold.is_some() => return Next::IsHeld,
            Self::Hold => {
                let mut recipients = message.recipients.iter();
                let is_to_be_delivered = recipients.any(|r| !r.status.is_final());
                let is_new = message.hold.is_none() && is_to_be_delivered;
                if is_new {
                    message.hold = Some(Hold {
                        at: action.at,
                        by: action.by.clone(),
                        reason: action.reason.clone(),
                    });
                }
                is_new
            }
            Self::Release => message.hold.take().is_some(),
            Self::Retry => {
                let mut is_any = false;
                for recipient in &mut message.recipients {
                    if let Status::Deferred { .. } | Status::Rejected { .. } = recipient.status {
                        recipient.status = Status::Pending;
                        recipient.owed = None;
                        is_any = true;
                    }
                }
                is_any
            }
            Self::Bounce => {
                let may_tell = message.may_tell(to, Word::Operator);
                let before = message.recipients.clone();
                for recipient in &mut message.recipients {
                    recipient.bounce(action.at, &action.reason, may_tell);
                }
                message.hold.take().is_some() || message.recipients != before
            }
        };
        if !is_changed {
            return Next::Stays;
        }
        if message.is_settled() {
            return Next::Leaves(Box::new(message));
        }
        if let Self::Release | Self::Retry = self {
            message.renewed_at = Some(action.at);
        }
        Next::Becomes(Box::new(message))
    }
}
