//! The one place where the spool changes.
//!
//! ```text
//!   (none) ─Stage─▶ staged ─Accept─▶ waiting ─Report─┬─ all delivered ──▶ (none)
//!              └─Discard, Sweep─▶ (none)      ▲      ├─ some deferred ──▶ deferred until ...
//!                                             └──────┘       only refused left ─▶ rejected ─Notify─▶ (none)
//! ```
//!
//! An operator may hold a message in any state from waiting on, and release it, and delete it.
//! A delivered message is remembered, and its body kept for a while, so that `Replay` can bring it back to
//! waiting; `Expire` rejects what is too old, and `Lapse` drops what was rejected long ago.
//!
//! An `Accept` of what was accepted before and not confirmed leads back to (none): `unconfirmed`.
//!
//! Every node applies the same commands in the same order and must write the same bytes, so
//! nothing here reads a clock, draws a random number, or depends on which node it runs.

mod adopt;
mod audit;
mod claims;
mod departures;
mod handling;
mod lapse;
mod ledger;
mod notices;
mod outages;
mod pause;
mod recipients;
mod recovery;
mod repeats;
mod replay;
mod report;
mod sentry;
mod starttls;

use core::time::Duration;

pub use departures::{DEPARTED_AGE_MAX, RELINQUISH_MAX, SWEEP_DEPARTED_MAX};
pub use lapse::LAPSE_MAX;
use ledger::Ledger;
pub use outages::EXPIRE_MAX;
pub use replay::REPLAY_MAX;

use crate::{
    Accept, Body, Change, Command, KnownOffers, Message, MessageId, Offers, Outcome, Recipient,
    Stage, Status, Timestamp, View,
    alarm::Notice,
    view::{Known, Staged},
};

/// A stage that nobody touched for so long belongs to a session that is gone: longer than the ten
/// minutes that a client may wait for the reply to its final dot (RFC 5321 section 4.5.3.2.6).
pub const STAGE_AGE_MAX: Duration = Duration::from_secs(3600);

/// How many stages one sweep drops at most, so that a sweep is never a long entry to apply.
pub const SWEEP_STAGES_MAX: usize = 100;

/// Applies one committed command: what it came to, and what to write.
///
/// `index` is the command's place in the log; it becomes the message's place in the order of
/// arrival, and it names the octets that the command carried.
///
/// Applying a command again after it has been applied changes nothing, as long as its message's id
/// is remembered.
///
/// # Errors
/// Only what reading the view fails with; nothing is to be written then.
pub fn apply<V: View>(
    view: &V,
    index: u64,
    command: Command,
) -> Result<(Outcome, Vec<Change>), V::Error> {
    match command {
        Command::Found {
            cluster,
            policy,
            at,
        } => Ok(adopt::found(view, cluster, policy, at)),
        Command::Adopt(adopt) => adopt::adopt(view, adopt),
        Command::Stage(stage) => stage_piece(view, index, &stage),
        Command::Accept(accept) => accept_message(view, index, *accept),
        Command::Discard { id } => discard(view, id),
        Command::Report(report) => report::report(view, report),
        Command::Observe {
            domain,
            reachability,
            at,
        } => outages::observe(view, domain, reachability, at),
        Command::Recover(recovery) => Ok((Outcome::Done, recovery::recover(view, recovery))),
        Command::NotePosted(notice) => Ok((Outcome::Done, vec![note_posted(view, notice)])),
        Command::Offers {
            domain,
            offers,
            policy_version,
            at,
        } => Ok(learn(view, domain, offers, policy_version, at)),
        Command::Flush { domain, at } => Ok(flush(view, domain, at)),
        Command::Confirm { ids } => Ok((Outcome::Done, repeats::confirm(view, &ids))),
        Command::Claim(claim) => claims::claim(view, claim),
        Command::Release(release) => claims::release(view, release),
        Command::Visits(visits) => Ok((Outcome::Done, sentry::visit(view, visits))),
        Command::Starttls(seen) => Ok(starttls::note(view, seen)),
        Command::Learn(lessons) => recipients::learn(view, lessons),
        Command::Handle(handling) => handling::handle(view, handling),
        Command::Pause {
            domain,
            until,
            action,
        } => pause::pause(view, domain, until, action),
        Command::Resume { domain, action } => pause::resume(view, domain, action),
        Command::Note(action) => audit::note(view, action),
        Command::Expire(expire) => outages::expire(view, expire),
        Command::Lapse(lapse) => lapse::lapse(view, lapse),
        Command::Delay(delay) => notices::delay(view, delay),
        Command::Notify(notify) => notices::notify(view, index, notify),
        Command::Relinquish { until } => departures::relinquish(view, until),
        Command::Replay(replay) => replay::replay(view, &replay),
        Command::Sweep { at } => sweep(view, at),
    }
}

