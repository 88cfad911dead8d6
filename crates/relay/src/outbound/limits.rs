//! Bounds of the outbound side, each with its reason.

use core::time::Duration;

/// Messages held in memory for one domain. Enough to find work for every connection when many
/// of them are for the same few recipients, and a few megabytes at most.
pub const WINDOW_MESSAGES_MAX: usize = 1000;

/// Recipients of all those messages together: messages may have a thousand each.
pub const WINDOW_RECIPIENTS_MAX: usize = 20_000;

/// Messages read from the outbox at once; bounds what one read adds to the window.
pub const READ_AHEAD_MAX: usize = 200;

// Connections to a primary begin with one, at the start of leadership and after each outage, and are one
// more for each round: as many messages taken as there are connections. From one to the usual 20 that
// is 190 messages, each of which waits for 10 others on average; beside a queue that an outage leaves that
// is nothing, and a primary whose caches are cold is not run over. They are halved for each connection
// that is refused, times out, or is turned away with 421.

/// After so long without a message begun or ended, one more connection is opened for those that wait: one that a
/// filter behind the primary chews on for minutes must not hold up all others.
pub const STALL: Duration = Duration::from_secs(5);

/// Connections to a primary on trial, where those that are open stall. What it does wrong then, it does to few.
pub const TRIAL_CONNECTIONS_MAX: usize = 4;

/// Attempts of a message under which connections break, before or behind the final dot. After so
/// many the message itself is the likely reason, and it is deferred so that the others get past it.
pub const BREAKS_MAX: u32 = 3;

/// The same behind the final dot once the message has been deferred: its order is lost, and the primary may have a copy
/// of each.
pub const LATER_DOUBTS_MAX: u32 = 1;

/// Attempts of a message that a primary turns away from before it has taken anything over that
/// connection. While it does so to all, each costs it a probe interval, minutes together, and a
/// restart is over by then; if it does so to this one only, its recipients' others get past it.
pub const CLOSINGS_MAX: u32 = 10;

/// Messages sent over one connection. Servers count, too; a connection that ends by itself is
/// cheaper than one that is cut.
pub const MESSAGES_PER_CONNECTION_MAX: u64 = 1000;

/// How long messages go over one connection. Then another is opened, by what the policy's order of hosts and the
/// DNS say by then: a queue that takes hours to leave does not stay with a second best host, or an old address.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_mins(5);

/// How long messages go over one connection while another domain waits for its place at the host. Far longer than a
/// handshake takes, so that little is lost by it; and with twenty places, a hundred domains all have had a turn
/// after ten seconds.
pub const TURN: Duration = Duration::from_secs(2);

/// How long a primary must have lacked what a message needs (SMTPUTF8, BINARYMIME) before the message
/// is rejected for it; until then it is deferred. Who looks after a primary notices within a day that
/// an upgrade went wrong.
pub const SHORTFALL_GRACE: Duration = Duration::from_hours(24);

/// Recipients of each domain who are remembered because the primary took mail for them.
pub const ACQUAINTANCES_MAX: usize = 16;

/// Whom a primary that is back is asked about: one may have left, or be over his quota.
pub const CANARIES_MAX: usize = 3;

/// Messages among whose recipients such people are looked for when none are remembered.
pub const CANARY_MESSAGES_MAX: usize = 10;

/// A primary that talks and puts off everybody it is asked about, or breaks off, counts as back all the
/// same after so long. It may dislike the question and not the mail, as servers do that greylist the null sender or
/// check it; a message that is put off costs no more than its own retry.
pub const HESITATION_MAX: Duration = Duration::from_mins(10);

/// How long a probe waits at least for a connection, and alone for what comes behind it. No longer than the policy's
/// interval where that is more: a host that swallows packets is not heard of before its next one, and that a primary
/// is back must be known within an interval. No shorter: a name server that is gone costs seconds.
pub const PROBE_PATIENCE_MIN: Duration = Duration::from_secs(10);

/// After a primary's return is recorded, that it is down again is recorded no sooner than this, or when it is back and on
/// trial. One that comes and goes is followed by the leader alone meanwhile, unless mail waits for it and nothing is on
/// trial: then each return costs four entries of the log, and there is at most one in a probe interval.
pub const STEADY: Duration = Duration::from_secs(5);

/// How long a host that offers CHUNKING and was found not to know BDAT gets bodies by DATA. After that
/// one message learns whether it has been mended.
pub const CHUNKING_DISTRUST: Duration = Duration::from_hours(1);

