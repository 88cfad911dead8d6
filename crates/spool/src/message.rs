//! A message in the spool.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use smtp::{BodyType, ForwardPath, ReversePath, dsn};

use crate::{Authentication, MessageId, Timestamp, Try, notice, policy::Keeping};

/// The SHA-256 of a body, taken while it arrived and checked when it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

/// One spooled message: envelope, body, and how far each recipient has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its name for people.
    pub id: MessageId,
    /// Its place in the order of arrival over all nodes: the log index of its acceptance.
    pub sequence: u64,
    /// When the accepting node had read the end of its data.
    pub received_at: Timestamp,
    /// Where a DSN would go.
    pub reverse_path: ReversePath,
    /// What the sender declared the body to be.
    pub body_type: BodyType,
    /// Whether its addresses and header fields may hold UTF-8 (RFC 6531).
    pub smtputf8: bool,
    /// What the sender said about reports on it.
    pub dsn: dsn::PerMessage,
    /// Its recipients, in the order of the envelope; the index of one never changes.
    pub recipients: Vec<Recipient>,
    /// The octets between DATA and the final dot.
    pub body: Body,
    /// The fields that go in front of the body when it leaves, each with its final CRLF: `Received`
    /// (RFC 5321 section 4.4), and above it what was found out about its origin (RFC 8601).
    pub trace: Bytes,
    /// Who brought it.
    pub client: Client,
    /// What was found out about its origin; `None` when nothing was looked at.
    pub authentication: Option<Authentication>,
    /// How many times a delivery of any part of it was tried.
    pub attempts: u32,
    /// When that was last.
    pub attempted_at: Option<Timestamp>,
    /// Since when an operator keeps it from being delivered, and why; `None` when nobody does.
    pub hold: Option<Hold>,
    /// The last tries, the earliest first.
    pub tries: Vec<Try>,
    /// When an operator last released it, or wanted it delivered: it has all its time again since then.
    pub renewed_at: Option<Timestamp>,
    /// When its sender was to be told that it is late; `None` while that is not so.
    pub delay_told_at: Option<Timestamp>,
}

/// An operator keeps a message from being delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Since when.
    pub at: Timestamp,
    /// Who, in his own words.
    pub by: String,
    /// Why, in his own words; empty when he gave no reason.
    pub reason: String,
}

/// Where the octets of a body are and what they must add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The log indices whose entries carried the body's pieces, in order. Empty for an empty body.
    pub pieces: Vec<u64>,
    /// Octets in all.
    pub size: u64,
    /// What they hash to.
    pub digest: Digest,
}

/// Who brought a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The peer of the TCP connection.
    pub address: SocketAddr,
    /// The argument of EHLO or HELO.
    pub helo: String,
    /// TLS version and cipher suite, when TLS ran: `TLSv1.3 TLS13_AES_256_GCM_SHA384`.
    pub tls: Option<String>,
}

impl Client {
    /// Nobody: a node has written the message itself. `hostname` is the node's.
    #[must_use]
    pub fn nobody(hostname: &str) -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            helo: hostname.to_owned(),
            tls: None,
        }
    }

    /// Whether a node has written the message itself, so that there is no client to tell of.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.address.ip().is_unspecified()
    }
}

/// One forward-path and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The address as it was given.
    pub path: ForwardPath,
    /// What the sender said about reports on him.
    pub dsn: dsn::PerRecipient,
    /// The policy's domain that it falls under (`example.com`, `*.example.com`): the queue it
    /// stands in.
    pub domain: String,
    /// How far it has come.
    pub status: Status,
    /// The host that was last asked to take it for him; empty when none was, or it was not told.
    pub host: String,
    /// When an operator wanted it to be delivered to him once more; `None` when none ever did.
    pub replayed_at: Option<Timestamp>,
    /// What the sender is still to be told of him.
    pub owed: Option<notice::Kind>,
}