/// Words of a primary are kept up to this length; RFC 5321 section 4.5.3.1.5 lets a reply line have 512
/// octets.
const WORDS_CHARS_MAX: usize = 512;

pub(crate) fn bounded(words: String) -> String {
    match words.char_indices().nth(WORDS_CHARS_MAX) {
        Some((end, _)) => words[..end].to_owned(),
        None => words,
    }
}

fn stage_piece<V: View>(
    view: &V,
    index: u64,
    stage: &Stage,
) -> Result<(Outcome, Vec<Change>), V::Error> {
    if view.known(stage.id)?.is_some() {
        return Ok((Outcome::Done, vec![Change::DropPiece(index)]));
    }
    let mut staged = view.staged(stage.id)?.unwrap_or_default();
    let count = staged.pieces.len() as u64;
    if u64::from(stage.number) < count {
        return Ok((Outcome::Done, vec![Change::DropPiece(index)]));
    }
    if u64::from(stage.number) > count {
        return Ok((Outcome::StageGone, vec![Change::DropPiece(index)]));
    }
    staged.pieces.push(index);
    staged.size += stage.piece.len() as u64;
    staged.touched_at = staged.touched_at.max(stage.at);
    Ok((
        Outcome::Done,
        vec![Change::Staged {
            id: stage.id,
            after: Some(staged),
        }],
    ))
}

fn accept_message<V: View>(
    view: &V,
    index: u64,
    accept: Accept,
) -> Result<(Outcome, Vec<Change>), V::Error> {
    // What was read before this message came is forgotten before anything else: a client that read
    // its 250 and sends the same again means another message.
    let mut changes = repeats::confirm(view, &accept.confirmed);
    let id = accept.id;
    let carried = !accept.tail.is_empty();
    let drop_tail = carried.then_some(Change::DropPiece(index));
    if let Some(known) = view.known(id)? {
        changes.extend(drop_tail);
        let outcome = match known {
            Known::Repeat { first, .. } => Outcome::Repeated(first),
            Known::Queued(_) | Known::Departed(_) => Outcome::Accepted,
        };
        return Ok((outcome, changes));
    }
    if let Some(first) = repeats::first_of(view, &accept) {
        changes.extend(drop_tail);
        drop_stage(view, id, &mut changes)?;
        // A copy of this proposal that comes later, when the first is confirmed, is still no message.
        departures::note_repeat(view, id, first, accept.received_at, &mut changes);
        return Ok((Outcome::Repeated(first), changes));
    }
    let staged = view.staged(id)?;
    let was_staged = staged.is_some();
    let Staged {
        mut pieces, size, ..
    } = staged.unwrap_or_default();
    let whole = pieces.len() as u64 == u64::from(accept.staged)
        && size + accept.tail.len() as u64 == accept.size;
    if !whole {
        changes.extend(drop_tail);
        drop_stage(view, id, &mut changes)?;
        return Ok((Outcome::StageGone, changes));
    }
    if carried {
        pieces.push(index);
    }
    repeats::remember(view, &accept, &mut changes);
    changes.extend(was_staged.then_some(Change::Staged { id, after: None }));
    let mut ledger = Ledger::new(view);
    spool_message(queued(index, accept, pieces), &mut ledger, &mut changes);
    ledger.write_to(&mut changes);
    Ok((Outcome::Accepted, changes))
}