/// How long one address of a host is waited for before the next is tried beside it: longer than the way to any
/// primary takes that is near, so that there is mostly one connection.
pub const NEXT_ADDRESS: Duration = Duration::from_secs(1);

/// How long a connection without work is kept. Postfix keeps its cached ones for 2 s; what comes
/// later may as well open a new one.
pub const IDLE_MAX: Duration = Duration::from_secs(3);

/// The lease that must be left when the final dot goes out: what a dot and the kernel's sending
/// of it may take.
pub const LEASE_MARGIN: Duration = Duration::from_millis(200);

/// How often a leader whose lease is short looks whether it has been renewed. Leases are renewed
/// by heartbeats, a few a second.
pub const LEASE_RETRY: Duration = Duration::from_millis(50);

/// Octets gathered before they are written: a whole ordinary message with its final dot goes out
/// in one packet train, and a large one never takes more memory than a few times this and one piece.
pub const WRITE_MAX: usize = 64 * 1024;

/// Octets read at once; replies to a pipelined transaction fit.
pub const READ_MAX: usize = 8 * 1024;

/// Octets that may still be unsent when the lease is checked for the final dot. Fits into an
/// empty socket buffer, with the last chunk of BDAT if need be, so the dot leaves with the check and
/// does not wait for the primary.
pub const UNSENT_BEFORE_DOT_MAX: usize = 16 * 1024;

/// Results that wait for the outbox to record them. When it is slow, deliveries wait.
pub const UNREPORTED_MAX: usize = 2048;

/// Results in one report.
pub const REPORT_MAX: usize = 256;

/// Octets of one report, unless a single message's results are more: what follows it in the log
/// waits for it.
pub const REPORT_BYTES_MAX: usize = 256 * 1024;

/// Reports follow each other no faster than this, unless deliveries wait for one: what a report costs is
/// shared by all that it holds.
pub const REPORTS_MIN: Duration = Duration::from_millis(5);

/// A report for which deliveries wait leaves at once when it has the results of one in so many connections, or when
/// no further results can come. The others are in another report, or at the primary.
pub const REPORT_PARTS: usize = 2;

/// Reports that may be under way at once: while one is being synced and applied, the next gets into the log.
pub const REPORTS_UNDER_WAY_MAX: usize = 2;

/// Words of a primary that are kept for one recipient.
pub const WORDS_MAX: usize = 512;

/// How soon a primary is asked once more that is new in the policy and did not answer.
pub const FIRST_LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Changes of the outbox are looked at no more often than this: under load each look finds many.
pub const CHANGES_MIN: Duration = Duration::from_millis(5);

/// How long a new leader lets lie what an earlier one had claimed and neither reported nor
/// released.
///
/// The count begins when the earlier one's lease has surely ended, so it sends no final dot any
/// more but one that it checked just before, which is out after [`LEASE_MARGIN`]. What is left to
/// wait for is the primary's reply, a second or two where it scans content; the earlier leader's
/// learning who leads now, a few heartbeats; and one commit of its report. A leader that is dead
/// tells nothing however long the wait, and the mail is late by it.
pub const IN_DOUBT_WAIT: Duration = Duration::from_secs(5);

/// How often it is looked whether the earlier leader has told. Each look reads all that is in
/// doubt.
pub const IN_DOUBT_LOOK: Duration = Duration::from_millis(100);

/// How long a primary must be down at least, and for two probes, before what was claimed for it is given back. What is
/// claimed does not become too old; and a primary that comes and goes is not to cost entries of the log each time.
pub const CLAIMS_KEEP: Duration = Duration::from_secs(3);

/// How long a leader that ends tries to give its claims back. Behind the next one's wait it would
/// be of no use.
pub const RELEASE_PATIENCE: Duration = IN_DOUBT_WAIT;

/// Claims that are made or given back in one command. What is read ahead at once fits, and applying
/// one is a matter of a millisecond.
pub const CLAIMS_MAX: usize = 256;

/// How soon after a change it is looked whether a sender is owed a report, or one is to be sent. Nobody waits for it,
/// and a refusal is often followed by others of the same message.
pub const REPORTS_LOOK: Duration = Duration::from_millis(250);

/// How often it is looked whether a report that was put off is due.
pub const REPORTS_DUE_LOOK: Duration = Duration::from_secs(5);

/// Messages whose senders are read at once of those that are owed reports.
pub const OWED_READ_MAX: usize = 20;

/// Reports follow each other no faster than this: twenty a second. A primary that refuses its whole queue must not
/// make the cluster busy with telling of it.
pub const REPORT_PACE: Duration = Duration::from_millis(50);

