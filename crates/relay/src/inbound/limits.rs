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

/// How long a body may bring no new piece: the spool gives up what was staged of it after that. It is
/// slower than [`BODY_RATE_MIN`], and a client lives longer on what it sent fast before.
pub const PIECE_WAIT_MAX: Duration = spool::apply::STAGE_AGE_MAX;

/// How long the rest of a body may take that is refused already, and of which nothing is kept: a client
/// hears why at its end, and one that is cut off sends all of it again. A GiB at a Mbit/s takes two and a
/// half hours.
pub const REFUSED_BODY_MAX: Duration = Duration::from_secs(4 * 3600);

/// What one client may have staged of bodies that are not complete, in octets, unless two of the
/// largest messages are more: what fifty sessions with a large attachment each have on their way.
/// Beyond, its messages get 451 and are tried again.
pub const UNFINISHED_PER_CLIENT_MAX: u64 = 1 << 30;

/// What all clients together may have staged so, unless four of the largest messages are more. It is on
/// the disks of all nodes, and whoever breaks off pays nothing for it.
pub const UNFINISHED_MAX: u64 = 4 << 30;

/// Recipients that a session may name in vain, beyond those that were taken: more than a list has
/// that was well a year ago, far fewer than it takes to guess addresses.
pub const GUESSES_MAX: u32 = 50;

/// The same while places are short: whoever has a list that old comes again when they are not.
pub const CROWDED_GUESSES_MAX: u32 = 10;

/// Recipients that a session may name in vain in all, whomever it names between them: who knows one that
/// is taken could go on for ever with the others. As many as a message may have by default, since the next
/// try of one to so long a list would end in the same way.
pub const GUESSES_IN_ALL_MAX: u32 = 1000;

/// Clients whose rates are remembered: some MiB, and more than come in a busy minute.
pub const CLIENTS_REMEMBERED_MAX: usize = 1 << 16;

/// Clients whose refused connections are told to the log each minute by name.
pub const REFUSED_TOLD_MAX: usize = 20;

/// How often the log is told who was refused, and that places are short.
pub const TELL_EVERY: Duration = Duration::from_secs(60);

/// Places are short when so many of a hundred are taken, ...
pub const CROWDED_PERCENT: usize = 80;

/// ... and until no more than so many are, so that one client more or less does not change it.
pub const CALM_PERCENT: usize = 60;

/// While places are short, how long a client may be silent between commands. Postfix's number: a
/// sender that has mail for us does better on any line.
pub const CROWDED_COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// While places are short, how long it may talk without a recipient or a message that is taken:
/// as many commands as lead to one, each with a round trip around the world.
pub const CROWDED_FRUITLESS_MAX: Duration = Duration::from_secs(60);

/// While places are short, how long it may be silent within a body. Longer than between commands:
/// what has arrived would have to be sent again, on a line that is bad already.
pub const CROWDED_BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// While places are short, octets a second that a body must come to in the long run.
pub const CROWDED_BODY_RATE_MIN: u64 = 1024;

/// While places are short, connections that one client may open in a minute: five a second, far more
/// than a sender needs that uses each for several messages.
pub const CROWDED_CONNECTIONS_PER_MINUTE: u32 = 300;

/// While places are short, messages of one client in a minute: a large sender that comes back after
/// an outage of days has this from each of its addresses.
pub const CROWDED_MESSAGES_PER_MINUTE: u32 = 3000;

/// While places are short, recipients that one client may name in a minute: five a message.
pub const CROWDED_RECIPIENTS_PER_MINUTE: u32 = 15_000;

/// While places are short, recipients that one client may name in a minute and that there are not.
pub const CROWDED_UNKNOWN_PER_MINUTE: u32 = 60;

/// Octets of a PROXY header of version 1 at most, its CRLF included (proxy-protocol.txt section 2.1).
pub const PROXY_LINE_MAX: usize = 107;

/// Octets of a PROXY header of version 2 with its extensions: a certificate's names and a checksum
/// fit in many times.
pub const PROXY_HEADER_MAX: usize = 4096;

/// A proxy sends its header at once; this bears one packet that is lost and sent again.
pub const PROXY_HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// A TLS handshake takes two round trips.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a domain is not flushed again for an ETRN, and who asks has to wait: each flush is an entry of
/// the log, and whoever may ask may ask in a loop.
pub const FLUSH_PAUSE: Duration = Duration::from_secs(5);

/// How long a domain is not flushed again because its primary, which is down, has connected: it may do
/// so all the time and take nothing.
pub const SIGN_PAUSE: Duration = Duration::from_secs(30);

/// How often it is looked up where the primaries are that are down, at most, and only when clients come.
pub const SIGN_REFRESH: Duration = Duration::from_secs(15);

/// How long the names of a primary's hosts may take to be looked up when a client says that it is
/// one: as long as a resolver tries, and shorter than a client waits for a reply.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// Names of primaries' hosts that are looked up at once for ETRN, which any stranger may say. Each takes a
/// thread until the system's resolver has given up, and reading the disk takes threads of the same pool.
pub const LOOKUPS_MAX: usize = 16;

