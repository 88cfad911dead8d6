//! Every limit of this room, with its reason.

use std::time::Duration;

/// A leader is heard from this often. Several of these fit into the shortest election timeout, so
/// that one lost packet or one slow fsync elects nobody.
pub(crate) const HEARTBEAT_MS: u64 = 150;

/// The lower end of the election timeout: several wide area round trips (Raft paper section 5.6).
pub(crate) const ELECTION_MIN_MS: u64 = 500;
/// The upper end of the election timeout, and the lease: a follower votes for nobody else while it
/// has heard from the leader within it. One that has heard nothing for the lease and a timeout,
/// 1.4 to 1.8 s, stands for election, so a sender sees the death of a leader as a pause.
pub(crate) const ELECTION_MAX_MS: u64 = 900;

/// For so long after its start a node votes for nobody: the lease that it may have granted before,
/// and a tenth more, since two clocks do not run alike.
pub(crate) const LEASE: Duration = Duration::from_millis(ELECTION_MAX_MS * 11 / 10);
/// How often a node that was started asks the others what they know of it.
pub(crate) const ASK_EVERY: Duration = Duration::from_millis(200);
/// What a node waits for is said again after this, as long as it waits for the same.
pub(crate) const SAID_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Without a sign of the quorum for so long, the SMTP port is closed: longer than an election that
/// has to be held twice because votes were split.
pub(crate) const QUORUM_SILENCE_MAX: Duration = Duration::from_millis(3500);

/// Entries in one append request at most.
pub(crate) const APPEND_ENTRIES_MAX: u64 = 512;
/// Octets of entries in one append request, unless a single entry is larger: some milliseconds of a
/// gigabit link, so that nothing waits long behind it.
pub(crate) const APPEND_BYTES_MAX: usize = 1 << 20;
/// While an append of fewer octets is under way, what comes waits for its answer, and is then one append.
pub(crate) const APPEND_GATHERED_BYTES: usize = 256 << 10;
/// But it waits no longer than this: as long as a slow disk takes for its fsync, and less than a wide area round
/// trip, which several appends then share.
pub(crate) const APPEND_GATHER: Duration = Duration::from_millis(10);
/// Octets of one command. Ten thousand recipients with what a primary said of each stay below; a
/// command above would be an entry that no member can be sent, behind which nothing is replicated.
pub(crate) const COMMAND_BYTES_MAX: usize = 6 << 20;
// A policy with its lists is one command.
const _: () = assert!(spool::policy::DOCUMENT_BYTES_MAX + (64 << 10) <= COMMAND_BYTES_MAX);
/// A peer's message is refused above this: what one request gathers at most ([`APPEND_BYTES_MAX`],
/// [`PASS_BYTES_MAX`]), and the largest command behind it.
pub(crate) const PEER_MESSAGE_BYTES_MAX: usize = 8 << 20;
/// Callers whose refusal is told to the log. Each has a certificate of the authority, so more than
/// these is a mistake that has been seen by then.
pub(crate) const REFUSED_CALLERS_MAX: usize = 64;
/// How long the others may take to say whether they know a caller: a connection and an answer, within
/// what the caller waits for its own.
pub(crate) const VOUCHING_PATIENCE: Duration = Duration::from_secs(1);
/// What they said counts for so long: a member that is not known here yet soon is, and one that
/// hammers at the door makes nobody ask more often.
pub(crate) const VERDICT_KEEP: Duration = Duration::from_secs(2);
/// HTTP/2 window of one stream between peers; the default 64 KiB would cap a link of 50 ms at
/// about 1 MB/s.
pub(crate) const PEER_STREAM_WINDOW: u32 = 4 << 20;
/// HTTP/2 window of a whole connection between peers.
pub(crate) const PEER_CONNECTION_WINDOW: u32 = 16 << 20;

