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

mod accept;
mod adopt;
mod audit;
mod claims;
mod departures;
mod destinations;
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

pub use accept::{STAGE_AGE_MAX, SWEEP_STAGES_MAX};
pub use departures::{RELINQUISH_MAX, SWEEP_DEPARTED_MAX};
pub use lapse::LAPSE_MAX;
pub use outages::EXPIRE_MAX;
pub use replay::REPLAY_MAX;

use crate::{Change, Command, Outcome, Timestamp, View};

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
        Command::Stage(stage) => accept::stage_piece(view, index, &stage),
        Command::Accept(accept) => accept::accept_message(view, index, *accept),
        Command::Discard { id } => accept::discard(view, id),
        Command::Report(report) => report::report(view, report),
        Command::Observe {
            domain,
            reachability,
            at,
        } => outages::observe(view, domain, reachability, at),
        Command::Recover(recovery) => Ok((Outcome::Done, recovery::recover(view, recovery))),
        Command::NotePosted(notice) => {
            Ok((Outcome::Done, vec![destinations::note_posted(view, notice)]))
        }
        Command::Offers {
            domain,
            offers,
            policy_version,
            at,
        } => Ok(destinations::learn(
            view,
            domain,
            offers,
            policy_version,
            at,
        )),
        Command::Flush { domain, at } => Ok(destinations::flush(view, domain, at)),
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

fn sweep<V: View>(view: &V, at: Timestamp) -> Result<(Outcome, Vec<Change>), V::Error> {
    let mut changes = Vec::new();
    accept::sweep(view, at, &mut changes)?;
    changes.extend(repeats::sweep(view, at));
    changes.extend(sentry::sweep(view, at));
    changes.extend(departures::sweep(view, at)?);
    changes.extend(recipients::sweep(view, at)?);
    changes.extend(audit::sweep(view, at)?);
    pause::sweep(view, at, &mut changes)?;
    Ok((Outcome::Done, changes))
}
