//! What senders are owed, and that they are told.

use core::mem;

use super::{
    accept::{queued, spool_message},
    departures,
    ledger::Ledger,
};
use crate::{
    Change, Delay, Footprint, Message, Notify, Outcome, Status, View,
    notice::{DELAY_MAX, Kind},
    policy::Reports,
    view::Known,
};

/// How senders are told; as the defaults say while there is no policy, as no mail is taken then.
pub(super) fn reports<V: View>(view: &V) -> Reports {
    let policy = view.policy();
    policy.map_or_else(Reports::default, |policy| policy.policy.reports.clone())
}

/// Makes it owed to senders that they are told their messages are late.
pub(super) fn delay<V: View>(view: &V, delay: Delay) -> Result<(Outcome, Vec<Change>), V::Error> {
    let reports = reports(view);
    let mut changes = Vec::new();
    for sequence in delay.sequences.into_iter().take(DELAY_MAX) {
        let message = view.message(sequence)?;
        let late = message.filter(|message| message.is_to_be_told_late(&reports, delay.at));
        let Some(before) = late else {
            continue;
        };
        let mut after = before.clone();
        after.delay_told_at = Some(delay.at);
        for recipient in &mut after.recipients {
            if recipient.is_late() {
                recipient.owed = Some(Kind::Delayed);
            }
        }
        changes.push(Change::Message {
            before: Some(Footprint::of(&before)),
            after: Some(Box::new(after)),
        });
    }
    Ok((Outcome::Done, changes))
}

/// Spools a report and notes that it was told what it tells. Not if any of that was told before, or is not owed
/// any more: the report would say what is not so, and another is written.
pub(super) fn notify<V: View>(
    view: &V,
    index: u64,
    notify: Notify,
) -> Result<(Outcome, Vec<Change>), V::Error> {
    let carried = !notify.report.tail.is_empty();
    let before = match view.known(notify.id)? {
        Some(Known::Queued(sequence)) => view.message(sequence)?,
        Some(Known::Departed(_) | Known::Repeat { .. }) | None => None,
    };
    let is_whole =
        notify.report.staged == 0 && notify.report.tail.len() as u64 == notify.report.size;
    let is_new =
        view.known(notify.report.id)?.is_none() && view.staged(notify.report.id)?.is_none();
    let before = before.filter(|_| is_whole && is_new);
    let Some((before, after)) = before.and_then(|before| told(before, &notify)) else {
        let dropped = carried.then_some(Change::DropPiece(index));
        return Ok((Outcome::Done, dropped.into_iter().collect()));
    };
    let pieces = if carried { vec![index] } else { Vec::new() };
    let mut ledger = Ledger::new(view);
    let mut changes = Vec::new();
    departures::settle(view, before, after, notify.at, &mut ledger, &mut changes);
    let report = queued(index, *notify.report, pieces);
    spool_message(report, &mut ledger, &mut changes);
    ledger.write_to(&mut changes);
    Ok((Outcome::Done, changes))
}

/// Where a message stood before its sender was told, and how it is then; `None` when not all that he is told is owed
/// to him.
fn told(message: Message, notify: &Notify) -> Option<(Footprint, Message)> {
    let (before, mut after) = (Footprint::of(&message), message);
    for number in &notify.recipients {
        let number = usize::try_from(*number).ok()?;
        let recipient = after.recipients.get_mut(number)?;
        if recipient.owed.take() != Some(notify.kind) {
            return None;
        }
        if let Status::Rejected { reply, .. } = &mut recipient.status {
            recipient.status = Status::Returned {
                at: notify.at,
                reply: mem::take(reply),
                report: Some(notify.report.id),
            };
        }
    }
    (!notify.recipients.is_empty()).then_some((before, after))
}
