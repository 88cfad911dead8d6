//! When no mail could leave, and which of it is too old.

use super::{
    departures::{self, keeping},
    ledger::Ledger,
    notices,
};
use crate::{
    Ageing, Change, Destination, Expire, Footprint, Message, Outage, Outcome, Reachability,
    Timestamp, View,
    notice::Word,
    outage::{OUTAGES_MAX, expired_words},
    words::bounded,
};

/// How many messages one command gives up at most, so that it is never a long entry to apply.
pub const EXPIRE_MAX: usize = 500;

/// Notes whether a primary answers, and the outage that ends with it.
pub(super) fn observe<V: View>(
    view: &V,
    domain: String,
    reachability: Reachability,
    at: Timestamp,
) -> Result<(Outcome, Vec<Change>), V::Error> {
    let before = view.destination(&domain);
    let same_side = matches!(
        (&before.reachability, &reachability),
        (Reachability::Up, Reachability::Up) | (Reachability::Down(_), Reachability::Down(_))
    );
    let since = if !same_side || before.since == Timestamp(0) {
        at
    } else {
        before.since
    };
    let mut changes = Vec::new();
    if let (Reachability::Down(_), Reachability::Up) = (&before.reachability, &reachability) {
        let outage = Outage {
            since: before.since,
            until: at,
        };
        note_ended(view, &domain, outage, &mut changes)?;
    }
    let after = Destination {
        reachability,
        since,
        ..before
    };
    changes.push(Change::Destination { domain, after });
    Ok((Outcome::Done, changes))
}

/// Remembers an outage that has ended; it may overlap with others. Of too many the two earliest become one.
pub(super) fn note_ended<V: View>(
    view: &V,
    domain: &str,
    outage: Outage,
    changes: &mut Vec<Change>,
) -> Result<(), V::Error> {
    // A clock that was set back has seen none.
    if outage.until <= outage.since {
        return Ok(());
    }
    let change = |since, until| Change::Outage {
        domain: domain.to_owned(),
        since,
        until,
    };
    let known = view.outages(domain)?;
    let same = known.iter().find(|known| known.since == outage.since);
    let until = same.map_or(outage.until, |same| outage.until.max(same.until));
    if let [first, second, ..] = known.as_slice()
        && known.len() >= OUTAGES_MAX
    {
        changes.push(change(second.since, None));
        changes.push(change(first.since, Some(first.until.max(second.until))));
    }
    changes.push(change(outage.since, Some(until)));
    Ok(())
}

/// Gives up what is too old; what is held stands in no queue, and is not. What a leader has claimed may be on its
/// way, and its report comes first; unless no mail could leave for long.
pub(super) fn expire<V: View>(
    view: &V,
    expire: Expire,
) -> Result<(Outcome, Vec<Change>), V::Error> {
    let Expire {
        domain,
        at,
        mut sequences,
    } = expire;
    let destination = view.destination(&domain);
    let outages = view.outages(&domain)?;
    let ageing = Ageing::new(keeping(view), &destination, outages, at);
    let (expired, is_at_rest) = (ageing.expired(), ageing.is_at_rest());
    let to = notices::reports(view).to;
    let mut ledger = Ledger::new(view);
    let mut changes = Vec::new();
    sequences.sort_unstable();
    sequences.dedup();
    for sequence in sequences.into_iter().take(EXPIRE_MAX) {
        let place = view.place(&domain, sequence)?;
        let may_expire = place.is_some_and(|place| is_at_rest || place.claimed_by.is_none());
        let message = if may_expire {
            view.message(sequence)?
        } else {
            None
        };
        let Some(message) = message.filter(|message| message.counts_from() <= expired) else {
            continue;
        };
        let before = Footprint::of(&message);
        let may_tell = message.may_tell(to, Word::Evidence);
        let after = given_up(message, &domain, at, may_tell);
        departures::settle(view, before, after, at, &mut ledger, &mut changes);
    }
    if !changes.is_empty() {
        ledger.destination(&domain).revision += 1;
    }
    ledger.write_to(&mut changes);
    Ok((Outcome::Done, changes))
}

fn given_up(mut message: Message, domain: &str, at: Timestamp, may_tell: bool) -> Message {
    let recipients = message.recipients.iter_mut();
    let theirs = recipients.filter(|recipient| recipient.domain == domain);
    for recipient in theirs.filter(|recipient| !recipient.status.is_final()) {
        let reply = bounded(expired_words(&recipient.status));
        recipient.refuse(at, reply, may_tell);
    }
    message
}
