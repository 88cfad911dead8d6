//! What became of deliveries.

use super::{departures, ledger::Ledger, notices};
use crate::{
    Attempt, Change, Footprint, Message, Outcome, Place, Report, Status, Timestamp, Try, Verdict,
    View, notice::Word, policy::ReportTo, retry, view::Known, words::bounded,
};

pub(super) fn report<V: View>(
    view: &V,
    report: Report,
) -> Result<(Outcome, Vec<Change>), V::Error> {
    let to = notices::reports(view).to;
    let mut changes = Vec::new();
    let mut ledger = Ledger::new(view);
    let mut touched: Vec<Touched> = Vec::with_capacity(report.attempts.len());
    for attempt in report.attempts {
        if let Some(touched) = touched
            .iter_mut()
            .rfind(|touched| touched.message.id == attempt.id)
        {
            touched.record(attempt, report.at, to);
        } else if let Some(Known::Queued(sequence)) = view.known(attempt.id)?
            && let Some(message) = view.message(sequence)?
        {
            let mut first = Touched {
                before: Footprint::of(&message),
                attempted_at: message.attempted_at,
                unclaimed: unclaimed(view, &message)?,
                message,
                is_changed: false,
            };
            first.record(attempt, report.at, to);
            touched.push(first);
        }
    }
    let mut due = Vec::new();
    for Touched {
        before, message, ..
    } in touched.into_iter().filter(|touched| touched.is_changed)
    {
        due.extend(Due::of(&message));
        departures::settle(view, before, message, report.at, &mut ledger, &mut changes);
    }
    changes.append(&mut kept_claims(view, due, report.term)?);
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

/// A message that attempts are about.
struct Touched {
    before: Footprint,
    /// When it had been attempted last.
    attempted_at: Option<Timestamp>,
    unclaimed: Vec<String>,
    /// As it is with what they came to.
    message: Message,
    is_changed: bool,
}

impl Touched {
    /// Writes an attempt's verdicts into the message, and counts the attempt if one of them is news.
    fn record(&mut self, attempt: Attempt, at: Timestamp, to: ReportTo) {
        let message = &mut self.message;
        let may_tell = message.may_tell(to, Word::Evidence);
        let attempts = message.attempts.saturating_add(1);
        let until = retry::next_attempt(message.id, attempts, at);
        let tried = Try::of(&attempt, at);
        let mut told_news = false;
        for (number, verdict) in attempt.verdicts {
            let recipient = usize::try_from(number)
                .ok()
                .and_then(|number| message.recipients.get_mut(number));
            let Some(recipient) = recipient else {
                continue;
            };
            let is_past =
                recipient.replayed_at.is_some() && self.unclaimed.contains(&recipient.domain);
            if is_past || !is_news(&verdict, at, &recipient.status, self.attempted_at) {
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
            message.attempts = attempts;
            message.attempted_at = message.attempted_at.max(Some(at));
            message.remember_try(tried);
            self.is_changed = true;
        }
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

/// A message's place in a domain's queue, as it is to be.
pub(super) struct Due {
    domain: String,
    sequence: u64,
    at: Timestamp,
}

impl Due {
    /// All of one message.
    pub(super) fn of(message: &Message) -> impl Iterator<Item = Self> {
        let domains = message.domains().into_iter();
        domains.filter_map(|domain| {
            Some(Self {
                domain: domain.to_owned(),
                sequence: message.sequence,
                at: message.standing(domain)?.due()?,
            })
        })
    }
}

/// The claims that a report of this term does not end: a later leader may be delivering the message
/// while its forerunner tells how it had fared.
pub(super) fn kept_claims<V: View>(
    view: &V,
    due: Vec<Due>,
    term: u64,
) -> Result<Vec<Change>, V::Error> {
    let wanted = due.iter().map(|due| (due.domain.as_str(), due.sequence));
    let places = view.places(&wanted.collect::<Vec<_>>())?;
    let kept = due.into_iter().zip(places).filter_map(|(due, place)| {
        let place = place.filter(|place| place.claimed_by.is_some_and(|by| by > term))?;
        Some(Change::Claimed {
            domain: due.domain,
            sequence: due.sequence,
            after: Place {
                due: due.at,
                ..place
            },
        })
    });
    Ok(kept.collect())
}
