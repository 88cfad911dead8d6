//! What became of deliveries.

use super::{Ledger, bounded, departures, notices};
use crate::{
    Attempt, Change, Message, Outcome, Place, Report, Standing, Status, Timestamp, Try, Verdict,
    View, notice::Word, policy::ReportTo, retry, view::Known,
};

pub(super) fn report<V: View>(
    view: &V,
    report: Report,
) -> Result<(Outcome, Vec<Change>), V::Error> {
    let to = notices::reports(view).to;
    let mut changes = Vec::new();
    let mut ledger = Ledger::new(view);
    let mut touched: Vec<(Message, Message)> = Vec::with_capacity(report.attempts.len());
    for attempt in report.attempts {
        if let Some((before, after)) = touched
            .iter_mut()
            .rfind(|(_, after)| after.id == attempt.id)
        {
            let unclaimed = unclaimed(view, before)?;
            record(before, after, attempt, report.at, &unclaimed, to);
        } else if let Some(Known::Queued(sequence)) = view.known(attempt.id)?
            && let Some(before) = view.message(sequence)?
        {
            let mut after = before.clone();
            let unclaimed = unclaimed(view, &before)?;
            record(&before, &mut after, attempt, report.at, &unclaimed, to);
            touched.push((before, after));
        }
    }
    for (before, after) in touched
        .into_iter()
        .filter(|(before, after)| before != after)
    {
        let mut kept = kept_claims(view, &after, report.term)?;
        departures::settle(view, &before, after, report.at, &mut ledger, &mut changes);
        changes.append(&mut kept);
    }
    ledger.write_to(&mut changes);
    Ok((Outcome::Done, changes))
}

/// Of a message that was replayed, the domains for which nobody has claimed it: a report about them that
/// comes to light now is about the former delivery, not about the one that is wanted. One that was held on its
/// way has no place, one that was released again may be on its way without a claim; both are reported as ever.
fn unclaimed<V: View>(view: &V, message: &Message) -> Result<Vec<String>, V::Error> {
    let mut unclaimed = Vec::new();
    let mut replays = message.recipients.iter().filter_map(|r| r.replayed_at);
    if replays.all(|at| message.renewed_at != Some(at)) {
        return Ok(unclaimed);
    }
    for domain in message.domains() {
        let place = view.place(domain, message.sequence)?;
        if place.is_some_and(|place| place.claimed_by.is_none()) {
            unclaimed.push(domain.to_owned());
        }
    }
    Ok(unclaimed)
}

/// Writes an attempt's verdicts into the message, and counts the attempt if one of them is news.
fn record(
    before: &Message,
    after: &mut Message,
    attempt: Attempt,
    at: Timestamp,
    unclaimed: &[String],
    to: ReportTo,
) {
    let may_tell = before.may_tell(to, Word::Evidence);
    let attempts = after.attempts.saturating_add(1);
    let until = retry::next_attempt(after.id, attempts, at);
    let tried = Try::of(&attempt, at);
    let mut told_news = false;
    for (number, verdict) in attempt.verdicts {
        let recipient = usize::try_from(number)
            .ok()
            .and_then(|number| after.recipients.get_mut(number));
        let Some(recipient) = recipient else {
            continue;
        };
        let is_past = recipient.replayed_at.is_some() && unclaimed.contains(&recipient.domain);
        if is_past || !is_news(&verdict, at, &recipient.status, before.attempted_at) {
            continue;
        }
        told_news = true;
        recipient.host.clone_from(&tried.host);
        let is_relayed = matches!(verdict, Verdict::Relayed(_));
        match verdict {
            Verdict::Delivered(reply) | Verdict::Relayed(reply) => {
                let reply = bounded(reply);
                recipient.status = Status::Delivered { at, reply };
                recipient.note_taken(is_relayed, may_tell);
            }
            Verdict::Deferred(reason) => {
                let reason = bounded(reason);
                recipient.status = Status::Deferred { until, reason };
            }
            Verdict::Rejected(reply) => recipient.refuse(at, bounded(reply), may_tell),
        }
    }
    if told_news {
        after.attempts = attempts;
        after.attempted_at = after.attempted_at.max(Some(at));
        after.remember_try(tried);
    }
}

/// Whether a verdict tells what the spool does not know yet. What is final stays as it is: a late
/// report of an earlier leader changes nothing.
///
/// A report that was proposed twice must not put its deferrals off twice. Once a deferral is
/// recorded, neither the message's last attempt nor the recipient's wait ends before it, and both
/// only grow; so one that lies before both has been recorded already, or a later one has.
fn is_news(
    verdict: &Verdict,
    at: Timestamp,
    status: &Status,
    attempted_at: Option<Timestamp>,
) -> bool {
    match (status, verdict) {
        (Status::Deferred { until, .. }, Verdict::Deferred(_)) => {
            at >= *until || attempted_at.is_none_or(|last| at > last)
        }
        (status, _) => !status.is_final(),
    }
}

/// The claims that a report of this term does not end: a later leader may be delivering the message
/// while its forerunner tells how it had fared.
pub(super) fn kept_claims<V: View>(
    view: &V,
    after: &Message,
    term: u64,
) -> Result<Vec<Change>, V::Error> {
    let mut kept = Vec::new();
    for domain in after.domains() {
        if let Some(due) = after.standing(domain).and_then(Standing::due)
            && let Some(place) = view.place(domain, after.sequence)?
            && place.claimed_by.is_some_and(|by| by > term)
        {
            kept.push(Change::Claimed {
                domain: domain.to_owned(),
                sequence: after.sequence,
                after: Place { due, ..place },
            });
        }
    }
    Ok(kept)
}
