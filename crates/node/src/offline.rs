//! What `layoverd` does on a data directory while no node runs on it: a new cluster from a backup or
//! from the one survivor, and the mail itself, for when there is no cluster at all.

mod export;
mod recover;
mod restore;

pub(crate) use export::export;
pub(crate) use recover::{Recover, recover};
pub(crate) use restore::restore;

/// `1 message`, `2 messages`.
fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
