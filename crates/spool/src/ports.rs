//! The doors between the network and the spool. `relay` goes through them, `cluster` keeps
//! them, and neither knows the other.

use core::future::Future;
use core::time::Duration;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::{
    Accept, Destination, Learned, Message, MessageId, Notify, Offers, Policy, Reachability,
    Recovery, Refusal, Report, Stage, Timestamp, Visitor, alarm::Notice, notice, policy::Domain,
    recipients::News,
};

/// What is known of the recipients of domains with `recipients = "verify"`. Both ends read or fill it:
/// it is asked at RCPT, and every delivery teaches.
pub trait AddressBook: Send + Sync + 'static {
    /// What is known of a recipient of a domain; whether it still counts is for
    /// [`judge`](crate::recipients::judge).
    ///
    /// # Errors
    /// [`Refusal::StorageFailed`] when the store could not be read.
    fn look_up(
        &self,
        domain: &str,
        address: &str,
    ) -> impl Future<Output = Result<Option<Learned>, Refusal>> + Send;

    /// What is known of a domain's primary, and of its recipients in figures.
    fn primary(&self, domain: &str) -> Destination;

    /// Has it learned on all nodes, within a second or so, what a primary has said of a recipient.
    /// `domain` is as it was when its primary was asked; what another one has said than the domain has now
    /// is not learned. Returns at once; what does not get through will be found out again.
    fn learn(&self, domain: &Domain, address: String, news: News);
}

/// How a node is known to the Internet, as it says itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailHost {
    /// What it greets with.
    pub hostname: String,
    /// The addresses that mail reaches it by, as far as its configuration tells.
    pub addresses: Vec<IpAddr>,
}

/// One member of the cluster, as whoever sends mail must know it to never send it to the cluster itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberHost {
    /// Its id.
    pub id: u64,
    /// The host of the address by which the other members reach it: a name or an IP address.
    pub peer_host: String,
    /// What it has told of itself; `None` while it was never reached since this node's start.
    pub mail: Option<MailHost>,
}

/// Who is in the cluster.
pub trait Members: Send + Sync + 'static {
    /// Every member, this node among them. Cheap.
    fn members(&self) -> Vec<MemberHost>;
}

/// Where messages come in.
pub trait Intake: AddressBook {
    /// The policy in force; `None` while the cluster is not founded.
    fn policy(&self) -> Option<Arc<Policy>>;

    /// What a domain's primary offers, as far as it was ever talked to. Cheap.
    fn offers(&self, domain: &str) -> Option<Offers>;

    /// Whether a message could be taken now. Cheap; asked at MAIL, before anything is sent.
    ///
    /// # Errors
    /// The condition of the spool that speaks against it.
    fn ready(&self) -> Result<(), Refusal>;

    /// Whether the sentry of a domain lets a visitor in that comes at a moment: the domain's primary is
    /// down, or the visitor has come often enough, to this node or others. Who is sent away is told to
    /// the other nodes soon, as far as there is room.
    fn admit(
        &self,
        domain: &str,
        visitor: Visitor,
        at: Timestamp,
    ) -> impl Future<Output = bool> + Send;

    /// Stores a piece of a body that is still arriving. Returns once a majority has fsync'd it.
    ///
    /// # Errors
    /// Why it was not stored; the message can then not be accepted.
    fn stage(&self, stage: Stage) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Makes a message ours. Returns `Ok` once a majority of nodes has fsync'd it: only then may
    /// the sender read 250. The id is what the 250 is to tell: the message's own, or that of the
    /// first when this is a repeat of one whose 250 may not have been read.
    ///
    /// # Errors
    /// Why the message is not ours.
    fn accept(&self, accept: Accept) -> impl Future<Output = Result<MessageId, Refusal>> + Send;

    /// Tells that a client has read the 250 that told this id, so that the same message again is
    /// another one, on every node. Returns at once; what does not get through is forgotten later.
    fn confirm(&self, id: MessageId);