/// Reports under way to the senders' own hosts at once. A host that says nothing keeps one busy for minutes.
pub const COURIERS_MAX: usize = 10;

/// What counts as keeping a courier waiting, where nothing comes of it.
pub const DEAD_END_WAIT: Duration = Duration::from_secs(1);

/// For how long other reports to a domain that has done so are put off without being tried.
pub const DEAD_END_KEEP: Duration = Duration::from_mins(10);

/// How long a domain waits after the outbox could not be read.
pub const STORAGE_RETRY: Duration = Duration::from_secs(1);

/// The longest sleep of a domain that is paused; the wall clock may be set meanwhile.
pub const PAUSE_LOOK: Duration = Duration::from_secs(60);

/// How long deliveries under way may take to end when the forwarder is stopped: most of the half minute in which a node
/// ends, as each that is broken off may come twice.
pub const STOP_GRACE: Duration = Duration::from_secs(20);

/// How long it may take then to record what came of them.
pub const REPORT_GRACE: Duration = Duration::from_secs(5);

/// Between two looks at an idle primary, at most: who asks whether it is up is told what was so a minute or two ago, and
/// what it offers is known when an outage begins. A line in its log each minute is no burden.
pub const REFRESH: Duration = Duration::from_mins(1);

/// Probe intervals between two looks at idle primaries, where that is less: with the usual one of 15 s it is a minute.
pub const REFRESH_PROBES: u32 = 4;

/// Idle primaries that are looked at at a time. What is beyond waits for its turn.
pub const IDLE_LOOKS_MAX: usize = 8;

/// How often a node that does not lead looks which primaries it is to look for.
pub const SCOUT_LOOK: Duration = Duration::from_secs(1);

/// Primaries that it looks for at a time. What is beyond waits for its turn.
pub const SCOUTS_MAX: usize = 32;

/// How long one look may take, over all of a domain's hosts.
pub const SCOUT_PATIENCE: Duration = Duration::from_secs(60);

/// What was found of a primary counts for two intervals and this: longer than the next look takes, also a
/// leader's, which waits for a greeting as long as a delivery does.
pub const FINDING_GRACE: Duration = Duration::from_secs(150);

/// How patient a delivery is, from RFC 5321 section 4.5.3.2 where it names a minimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the TCP connection and for the TLS handshake, each.
    pub connect: Duration,
    /// For the greeting, and the replies to EHLO, HELO and STARTTLS.
    pub greeting: Duration,
    /// For the reply to MAIL, RCPT and RSET.
    pub command: Duration,
    /// For the reply to DATA, and to a chunk where the next one waits for it.
    pub data: Duration,
    /// For any progress in sending.
    pub block: Duration,
    /// For the reply to the final dot. The RFC is emphatic: who gives up early gets duplicates.
    pub final_dot: Duration,
    /// For the reply to QUIT.
    pub quit: Duration,
    /// For an earlier leader to tell what became of what it had claimed.
    pub in_doubt: Duration,
    /// For a primary that is down to come back to what was claimed for it.
    pub claims: Duration,
    /// Between two looks at an idle primary, at most.
    pub refresh: Duration,
    /// Between a primary's return and the record that it is down again.
    pub steady: Duration,
    /// For a primary that talks and is not ready.
    pub hesitation: Duration,
    /// For messages to begin over one connection.
    pub connection_age: Duration,
    /// The same while others wait for its place.
    pub turn: Duration,
}

/// How long an operator who probes a primary waits for its name to be looked up.
pub const PROBE_ADDRESS_TIMEOUT: Duration = Duration::from_secs(5);

/// How patient an operator who probes a primary is with each step: less than the command line is with
/// its node.
pub const PROBE_TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    greeting: Duration::from_secs(10),
    block: Duration::from_secs(10),
    ..Timeouts::STANDARD
};

impl Timeouts {
    /// What a forwarder uses.
    ///
    /// The greeting gets one minute and not the RFC's five: a primary is one of ours, and one
    /// that does not greet within a minute is down, which the probe should find out soon.
    pub const STANDARD: Self = Self {
        connect: Duration::from_secs(30),
        greeting: Duration::from_secs(60),
        command: Duration::from_secs(300),
        data: Duration::from_secs(120),
        block: Duration::from_secs(180),
        final_dot: Duration::from_secs(600),
        quit: Duration::from_secs(5),
        in_doubt: IN_DOUBT_WAIT,
        claims: CLAIMS_KEEP,
        refresh: REFRESH,
        steady: STEADY,
        hesitation: HESITATION_MAX,
        connection_age: CONNECTION_AGE_MAX,
        turn: TURN,
    };
}