/// How often either end of an idle connection between peers asks the other for a sign of life, and how
/// long that may take. A node that lost its power says no goodbye.
pub(crate) const PEER_KEEPALIVE: Duration = Duration::from_secs(5);
/// How long a connection to a peer may take to open.
pub(crate) const PEER_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a peer may take to answer a small request.
pub(crate) const PEER_REPLY_TIMEOUT: Duration = Duration::from_secs(2);
/// Domains of whose deliveries the leader tells the others; the rest of the answer must not be lost for them.
pub(crate) const COURSES_TOLD_MAX: usize = 2000;
/// How long those are waited for on whom a change of members hangs.
pub(crate) const ASKING_PATIENCE: Duration = Duration::from_secs(1);
/// How long somebody who looks at the cluster waits for a member that may be down.
pub(crate) const PEER_LOOK_TIMEOUT: Duration = Duration::from_millis(500);
/// A follower that acknowledges nothing for so long while entries are on their way is treated as
/// gone, and its stream opened anew.
pub(crate) const APPEND_REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a whole snapshot may take, as openraft is told. What counts is that the receiver goes on
/// answering, see [`SNAPSHOT_SILENCE_MAX`]: a large spool over a slow line takes hours.
pub(crate) const SNAPSHOT_TIMEOUT_MS: u64 = 7 * 24 * 3_600_000;
/// Either side of a snapshot gives up when nothing comes from the other for so long.
pub(crate) const SNAPSHOT_SILENCE_MAX: Duration = Duration::from_secs(30);
/// While a snapshot's receiver reads, writes or waits for more, it says so this often.
pub(crate) const SNAPSHOT_PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// Octets in one message of a snapshot.
pub(crate) const SNAPSHOT_CHUNK_BYTES: usize = 1 << 20;
/// Octets that stay free on the disk while a snapshot is received: this node goes on writing its log,
/// a full disk ends it, and when the snapshot is there two databases write what they have in memory.
/// Far less than must stay free for mail to be taken: a member that is short of room is one still.
pub(crate) const SNAPSHOT_FREE_MIN: u64 = 64 << 20;
/// A copy of the database that was sent is kept so long, so that a transfer that broke off (the
/// receiver was restarted) goes on with the same files.
pub(crate) const SNAPSHOT_KEEP: Duration = Duration::from_secs(5 * 60);
/// The log is not purged while a snapshot is sent, nor for so long after: a transfer that broke off
/// is taken up again sooner, and the receiver then needs what came meanwhile.
pub(crate) const SNAPSHOT_LOG_HOLD: Duration = Duration::from_secs(30);
/// What a transfer that broke off has left is kept so long. A node that has not got the rest by then
/// has caught up otherwise, or will have to begin anew.
pub(crate) const INCOMING_KEEP: Duration = Duration::from_secs(6 * 3600);