    /// Makes a domain's deferred messages due now and has its primary asked at once whether it is
    /// back, wherever the leader is. `domain` is one of the policy's. Returns how many messages wait
    /// for it.
    ///
    /// # Errors
    /// Why it was not recorded.
    fn flush(&self, domain: &str) -> impl Future<Output = Result<u64, Refusal>> + Send;

    /// Gives up what was staged for a message. Returns at once; what does not get through is
    /// swept later.
    fn discard(&self, id: MessageId);
}

/// One message that may be delivered, for one domain.
#[derive(Clone, Debug)]
pub struct Due {
    /// The message.
    pub message: Arc<Message>,
    /// Which of its recipients to try: indices into `message.recipients`.
    pub recipients: Vec<u32>,
    /// The term whose leader has claimed it for this domain and has not told what became of it.
    pub claimed_by: Option<u64>,
}

/// What the sender of one message is to be told.
#[derive(Clone, Debug)]
pub struct Owed {
    /// The message.
    pub message: Arc<Message>,
    /// What he is to be told.
    pub kind: notice::Kind,
    /// Of which of its recipients: indices into `message.recipients`.
    pub recipients: Vec<u32>,
}

/// Where a walk over a domain's deferred messages stands: moment and place of the last one seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeferredCursor(pub Timestamp, pub u64);

/// Why the outbox could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// This node does not lead any more; someone else delivers.
    #[error("this node leads no longer")]
    NotLeading,
    /// The octets of a body are not there.
    #[error("body piece {piece} of message {id} is missing")]
    PieceMissing {
        /// The message.
        id: MessageId,
        /// The log index that carried the piece.
        piece: u64,
    },
    /// The octets of a body are there and can not be read.
    #[error("body piece {piece} of message {id} can not be read: {reason}")]
    PieceUnreadable {
        /// The message.
        id: MessageId,
        /// The log index that carried the piece.
        piece: u64,
        /// In the words of whoever keeps it.
        reason: String,
    },
    /// A body is damaged here, and stays so.
    #[error("{0}")]
    Unmended(String),
    /// The store failed.
    #[error("reading the spool failed: {0}")]
    Storage(String),
}

/// Which primaries this node reaches. Where mail waits for one that is down for the leader, the other nodes
/// look, too; leadership may go to one that reaches it.
pub trait Lookout: Send + Sync + 'static {
    /// The domains whose primaries this node is to look for, as the policy has them: none while it leads. Cheap.
    fn sought(&self) -> Vec<Domain>;

    /// Notes whether a domain's primary talked to this node just now. It counts for so long, if nothing else is
    /// found out before.
    fn note_reach(&self, domain: &str, is_reached: bool, lasts: Duration);
}

/// Where messages go out. Only the leader's is ever used.
pub trait Outbox: AddressBook + Lookout {
    /// The policy in force; `None` while the cluster is not founded.
    fn policy(&self) -> Option<Arc<Policy>>;

    /// Every domain that has or had messages, with its figures, in order of name.
    fn destinations(&self) -> Vec<(String, Destination)>;

    /// One domain's figures.
    fn destination(&self, domain: &str) -> Destination;

    /// Returns a number above `seen` as soon as anything in the outbox has changed since that
    /// number was returned. Start with 0.
    fn changed_since(&self, seen: u64) -> impl Future<Output = u64> + Send;

