//! How many files a node may have open at a time; every connection is one of them.
//!
//! Where they run out, strangers' connections would take those that the spool needs, and a spool that can
//! not open its files ends the node.

use anyhow::{Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Whatever is no sender's: RocksDB's tables (512), its logs and bodies, peers, operators and pages,
/// sessions with primaries, questions to the DNS.
const OTHERS: u64 = 900;

/// A sender's connection, and at times a question to the DNS about him.
const EACH: u64 = 2;

/// With fewer connections than these a node is of no use to anybody.
const CONNECTIONS_MIN: u64 = 16;

/// Makes room for so many connections of senders, as far as the system lets this process; returns for
/// how many there is room.
///
/// # Errors
/// When there is room for hardly any.
pub(crate) fn make_room(connections: usize) -> Result<usize> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let needed = OTHERS + EACH * connections as u64;
    let current = match current {
        Some(current) if current < needed => raise(current, maximum, needed),
        _ => return Ok(connections),
    };
    let room = room(current);
    if room >= connections as u64 {
        return Ok(connections);
    }
    if room < CONNECTIONS_MIN {
        bail!(
            "this process may have {current} files open, and a node needs {}; raise LimitNOFILE= of the \
             service, or what `ulimit -Hn` shows",
            OTHERS + EACH * CONNECTIONS_MIN
        );
    }
    warn!(
        "[smtp] max_connections = {connections} needs {needed} open files and this process may have {current}, \
         so only {room} connections are taken; raise LimitNOFILE= of the service, or what `ulimit -Hn` shows"
    );
    // No more than `connections`, which is a usize.
    Ok(room as usize)
}

/// Raises the limit that this process has to what is needed, or to what it may be raised to; returns what it
/// is then.
fn raise(current: u64, maximum: Option<u64>, needed: u64) -> u64 {
    let raised = maximum.map_or(needed, |maximum| maximum.min(needed));
    let limit = Rlimit {
        current: Some(raised),
        maximum,
    };
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => raised,
        Err(error) => {
            warn!(%error, "the limit of open files can not be raised");
            current
        }
    }
}

/// For how many connections there is room where so many files may be open.
fn room(files: u64) -> u64 {
    files.saturating_sub(OTHERS) / EACH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_spool_needs_is_kept_from_connections() {
        assert_eq!(room(100), 0);
        assert_eq!(room(1024), 62);
        assert_eq!(room(65_536), 32_318);
    }

    #[test]
    fn a_limit_is_raised_as_far_as_the_system_lets_us() {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let (Some(current), Some(maximum)) = (current, maximum) else {
            return;
        };
        assert_eq!(make_room(1).unwrap(), 1);
        assert_eq!(raise(current, Some(maximum), maximum + 1), maximum);
        assert_eq!(getrlimit(Resource::Nofile).current, Some(maximum));
    }
}