/// Octets of commands that this node has proposed and that are not committed yet. Senders wait when
/// it is reached.
pub(crate) const PROPOSED_BYTES_MAX: usize = 64 << 20;
/// So long a sender waits for room among them. A client that has sent its final dot waits ten
/// minutes for the reply (RFC 5321 section 4.5.3.2.6); a disk that can not write [`PROPOSED_BYTES_MAX`]
/// in this time is a broken one.
pub(crate) const ROOM_PATIENCE: Duration = Duration::from_secs(60);
/// How often members are asked how they are known to the Internet that have not told: while one has
/// not, whoever sends mail by MX records must be on his guard.
pub(crate) const MAIL_HOSTS_ASK: Duration = Duration::from_secs(2);
/// How often all of them are asked: one that is started with another name is known by it soon after.
pub(crate) const MAIL_HOSTS_REFRESH: Duration = Duration::from_secs(60);
/// Commands in one request that passes them to the leader.
pub(crate) const PASS_COMMANDS_MAX: usize = 512;
/// Octets of commands in one request that passes them to the leader.
pub(crate) const PASS_BYTES_MAX: usize = 1 << 20;
/// Such requests on their way at the same time; meanwhile what comes gathers for the next. Each costs both ends as
/// much as applying some messages, and the more there are, the less is in each. Fewer would keep commands out of
/// the leader's next fsync.
pub(crate) const PASSES_IN_FLIGHT_MAX: usize = 4;
/// Commands that wait to be passed on.
pub(crate) const PASS_QUEUE_MAX: usize = 4096;
/// How long the leader may take to answer such a request before it is asked again.
pub(crate) const PASS_REPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long another member may take to hand over a piece of a body (512 KiB, on a line that replicates
/// as well): one that is slower than that has nothing to spare, and the next one is asked.
pub(crate) const PIECE_REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// Pieces that are wanted of another member while the log is sent: one a follower.
pub(crate) const LOST_PIECES_MAX: usize = 16;
/// Pause before asking again, when nobody leads or the leader did not answer.
pub(crate) const PROPOSE_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Octets of log entries kept in memory, so that replication and apply do not read them back from
/// the disk.
pub(crate) const LOG_CACHE_BYTES_MAX: usize = 4 << 20;
/// Entries that stay in the log when an operator asks for a snapshot, for followers that lag by what
/// is on its way.
pub(crate) const SNAPSHOT_LOG_ENTRIES_MIN: u64 = 1000;
/// Octets that stay in the log at most for members that lag while the disk is too full to take mail,
/// because what has been delivered stays on the disk with the log.
pub(crate) const LOG_BYTES_WHEN_FULL: u64 = 64 << 20;
/// While the disk is too full, nothing stays in the log for a member that has not answered for so long:
/// longer than a restart takes. When it is back, it is sent a snapshot.
pub(crate) const MEMBER_SILENCE_MAX: Duration = Duration::from_secs(30);
/// How often the room of what has left the log is given back while the disk is too full: it takes
/// writing some files, and a sender that is told "later" comes back after minutes.
pub(crate) const GIVE_BACK_INTERVAL: Duration = Duration::from_secs(60);
/// Jobs that wait for the log's writer.
pub(crate) const LOG_JOBS_MAX: usize = 4096;
/// Octets that go into one fsync.
pub(crate) const LOG_BATCH_BYTES_MAX: usize = 2 << 20;
/// The log's writer rests for so long at most before it writes again.
pub(crate) const LOG_REST_MAX: Duration = Duration::from_millis(1);
/// So many jobs must have shared the write before, or it does not rest at all.
pub(crate) const LOG_REST_JOBS_MIN: usize = 3;
/// Nor does it rest when the write before had more octets.
pub(crate) const LOG_REST_BYTES_MAX: usize = 256 << 10;
/// Entries that are applied in one batch.
pub(crate) const APPLY_ENTRIES_MAX: usize = 1024;
/// Octets of entries that are applied in one batch, unless a single one is larger.
pub(crate) const APPLY_BYTES_MAX: usize = 4 << 20;

/// Pieces of bodies that one purge of the log forgets at most beyond as many as it forgets entries.
pub(crate) const PURGE_PIECES_MORE: usize = 20_000;

/// How often abandoned stages and old ids are swept.
pub(crate) const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// How often it is looked for delivered mail whose body is kept no longer.
pub(crate) const RETENTION_INTERVAL: Duration = Duration::from_secs(5);
/// Octets of delivered mail that are given up at once at least when a disk lacks room.
pub(crate) const RELINQUISH_BYTES_MIN: u64 = 64 << 20;
/// How long what was given up may take to become free: [`GIVE_BACK_INTERVAL`] and what follows it.
pub(crate) const RELINQUISH_REST: Duration = Duration::from_secs(70);
/// Messages that have left, or wait, that one step of a replay looks at.
pub(crate) const REPLAY_READ_MAX: usize = 1000;
/// For how long a replay goes on trying although no batch of it is taken: through an election, and the start of
/// a node that the quorum lacks.
pub(crate) const REPLAY_PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked for mail that is too old.
pub(crate) const AGEING_INTERVAL: Duration = Duration::from_secs(5);
/// How far the clock may be from where it should be at the next such look: a machine that is short of processors, and
/// what sets clocks right bit by bit.
pub(crate) const CLOCK_DRIFT_MAX: Duration = Duration::from_secs(10 * 60);
/// For how long no mail is given up for its age after the clock has jumped: whoever looks after the machine, or its
/// time servers, can set it right.
pub(crate) const CLOCK_REST: Duration = Duration::from_secs(3600);
/// How often it is looked for mail whose senders are to know that it waits.
pub(crate) const DELAYS_INTERVAL: Duration = Duration::from_secs(2);
/// How long it takes at most until what was refused for good is looked through again, all of the queue being read for it;
/// and a twentieth of the time that it is kept.
pub(crate) const LAPSING_REST_MAX: Duration = Duration::from_secs(3600);
/// How long a domain rests after a look for mail that is too old has found much that is spared.
pub(crate) const SPARED_REST: Duration = Duration::from_secs(60);
/// How often each node counts the messages that expire soon, for those who watch.
pub(crate) const EXPIRING_INTERVAL: Duration = Duration::from_secs(20);
/// So many messages of a domain that expire soon are counted; what is more makes no difference to anyone,
/// and each of them is read.
pub(crate) const EXPIRING_MAX: usize = 10_000;
/// How often the log of the node that leads warns of a domain's mail that expires soon.
pub(crate) const EXPIRING_WARN_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// How often a node looks after what it keeps on the disk.
pub(crate) const UPKEEP_INTERVAL: Duration = Duration::from_secs(2);
/// How often the free disk space is looked at.
pub(crate) const DISK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a request of an operator may take.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long every voter has to say that it goes by a new policy before it is named as one that does not:
/// longer than [`QUORUM_SILENCE_MAX`] and the look that follows it, so that one which is cut off takes no
/// mail any more; and with [`REQUEST_TIMEOUT`] within what `layover` waits for an answer.
pub(crate) const ADOPTED_PATIENCE: Duration = Duration::from_millis(4500);
/// How long a member may take to read its whole spool when replicas are compared: some GB from a slow
/// disk. One that is gone is noticed sooner, by its connection.
pub(crate) const DIGEST_TIMEOUT: Duration = Duration::from_secs(120);
/// Messages that one read of the queue returns at most.
pub(crate) const READ_MESSAGES_MAX: usize = 1000;
/// For so long what clients have read waits for a message that carries it to the other nodes before
/// it is told them by itself: a client that says QUIT and goes to another node needs as many round
/// trips.
pub(crate) const CONFIRM_AFTER: Duration = Duration::from_millis(10);
/// Ids of read 250s that wait to be told, and that one command tells; what does not fit is forgotten
/// on all nodes within the hour. Above the sessions of a node that is set up as we say.
pub(crate) const CONFIRMATIONS_MAX: usize = 4096;
/// Pause before they are told again when nobody took them.
pub(crate) const CONFIRM_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Stages that wait to be discarded; what does not fit is swept later.
pub(crate) const DISCARDS_MAX: usize = 1024;

/// How often it is told to all nodes who was sent away by the sentries of one.
pub(crate) const VISITS_INTERVAL: Duration = Duration::from_secs(1);
/// New visitors that are told of at once. Anybody can be one under as many names as he likes, so this
/// bounds what strangers write into the log. When each of five nodes tells of so many a second, the
/// first of as many as are remembered ([`spool::sentry::VISITORS_MAX`]) came 22 minutes ago: nobody is
/// pushed out before patience is shown.
pub(crate) const NEW_PER_VISITS_MAX: usize = 15;
/// Visitors that came back and are told of at once: 4 KiB.
pub(crate) const BACK_PER_VISITS_MAX: usize = 200;
/// As long as more wait, no new visitor is told of: what one message to a crowd of recipients brings.
pub(crate) const NEW_VISITORS_WAITING_MAX: usize = 1000;
/// Visitors that wait to be told of.
pub(crate) const VISITORS_WAITING_MAX: usize = 4000;

/// How often it is told to all nodes what one has found out about recipients. Until then it may ask a
/// primary once more than it would have to.
pub(crate) const LESSON_INTERVAL: Duration = Duration::from_secs(1);
/// Recipients that one command tells about: some tens of KiB.
pub(crate) const FACTS_PER_LESSON_MAX: usize = 500;
/// Recipients among them whom a primary does not know. Strangers make them up, and so can not have more
/// written into the log in a second; the rest waits.
pub(crate) const UNKNOWN_PER_LESSON_MAX: usize = 20;
/// Recipients that wait to be told about: those of some seconds of a queue that drains.
pub(crate) const LESSONS_WAITING_MAX: usize = 4096;
/// As long as more wait, nothing is told of recipients whom a primary does not know.
pub(crate) const UNKNOWN_WAITING_MAX: usize = 1024;
/// Recipients that one read of what is known returns at most.
pub(crate) const READ_RECIPIENTS_MAX: usize = 1000;

/// A member that lacks no more entries than this keeps up: under full load as many are on their
/// way, and what is left to send when it becomes a voter or the leader holds nobody up for long.
pub(crate) const KEEPS_UP_LAG_MAX: u64 = 1_000;
/// How long a change of members may take, below the time that an operator's request may take. With
/// a quorum it is a matter of some fsyncs and, for a leader that is removed, of an election.
pub(crate) const CHANGE_TIMEOUT: Duration = Duration::from_secs(12);
/// How long a change waits for the one before it. With a quorum that is a matter of some fsyncs.
pub(crate) const CHANGING_PATIENCE: Duration = Duration::from_secs(2);
/// How often the leader looks whether a learner has caught up.
pub(crate) const FINISH_INTERVAL: Duration = Duration::from_millis(250);
/// How often a node looks whether it belongs to the cluster.
pub(crate) const BELONGING_INTERVAL: Duration = Duration::from_secs(1);
/// A node that has heard nothing of a quorum for so long asks around whether it still belongs to
/// the cluster: longer than a leader that is there is ever silent.
pub(crate) const BELONGING_SILENCE: Duration = Duration::from_secs(1);
/// How long a hand-over waits for the deliveries under way. With it, a leader that is removed is still
/// gone within [`CHANGE_TIMEOUT`]; what takes longer has the few seconds more for which the next leader
/// leaves it alone.
pub(crate) const HAND_OVER_PATIENCE: Duration = Duration::from_secs(6);
/// How long leadership may take to pass to another node.
pub(crate) const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(3);
/// A primary counts as reached, or not, that was found so at least for this time ...
pub(crate) const FINDING_STEADY: Duration = Duration::from_secs(30);
/// ... and at least so often: a primary that restarts, or a link that hiccups, moves nobody.
pub(crate) const FINDING_PROBES_MIN: u32 = 3;
/// How often a leader looks whether another node reaches more. Nobody is asked while there is nothing to gain.
pub(crate) const REACH_LOOK: Duration = Duration::from_secs(5);
/// After leadership was moved for a primary it stays for so long: two nodes of which each reaches another
/// primary take turns that are long enough to deliver much.
pub(crate) const MOVE_REST: Duration = Duration::from_secs(10 * 60);
/// A move that came to nothing is tried again after this.
pub(crate) const MOVE_RETRY: Duration = Duration::from_secs(30);

/// Log entries that are looked at together when a body is read that is to be delivered.
pub(crate) const AHEAD_ENTRIES_MAX: u64 = 64;
/// Octets that are read in one go then. At most eight times as many wait in memory to be asked for.
pub(crate) const AHEAD_BYTES_MAX: usize = 256 << 10;
/// A larger piece is read by itself: to go to the disk and back costs little beside it.
pub(crate) const AHEAD_PIECE_MAX: usize = 64 << 10;

/// A segment of bodies is closed at this size; the smaller, the sooner one holds only what has left. At a start, as much
/// of what is in segments may have to be written into RocksDB again.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 20;
/// Of a closed segment so many hundredths are needed, or what is needed is moved to another.
pub(crate) const SEGMENT_NEEDED_MIN: u64 = 25;
/// One of which nothing is needed is closed, and so removed, when it has so many octets. For less it is not worth a file.
pub(crate) const SEGMENT_CLOSED_MIN: u64 = 1 << 20;
/// Octets that are moved in one go: the log's writer writes nothing else meanwhile.
pub(crate) const SEGMENT_MOVE_BYTES_MAX: usize = 4 << 20;
/// Pieces that are moved in one go.
pub(crate) const SEGMENT_MOVE_PIECES_MAX: usize = 1 << 10;
/// Rows that are looked at for them in one go.
pub(crate) const SEGMENT_MOVE_ROWS_MAX: usize = 32 << 10;
/// With less free on the disk nothing is moved.
pub(crate) const SEGMENT_MOVE_FREE_MIN: u64 = 32 << 20;