    /// Messages of a domain that wait and arrived after place `after`, in order of arrival, at
    /// most `limit`. Start with 0.
    fn waiting(
        &self,
        domain: &str,
        after: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Due>, OutboxError>> + Send;

    /// Deferred messages of a domain behind the cursor and not due later than `until`, the
    /// earliest due first, at most `limit`. A flush passes the largest `until` and skips those
    /// whose last attempt is not before the flush.
    fn deferred(
        &self,
        domain: &str,
        after: Option<DeferredCursor>,
        until: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(DeferredCursor, Due)>, OutboxError>> + Send;

    /// Messages of a domain by their sequences, as they are now, in order of arrival. What is not
    /// to be delivered there any more is left out.
    fn due(
        &self,
        domain: &str,
        sequences: &[u64],
    ) -> impl Future<Output = Result<Vec<Due>, OutboxError>> + Send;

    /// Returns once all that this node has recorded before, in that term, shows in what is read here:
    /// also what it has given up waiting for. What comes later of it never will.
    ///
    /// # Errors
    /// [`OutboxError::NotLeading`] when this node does not lead in that term, or no majority was there
    /// in time.
    fn settle(&self, term: u64) -> impl Future<Output = Result<(), OutboxError>> + Send;

    /// Claims messages for the leader of a term, which is this node. Returns once a majority has
    /// fsync'd it: no later leader will start them before it has heard of their outcome, or has
    /// waited. Takes over what an earlier term has claimed. What has left is not claimed.
    ///
    /// # Errors
    /// [`OutboxError::NotLeading`] when this node does not lead in that term, or could not get the
    /// claim recorded. The claim is never passed on to another leader.
    fn claim(
        &self,
        term: u64,
        domain: &str,
        sequences: &[u64],
    ) -> impl Future<Output = Result<(), OutboxError>> + Send;

    /// Gives up claims of a term: nothing of those messages is, or will be, on its way from here.
    /// Whoever leads records it.
    fn release(
        &self,
        term: u64,
        domain: &str,
        sequences: &[u64],
    ) -> impl Future<Output = Result<(), OutboxError>> + Send;

    /// One piece of a message's body: `piece` is one of `message.body.pieces`.
    fn piece(
        &self,
        id: MessageId,
        piece: u64,
    ) -> impl Future<Output = Result<Bytes, OutboxError>> + Send;

    /// Fetches a message's body anew from wherever it is whole, and puts it in the place of what is
    /// damaged here. Returns once it is fsync'd and was read back as it was accepted.
    ///
    /// # Errors
    /// [`OutboxError::Unmended`] with the reasons of everyone who was asked.
    fn mend(&self, message: &Message) -> impl Future<Output = Result<(), OutboxError>> + Send;

    /// Records what became of deliveries. Returns once a majority has fsync'd it.
    fn report(&self, report: Report) -> impl Future<Output = Result<(), OutboxError>> + Send;

    /// What senders are to be told of messages that arrived after place `after`, in order of arrival: of at
    /// most `limit` messages, one for each kind of notice. Start with 0.
    fn owed(
        &self,
        after: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Owed>, OutboxError>> + Send;

    /// Spools a report and notes that what it tells is told, both or neither. Returns once a majority has
    /// fsync'd it. Nothing is done where any of it was told already, or is not owed any more.
    fn notify(&self, notify: Notify) -> impl Future<Output = Result<(), OutboxError>> + Send;

    /// Records that a primary went down or came back.
    fn observe(
        &self,
        domain: &str,
        reachability: Reachability,
        at: Timestamp,
    ) -> impl Future<Output = Result<(), OutboxError>> + Send;

    /// Records how the recovery of a destination goes on.
    fn recover(&self, recovery: Recovery) -> impl Future<Output = Result<(), OutboxError>> + Send;

    /// Records that the webhook of the alarms was told of a change.
    fn note_posted(&self, notice: Notice) -> impl Future<Output = Result<(), OutboxError>> + Send;

    /// Records what a primary offers. Only to be called with what is not known yet: it is a command
    /// in the log. `domain` is as it was when the primary was talked to: nothing is recorded of hosts that
    /// are its primary no more.
    fn note_offers(
        &self,
        domain: &Domain,
        offers: Offers,
        at: Timestamp,
    ) -> impl Future<Output = Result<(), OutboxError>> + Send;

    /// Records that a primary's host offers STARTTLS that was not known to, or does not any more. Only to be
    /// called with news, and about a primary of the policy in force, as with what else it offers.
    fn note_starttls(
        &self,
        domain: &Domain,
        host: &str,
        is_offered: bool,
        at: Timestamp,
    ) -> impl Future<Output = Result<(), OutboxError>> + Send;

    /// For how much longer this node surely leads: no other node can lead before that has passed.
    /// `None` when it does not lead. Asked before the final dot of each delivery.
    fn lease(&self) -> Option<Duration>;
}
