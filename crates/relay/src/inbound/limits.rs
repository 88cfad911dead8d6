//! Bounds of the inbound side, each with its reason.

use core::time::Duration;

/// Octets of a body that are held in memory before they are staged as one piece, and so about what
/// a session may cost; the size of an entry of the log that does not hold up others behind it.
pub const PIECE_SIZE: usize = 512 * 1024;

/// Sessions at most that hold up to a piece of a body each; those beyond stage what they have at
/// every read. Together with what is proposed and not committed yet, this is what bodies on their
/// way in may cost a node: 72 MiB, whatever the number and the size of the messages.
pub const LARGE_BODIES_MAX: usize = 128;

/// Octets read at once from a client that sends commands, and often the whole of a small message.
pub const READ_SIZE: usize = 16 * 1024;

/// Octets read at once from a client that sends a body.
pub const BODY_READ_SIZE: usize = 64 * 1024;

/// How much of a declared size is set aside before anything has arrived.
pub const BODY_RESERVE_MAX: usize = 64 * 1024;

/// Octets a second that a body must come to in the long run, beyond one command timeout of grace.
/// The slowest modem that ever sent mail did better; who is slower holds a place on purpose.
pub const BODY_RATE_MIN: u64 = 256;

/// A TLS handshake takes two round trips.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the names of a primary's hosts may take to be looked up when a client says that it is
/// one: as long as a resolver tries, and shorter than a client waits for a reply.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection that is closed is still read from, so that what the client had under way
/// does not make its kernel throw the last reply away.
pub const LINGER: Duration = Duration::from_secs(1);

/// Octets that are read and thrown away in that time.
pub const LINGER_OCTETS_MAX: usize = 256 * 1024;

/// Connections that the kernel keeps ready for us: what arrives while we are busy with others.
pub const BACKLOG: i32 = 1024;

/// Pause after a connection could not be taken, for want of file descriptors mostly: long enough
/// for some to be given back, short enough for clients not to notice.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How often a port that could not be opened again is tried.
pub const REOPEN_RETRY: Duration = Duration::from_secs(1);

/// How long sessions may go on after the node was told to stop. A commit that has begun may take
/// a few seconds; the whole stop must fit into 30 s.
pub const STOP_GRACE: Duration = Duration::from_secs(8);