/// How long a block list may take to answer. A resolver that has to ask the list's own name servers takes
/// less; the first recipient of a connection waits for what is left of it, and never another one.
pub const LISTING_PATIENCE: Duration = Duration::from_secs(2);

/// How long a block list is believed that it does not list everybody.
pub const SOUND_KEEP: Duration = Duration::from_secs(900);

/// How often the log is told that a block list is of no use.
pub const UNUSABLE_TOLD_EVERY: Duration = Duration::from_secs(3600);

/// How long a client's name may be asked for: as long as one lookup may take for what it is called, and as long
/// again for whether that name leads back. A large message takes longer to come.
pub const NAME_TIMEOUT: Duration = Duration::from_secs(10);

/// How long after that was begun the end of data waits for it at most. It is over when a message has been
/// evaluated for so long as that may take ([`EVALUATION_PATIENCE`]).
pub const NAME_PATIENCE: Duration = Duration::from_secs(3);

/// Names of clients that are asked for at a time. Whoever owns an address owns the name server of its name: most
/// lookups are left to those that mail needs.
pub const NAMES_MAX: usize = 64;

/// The same of one client, whose sessions all ask for about the same.
pub const NAMES_PER_CLIENT_MAX: usize = 4;

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

/// How long those that are left may take then to say so to their clients, and to linger.
pub const STOP_FAREWELL: Duration = Duration::from_secs(2);

/// How long a question about a recipient may take in all, as in Postfix: a sender waits five minutes
/// for the reply to RCPT (RFC 5321 section 4.5.3.2.3), but it may name a thousand of them.
pub const QUESTION_PATIENCE: Duration = Duration::from_secs(6);

/// How long the connection and the handshake for it may take, each: what is left is for the next of the
/// primary's hosts.
pub const QUESTION_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the primary may take to say goodbye, while nobody can ask it anything else.
pub const QUESTION_QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// Policies by which one recipient is decided on, when each but the last has been replaced meanwhile. After
/// so many the client is to come again.
pub const POLICIES_PER_RECIPIENT_MAX: usize = 3;

/// Questions that wait for one primary. Each is answered within a round trip or two, so these are more
/// than can be answered in [`QUESTION_PATIENCE`] by a primary that is far away.
pub const QUESTIONS_MAX: usize = 100;

/// For so long a primary that could not be reached, or fell silent, is not asked again: nobody else is
/// to wait for it in vain.
pub const QUESTION_PAUSE: Duration = Duration::from_secs(5);

/// A question that was not answered in so much of its time had met a silent primary; with less, it had
/// waited behind others.
pub const SILENCE_MIN: Duration = Duration::from_secs(2);

/// How long the connection for questions is kept without one.
pub const QUESTION_IDLE_MAX: Duration = Duration::from_secs(10);

/// Refusals that are heard over one such connection. Servers take who guesses for an attacker: Postfix
/// answers slowly after ten errors, and hangs up after twenty.
pub const REFUSALS_PER_CONNECTION_MAX: u32 = 8;

/// How long it is remembered here whether a primary takes an address that nobody has, until the address
/// book tells.
pub const NONSENSE_KEEP: Duration = Duration::from_secs(10);

/// Octets of a header that every session may keep to find out who sent the message: most have a
/// quarter of that.
pub const SHORT_HEADER_MAX: usize = 16 * 1024;

/// Octets of a header in which it is found out who sent the message. A list of a thousand recipients
/// fits in; what is longer is taken, and of the three only SPF can pass.
pub const HEADER_MAX: usize = 256 * 1024;

/// Sessions at most that keep more than [`SHORT_HEADER_MAX`]: 16 MiB in all. For other messages with such
/// a header DKIM and DMARC come to `temperror`.
pub const LONG_HEADERS_MAX: usize = 64;

/// Fields of a header that signatures are looked for in, and fields that one signature may name: far more
/// than mail has. The work is the one times the other.
pub const HEADER_FIELDS_MAX: usize = 1000;
/// See [`HEADER_FIELDS_MAX`].
pub const FIELDS_SIGNED_MAX: usize = 200;

/// How long the end of data is answered later at most, to find out who sent the message. A sender waits
/// ten minutes for that reply (RFC 5321 section 4.5.3.2.6), but holds a place here.
pub const EVALUATION_PATIENCE: Duration = Duration::from_secs(3);

/// How long SPF may be asked for while the message arrives (RFC 7208 section 4.6.4).
pub const SPF_TIMEOUT: Duration = Duration::from_secs(20);

/// Evaluations that ask the DNS for SPF at a time, and as many for the rest. Each has a question or two under way.
pub const EVALUATIONS_MAX: usize = 256;

/// The same of one client: more than its sessions need while name servers answer, so that it waits only for its
/// own when they do not.
pub const EVALUATIONS_PER_CLIENT_MAX: usize = 16;

/// How long a client may talk before it is greeted, which no client does that keeps to RFC 5321 section 3.1: octets that are
/// sent with the connection come a moment behind it.
pub const GREETING_PAUSE: Duration = Duration::from_millis(10);

/// Connections for which that is waited for at a time. The others are greeted at once, so that many do not wait.
pub const GREETING_PAUSES_MAX: usize = 4;
