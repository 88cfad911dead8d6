//! Bounds of routes, each with its reason.

use core::time::Duration;

/// MX hosts of one domain that are looked at, the most preferred ones. Domains have a handful.
pub const EXCHANGES_MAX: usize = 32;

/// Hosts of a sender's domain that a report is taken to, the most preferred ones; as many as Postfix tries.
pub const SENDERS_HOSTS_MAX: usize = 5;

/// Addresses of one host that are tried.
pub const ADDRESSES_MAX: usize = 8;

/// How long an answer of the DNS is gone by before the DNS is asked again. The node's resolver answers
/// by itself for as long as the records' time to live lets it, an hour at most, so this costs little.
pub const REFRESH: Duration = Duration::from_secs(30);

/// How soon the DNS is asked again, past what the resolver remembers, after none of a domain's hosts
/// could be reached: they may have moved. A primary that is down is probed far more often.
pub const DOUBT_REFRESH: Duration = Duration::from_secs(10);

/// For how long a host that did not answer holds up no equal one: it may be this cluster, by a name and an address
/// that nobody knows, and to look whether it is costs the time in which a connection is given up.
pub const SILENCE_KEEP: Duration = Duration::from_secs(10 * 60);

/// For how long a host that was waited for in vain comes behind the others of its route. Each connection would
/// wait for it otherwise, and a primary of several hosts get its mail at the pace of those that are gone.
pub const REST: Duration = Duration::from_secs(60);

/// What counts as waiting. A refusal comes at once and costs nothing.
pub const WAIT_MIN: Duration = Duration::from_secs(1);

/// How soon the DNS is asked again when it did not answer.
pub const RETRY: Duration = Duration::from_secs(3);

/// How long a first question waits for it to be found out that the name servers answer.
pub const FIRST_ANSWER_PATIENCE: Duration = Duration::from_secs(3);

/// How often it is looked meanwhile whether they do.
pub const FIRST_ANSWER_LOOK: Duration = Duration::from_millis(50);
