//! What became of a message of a drill, by its id, in this node's own copy of the spool.

use std::time::Duration;

use cluster::{Cluster, RequestError, Trace};
use spool::{
    Clock, Condition, Destination, Message, MessageId, Outbox as _, Reachability, Status, Timestamp,
};
use tokio::time::{Instant, sleep};

/// A primary that is up has taken a message within this time, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node that follows its leader has heard of a message within this time.
const ARRIVAL: Duration = Duration::from_secs(10);

/// Between two looks at one row.
const LOOK: Duration = Duration::from_millis(50);

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The primary has it: who has taken it, and in which words, as far as that is remembered.
    Delivered(Option<(String, String)>),
    /// It waits, as it should, and for what.
    Waiting(String),
    /// It will not be delivered, or it is nowhere.
    Lost { why: String, advice: String },
}

impl Fate {
    /// In words, and what to do.
    pub(super) fn told(self, id: MessageId) -> (String, Option<String>) {
        match self {
            Self::Delivered(Some((host, reply))) => (format!("{host} has it: {reply}"), None),
            Self::Delivered(None) => (
                "it has left; no history is kept that tells with which reply".to_owned(),
                None,
            ),
            Self::Waiting(why) => (
                format!("the message is safe and waits: {why}"),
                Some(format!(
                    "`layover trace {id}` tells when the primary has it"
                )),
            ),
            Self::Lost { why, advice } => (why, Some(advice)),
        }
    }

    fn lost(why: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Lost {
            why: why.into(),
            advice: advice.into(),
        }
    }
}

/// Where a message stands at one moment.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing is known of it.
    Unknown,
    /// It is to be delivered any moment; what kept it until now, if something did.
    UnderWay(Option<String>),
    Settled(Fate),
}

/// Looks until it is settled what becomes of a message for a domain, or it has taken too long.
pub(super) async fn follow(cluster: &Cluster, domain: &str, id: MessageId, clock: Clock) -> Fate {
    let began = Instant::now();
    loop {
        let standing = match cluster.trace(id).await {
            Ok(trace) => judge(
                trace.as_ref(),
                &cluster.destination(domain),
                id,
                clock.now(),
            ),
            Err(error) => Standing::Settled(unread(&error)),
        };
        let passed = began.elapsed();
        match standing {
            Standing::Settled(fate) => return fate,
            Standing::Unknown if passed >= ARRIVAL => return nowhere(id),
            Standing::UnderWay(why) if passed >= PATIENCE => return late(why),
            Standing::Unknown | Standing::UnderWay(_) => sleep(LOOK).await,
        }
    }
}

fn judge(
    trace: Option<&Trace>,
    destination: &Destination,
    id: MessageId,
    now: Timestamp,
) -> Standing {
    match trace {
        None => Standing::Unknown,
        Some(Trace::Queued(message)) => queued(message, destination, id, now),
        Some(Trace::Departed { message, .. }) => Standing::Settled(match message {
            None => Fate::Delivered(None),
            Some(message) => settled(message, id).unwrap_or_else(|| {
                Fate::lost(
                    "it left the queue without being delivered",
                    "an operator has deleted it: `layover audit` says who",
                )
            }),
        }),
        Some(Trace::Repeat { first, .. }) => Standing::Settled(Fate::lost(
            format!("it counts as the message {first} again"),
            "something changes messages on their way to the node: see what stands in between",
        )),
    }
}

fn queued(message: &Message, destination: &Destination, id: MessageId, now: Timestamp) -> Standing {
    if let Some(fate) = settled(message, id) {
        return Standing::Settled(fate);
    }
    if message.hold.is_some() {
        return Standing::Settled(Fate::Waiting("an operator holds it".to_owned()));
    }
    match kept_back(destination, now) {
        Some(why) => Standing::Settled(Fate::Waiting(why)),
        None => Standing::UnderWay(put_off(message)),
    }
}

/// What the message's one recipient has come to.
fn settled(message: &Message, id: MessageId) -> Option<Fate> {
    let recipient = message.recipients.first()?;
    let host = &recipient.host;
    match &recipient.status {
        Status::Delivered { reply, .. } => {
            Some(Fate::Delivered(Some((host.clone(), reply.clone()))))
        }
        Status::Rejected { reply, .. } | Status::Returned { reply, .. } => Some(Fate::lost(
            format!("{host} refuses it: {reply}"),
            format!(
                "see that the canary is a mailbox of the primary that takes mail from nobody (<>), and remove the \
                 message with `layover queue delete {id}`"
            ),
        )),
        Status::Pending | Status::Deferred { .. } => None,
    }
}

/// Why no mail of the domain leaves now, if none does.
fn kept_back(destination: &Destination, now: Timestamp) -> Option<String> {
    match (destination.condition(now), &destination.reachability) {
        (Condition::Paused, _) => Some("an operator has paused the domain".to_owned()),
        (Condition::HeldBack, _) => {
            Some("the recovery guard holds the domain's mail back".to_owned())
        }
        (_, Reachability::Down(words)) => Some(format!("the primary is down: {words}")),
        (_, Reachability::Up) => None,
    }
}

/// The words with which it was put off.
fn put_off(message: &Message) -> Option<String> {
    let recipient = message.recipients.first()?;
    match &recipient.status {
        Status::Deferred { reason, .. } => Some(format!("{} says later: {reason}", recipient.host)),
        _ => None,
    }
}

fn late(why: Option<String>) -> Fate {
    let seconds = PATIENCE.as_secs();
    let why = why.unwrap_or_else(|| "other mail is in front of it, or the primary is slow".into());
    Fate::Waiting(format!("not delivered within {seconds} s: {why}"))
}

fn nowhere(id: MessageId) -> Fate {
    let seconds = ARRIVAL.as_secs();
    Fate::lost(
        format!("this node knows of no message {id} after {seconds} s"),
        "the host is of another cluster, or this node lags behind: see `layover cluster status`",
    )
}

fn unread(error: &RequestError) -> Fate {
    Fate::lost(
        format!("what becomes of it can not be read: {error}"),
        "see this node's log, and ask another node for the drill",
    )
}

#[cfg(test)]
mod tests;