/// What is known about one recipient's delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not tried, or to be tried again at once.
    Pending,
    /// Tried without success, to be tried again.
    Deferred {
        /// Not before this moment, unless flushed.
        until: Timestamp,
        /// The primary's words, or what went wrong before it could speak.
        reason: String,
    },
    /// The primary has taken it.
    Delivered {
        /// When.
        at: Timestamp,
        /// The primary's words.
        reply: String,
    },
    /// The primary refused it for good. Kept until the sender is told, or else for the postmaster to see.
    Rejected {
        /// When.
        at: Timestamp,
        /// The primary's words.
        reply: String,
    },
    /// It was refused, and that has been told.
    Returned {
        /// When it was told.
        at: Timestamp,
        /// The primary's words.
        reply: String,
        /// The message that tells it; `None` when there is nobody to tell, as it is such a message itself.
        report: Option<MessageId>,
    },
}

impl Status {
    /// Whether nothing more will be tried for this recipient.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Pending | Self::Deferred { .. } => false,
            Self::Delivered { .. } | Self::Rejected { .. } | Self::Returned { .. } => true,
        }
    }
}

/// Where a message stands in one domain's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// May be tried now, in order of arrival.
    Waiting,
    /// Not before this moment.
    Deferred(Timestamp),
    /// Not before an operator releases it.
    Held,
    /// Only refused recipients are left.
    Rejected,
}

impl Standing {
    /// When a message that stands there is due, 0 being now; `None` when nothing is to be
    /// delivered.
    #[must_use]
    pub const fn due(self) -> Option<Timestamp> {
        match self {
            Self::Waiting => Some(Timestamp(0)),
            Self::Deferred(until) => Some(until),
            Self::Held | Self::Rejected => None,
        }
    }
}

impl Message {
    /// Whether its reverse-path is known not to be forged, so that a report to it is no backscatter:
    /// what `dsn = "authenticated"` asks. Without evidence it is not known.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        let evidence = self.authentication.as_ref();
        evidence.is_some_and(|evidence| evidence.proves(&self.reverse_path))
    }

    /// Where the message stands for a domain; `None` when nothing is left to do or to show there.
    #[must_use]
    pub fn standing(&self, domain: &str) -> Option<Standing> {
        let statuses = || {
            self.recipients
                .iter()
                .filter(|r| r.domain == domain)
                .map(|r| &r.status)
        };
        if self.hold.is_some() && statuses().any(|status| !status.is_final()) {
            return Some(Standing::Held);
        }
        if statuses().any(|status| matches!(status, Status::Pending)) {
            return Some(Standing::Waiting);
        }
        let until = statuses().filter_map(|status| match status {
            Status::Deferred { until, .. } => Some(*until),
            _ => None,
        });
        if let Some(until) = until.min() {
            return Some(Standing::Deferred(until));
        }
        statuses()
            .any(|status| matches!(status, Status::Rejected { .. }))
            .then_some(Standing::Rejected)
    }

    /// Whether it was only kept for the postmaster, and now has been for long enough. Who has got it may get it once
    /// more as long as any that was delivered.
    #[must_use]
    pub fn has_lapsed(&self, keeping: &Keeping, now: Timestamp) -> bool {
        // Nothing was settled before it came: who says so has a clock that was behind.
        let since = |at: Timestamp| at.max(self.received_at);
        let has_lapsed = |recipient: &Recipient| {
            recipient.owed.is_none()
                && match recipient.status {
                    Status::Pending | Status::Deferred { .. } => false,
                    Status::Delivered { at, .. } => {
                        since(at) <= now.before(keeping.retain_delivered)
                    }
                    Status::Rejected { at, .. } | Status::Returned { at, .. } => {
                        since(at) <= now.before(keeping.retain_rejected)
                    }
                }
        };
        self.hold.is_none() && self.recipients.iter().all(has_lapsed)
    }

    /// The domains it has recipients in, each once, in the order of the envelope.
    #[must_use]
    pub fn domains(&self) -> Vec<&str> {
        let mut domains: Vec<&str> = Vec::with_capacity(1);
        for recipient in &self.recipients {
            if !domains.contains(&recipient.domain.as_str()) {
                domains.push(&recipient.domain);
            }
        }
        domains
    }
}