fn spool_message<V: View>(message: Message, ledger: &mut Ledger<'_, V>, changes: &mut Vec<Change>) {
    ledger.recount(None, Some(&message));
    changes.push(Change::Known {
        id: message.id,
        before: None,
        after: Some(Known::Queued(message.sequence)),
    });
    changes.push(Change::Message {
        before: None,
        after: Some(Box::new(message)),
    });
}

fn queued(index: u64, accept: Accept, pieces: Vec<u64>) -> Message {
    let pending = |(recipient, domain): (smtp::Recipient, String)| Recipient {
        path: recipient.path,
        dsn: recipient.dsn,
        domain,
        status: Status::Pending,
        host: String::new(),
        replayed_at: None,
        owed: None,
    };
    Message {
        id: accept.id,
        sequence: index,
        received_at: accept.received_at,
        reverse_path: accept.reverse_path,
        body_type: accept.body_type,
        smtputf8: accept.smtputf8,
        dsn: accept.dsn,
        recipients: accept.recipients.into_iter().map(pending).collect(),
        body: Body {
            pieces,
            size: accept.size,
            digest: accept.digest,
        },
        trace: accept.trace,
        client: accept.client,
        authentication: accept.authentication,
        attempts: 0,
        attempted_at: None,
        hold: None,
        tries: Vec::new(),
        renewed_at: None,
        delay_told_at: None,
    }
}

fn discard<V: View>(view: &V, id: MessageId) -> Result<(Outcome, Vec<Change>), V::Error> {
    let mut changes = Vec::new();
    drop_stage(view, id, &mut changes)?;
    Ok((Outcome::Done, changes))
}

fn drop_stage<V: View>(view: &V, id: MessageId, changes: &mut Vec<Change>) -> Result<(), V::Error> {
    if let Some(staged) = view.staged(id)? {
        changes.extend(staged.pieces.into_iter().map(Change::DropPiece));
        changes.push(Change::Staged { id, after: None });
    }
    Ok(())
}

/// What is known already, or was found out later, stays: a proposal that comes again says nothing new. Nor
/// does one that was made before the policy changed: it may be about another primary.
fn learn<V: View>(
    view: &V,
    domain: String,
    offers: Offers,
    policy_version: u64,
    at: Timestamp,
) -> (Outcome, Vec<Change>) {
    let in_force = view.policy().map_or(0, |policy| policy.version);
    if policy_version != 0 && policy_version != in_force {
        return (Outcome::Done, Vec::new());
    }
    let mut after = view.destination(&domain);
    let is_news = |known: KnownOffers| known.offers != offers && !at.is_late(known.since);
    if !after.learned.is_none_or(is_news) {
        return (Outcome::Done, Vec::new());
    }
    after.learned = Some(KnownOffers { offers, since: at });
    (Outcome::Done, vec![Change::Destination { domain, after }])
}

fn note_posted<V: View>(view: &V, notice: Notice) -> Change {
    let domain = notice.domain.clone();
    let mut after = view.destination(&domain);
    after.note_posted(notice);
    Change::Destination { domain, after }
}

fn flush<V: View>(view: &V, domain: Option<String>, at: Timestamp) -> (Outcome, Vec<Change>) {
    let domains = domain.map_or_else(|| view.domains(), |domain| vec![domain]);
    let changes = domains.into_iter().map(|domain| {
        let mut after = view.destination(&domain);
        after.flushed_at = after.flushed_at.max(at);
        Change::Destination { domain, after }
    });
    (Outcome::Done, changes.collect())
}

fn sweep<V: View>(view: &V, at: Timestamp) -> Result<(Outcome, Vec<Change>), V::Error> {
    let mut changes = Vec::new();
    for id in view.stages_before(at.before(STAGE_AGE_MAX), SWEEP_STAGES_MAX)? {
        drop_stage(view, id, &mut changes)?;
    }
    changes.extend(repeats::sweep(view, at));
    changes.extend(sentry::sweep(view, at));
    changes.extend(departures::sweep(view, at)?);
    changes.extend(recipients::sweep(view, at)?);
    changes.extend(audit::sweep(view, at)?);
    pause::sweep(view, at, &mut changes)?;
    Ok((Outcome::Done, changes))
}
