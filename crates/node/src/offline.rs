//! What `layoverd` does on a data directory while no node runs on it: a new cluster from a backup or
//! from the one survivor, and the mail itself, for when there is no cluster at all.

mod export;
mod recover;
mod restore;

pub(crate) use export::export;
pub(crate) use recover::{Recover, recover};
pub(crate) use restore::restore;

use std::path::Path;

use anyhow::ensure;
use cluster::Founding;

use crate::config::Config;

/// A new cluster begins with this node alone, and the node file must say so: a node that was started
/// with a list of others would be refused its own data directory.
fn check_alone(config: &Config, file: &Path) -> anyhow::Result<()> {
    let is_alone = match &config.cluster.founding {
        Founding::Bootstrap => true,
        Founding::Members(members) => members.iter().all(|(id, _)| *id == config.node_id),
        Founding::Join(_) => false,
    };
    ensure!(
        is_alone,
        "{}: [cluster] names other nodes, but the new cluster is this node alone; write \
         bootstrap = true in their place, then try again",
        file.display()
    );
    Ok(())
}

/// `1 message`, `2 messages`.
fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
