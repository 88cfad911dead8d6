//! What operators ask.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use api::peer::v1::{Follower, FollowersRequest, FollowersResponse};
use spool::{
    Command, Expiry, Fact, HistoryTotals, Intake as _, Learned, Lessons, Message, MessageId,
    Outage, Timestamp, view::Known,
};
use tokio::time::timeout;

use crate::{
    Cluster, ClusterStatus, Expiring, MemberStatus, Trace, codec, limits, raft, store::Tables,
};

/// Why a request of an operator was not done.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No quorum answered in time. What was proposed is in the log of the leader, and may be done later.
    #[error(
        "no quorum of nodes answered in time; it may still be done once one does; `layover cluster status` shows \
         who is there"
    )]
    NoQuorum,
    /// This node does not know the spool yet.
    #[error(
        "node {0} has no spool to copy yet: it has not caught up with its cluster; ask another node"
    )]
    NoSpool(u64),
    /// The store failed.
    #[error("reading the spool failed: {0}")]
    Storage(#[from] io::Error),
}

impl Cluster {
    /// This node's id.
    #[must_use]
    pub fn node_id(&self) -> u64 {
        self.0.config.node_id
    }

    /// The cluster as this node sees it; on a follower, lag and silence come from the leader. Without a quorum
    /// nobody is told to lead: who led before may be gone, or have been deposed.
    pub async fn status(&self) -> ClusterStatus {
        let metrics = raft::metrics(&self.0.raft);
        let mut leadership = *self.0.signals.leadership.borrow();
        if !self.0.signals.in_quorum.load(Ordering::Relaxed) {
            leadership.leader = None;
            leadership.leading = false;
        }
        let last_log_index = metrics.last_log_index.unwrap_or(0);
        // What only the leader knows. Empty when there is none, or it does not answer.
        let told = match leadership.leader {
            Some(leader) => self.ask_leader(leader).await.unwrap_or_default(),
            None => FollowersResponse::default(),
        };
        let courses = match leadership.leading {
            true => self.0.config.courses.courses().into_iter().collect(),
            false => told.courses.into_iter().map(codec::course_from).collect(),
        };
        let leader_disk = told.room.map(codec::room_from);
        let followers = told.followers.into_iter();
        let followers: BTreeMap<u64, Follower> = followers
            .map(|follower| (follower.node_id, follower))
            .collect();
        let membership = &metrics.membership_config;
        // While voters change there are two sets of them; who is in one only is about to come or go.
        let votes = |id: &u64| {
            let mut sets = membership.get_joint_config().iter();
            sets.all(|voters| voters.contains(id))
        };
        let members = membership.nodes().map(|(id, member)| {
            let follower = followers.get(id);
            let leads = leadership.leader == Some(*id);
            MemberStatus {
                id: *id,
                address: member.address.clone(),
                voter: votes(id),
                lag: if leads {
                    Some(0)
                } else {
                    follower.map(|follower| last_log_index.saturating_sub(follower.matched_index))
                },
                silent_ms: if leads {
                    Some(0)
                } else {
                    follower.map(|follower| follower.silent_ms)
                },
                disk: if *id == self.0.config.node_id {
                    Some(self.0.space.own())
                } else if leads {
                    leader_disk
                } else {
                    follower
                        .and_then(|follower| follower.room)
                        .map(codec::room_from)
                },
            }
        });
        ClusterStatus {
            cluster: self.0.tables.figures().cluster,
            node_id: self.0.config.node_id,
            leadership,
            accepting: self.ready().is_ok(),
            last_log_index,
            last_applied_index: metrics.last_applied.map_or(0, |applied| applied.index),
            disk: self.0.space.own(),
            disks_full: self.0.space.is_full(),
            members: members.collect(),
            courses,
        }
    }

    async fn ask_leader(&self, leader: u64) -> Option<FollowersResponse> {
        let metrics = raft::metrics(&self.0.raft);
        let member = metrics.membership_config.get_node(&leader)?;
        let mut client = self.0.peers.client(&member.address, Some(leader)).ok()?;
        let asked = client.followers(FollowersRequest {});
        let answer = timeout(limits::PEER_REPLY_TIMEOUT, asked).await.ok()?;
        answer.ok().map(tonic::Response::into_inner)
    }

    /// When the oldest message of a domain that is still to be delivered was received.
    ///
    /// # Errors
    /// The store failed.
    pub async fn oldest(&self, domain: &str) -> Result<Option<Timestamp>, RequestError> {
        let domain = domain.to_owned();
        let oldest = self.read(move |tables| tables.oldest(&domain)).await?;
        Ok(oldest.map(|message| message.received_at))
    }

    /// The outages of a domain that have ended, in order of their beginnings; they may overlap.
    ///
    /// # Errors
    /// The store failed.
    pub async fn outages(&self, domain: &str) -> Result<Vec<Outage>, RequestError> {
        let domain = domain.to_owned();
        self.read(move |tables| tables.outages(&domain)).await
    }

    /// Messages of all domains in order of arrival, those behind place `after`, at most `limit`.
    ///
    /// # Errors
    /// The store failed.
    pub async fn messages(&self, after: u64, limit: usize) -> Result<Vec<Message>, RequestError> {
        let limit = limit.min(limits::READ_MESSAGES_MAX);
        self.read(move |tables| tables.messages(after, limit)).await
    }

    /// The same the other way round: those in front of place `before`, the last first, at most `limit`.
    ///
    /// # Errors
    /// The store failed.
    pub async fn messages_before(
        &self,
        before: u64,
        limit: usize,
    ) -> Result<Vec<Message>, RequestError> {
        let limit = limit.min(limits::READ_MESSAGES_MAX);
        let read = move |tables: &Tables| tables.messages_before(before, limit);
        self.read(read).await
    }

    /// One message; `None` when it is not in the spool, or not any more.
    ///
    /// # Errors
    /// The store failed.
    pub async fn message(&self, id: MessageId) -> Result<Option<Message>, RequestError> {
        let find = move |tables: &Tables| match tables.known(id)? {
            Some(Known::Queued(sequence)) => tables.message(sequence),
            Some(Known::Departed(_) | Known::Repeat { .. }) | None => Ok(None),
        };
        self.read(find).await
    }

    /// A piece of a message's body, one of `message.body.pieces`; `None` when it is not there any more.
    ///
    /// # Errors
    /// The store failed.
    pub async fn body_piece(&self, piece: u64) -> Result<Option<Vec<u8>>, RequestError> {
        self.read(move |tables| tables.piece(piece)).await
    }

    /// What is known of a message by its id, whether it is in the spool or has left; `None` when nothing
    /// is, or not any more.
    ///
    /// # Errors
    /// The store failed.
    pub async fn trace(&self, id: MessageId) -> Result<Option<Trace>, RequestError> {
        self.read(move |tables| tables.trace(id)).await
    }

    /// When a message is given up; `None` while it is held, and when nothing of it is to be delivered any more.
    ///
    /// # Errors
    /// The store failed.
    pub async fn expiry(&self, message: &Message) -> Result<Option<Expiry>, RequestError> {
        if message.hold.is_some() {
            return Ok(None);
        }
        let domains: Vec<String> = message.undelivered_domains().map(str::to_owned).collect();
        let (counts_from, now) = (message.counts_from(), self.0.clock.now());
        let expiry = move |tables: &Tables| {
            let expiries = domains.iter().map(|domain| {
                let ageing = tables.ageing(domain, now)?;
                Ok(ageing.expiry(counts_from))
            });
            let expiries = expiries.collect::<io::Result<Vec<Expiry>>>()?;
            Ok(expiries.into_iter().min_by_key(|expiry| expiry.at))
        };
        self.read(expiry).await
    }

    /// The domains whose primaries this node probes because they are down, and whether it reached them the
    /// last time.
    #[must_use]
    pub fn reached(&self) -> Vec<(String, bool)> {
        self.0.findings.last(Instant::now())
    }

    /// How many octets must stay free on this node's disk so that mail is taken.
    #[must_use]
    pub fn least_free_bytes(&self) -> u64 {
        self.0.space.least_free()
    }

    /// A domain's messages that expire soon, as they were counted some seconds ago; `None` when none do.
    #[must_use]
    pub fn expiring(&self, domain: &str) -> Option<Expiring> {
        let counted = self.0.expiring.lock();
        let counted = counted.unwrap_or_else(PoisonError::into_inner);
        counted.get(domain).copied()
    }

    /// The first octets of a message's body, at most `limit`: enough for its header.
    ///
    /// # Errors
    /// The store failed.
    pub async fn head(&self, message: &Message, limit: usize) -> Result<Vec<u8>, RequestError> {
        let Some(first) = message.body.pieces.first().copied() else {
            return Ok(Vec::new());
        };
        let octets = self.read(move |tables| tables.piece(first)).await?;
        let mut octets = octets.unwrap_or_default();
        octets.truncate(limit);
        Ok(octets)
    }

    /// Makes deferred messages due now and wakes the probe; of one domain, or of all.
    ///
    /// # Errors
    /// No quorum answered in time.
    pub async fn flush(&self, domain: Option<String>) -> Result<(), RequestError> {
        let flush = Command::Flush {
            domain,
            at: self.0.clock.now(),
        };
        self.ask(flush, limits::REQUEST_TIMEOUT).await
    }

    /// What is known of a domain's recipients, in order of their addresses: those behind one, at most
    /// `limit`. Start with an empty address.
    ///
    /// # Errors
    /// The store failed.
    pub async fn recipients(
        &self,
        domain: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Learned)>, RequestError> {
        let (domain, after) = (domain.to_owned(), after.to_owned());
        let limit = limit.min(limits::READ_RECIPIENTS_MAX);
        self.read(move |tables| tables.recipients(&domain, &after, limit))
            .await
    }

    /// What is known of one recipient of a domain.
    ///
    /// # Errors
    /// The store failed.
    pub async fn recipient(
        &self,
        domain: &str,
        address: &str,
    ) -> Result<Option<Learned>, RequestError> {
        let (domain, address) = (domain.to_owned(), address.to_owned());
        self.read(move |tables| tables.recipient(&domain, &address))
            .await
    }

    /// Has facts of recipients recorded, an operator's, however many.
    ///
    /// # Errors
    /// No quorum answered in time; those before may be recorded.
    pub async fn teach(&self, facts: &[Fact]) -> Result<(), RequestError> {
        for facts in facts.chunks(limits::FACTS_PER_LESSON_MAX) {
            let lessons = Lessons {
                at: self.0.clock.now(),
                policy_version: self.0.tables.figures().policy_version(),
                facts: facts.to_vec(),
            };
            self.ask(Command::Learn(lessons), limits::REQUEST_TIMEOUT)
                .await?;
        }
        Ok(())
    }

    async fn ask(&self, command: Command, within: Duration) -> Result<(), RequestError> {
        match timeout(within, self.0.proposer.propose(command)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(RequestError::NoQuorum),
        }
    }

    /// How many messages a sender may send again because it may not have read their 250.
    #[must_use]
    pub fn unconfirmed(&self) -> u64 {
        self.0.tables.figures().unconfirmed as u64
    }

    /// Messages whose senders are still to be told what became of them.
    #[must_use]
    pub fn notices_owed(&self) -> u64 {
        self.0.tables.figures().owed
    }

    /// Octets on the disk, by what they are for.
    #[must_use]
    pub fn storage_bytes(&self) -> Vec<(&'static str, u64)> {
        self.0.store.now().bytes_by_kind()
    }

    /// Octets of the entries in this node's log, with the pieces of bodies that they carried.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.0.log_size.bytes()
    }

    /// How much is remembered of what has left, and how much of it is kept.
    #[must_use]
    pub fn history(&self) -> HistoryTotals {
        self.0.tables.figures().history
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Tables) -> io::Result<T> + Send + 'static,
    ) -> Result<T, RequestError> {
        let tables = Arc::clone(&self.0.tables);
        let read = tokio::task::spawn_blocking(move || read(&tables)).await;
        Ok(read.map_err(io::Error::other)??)
    }
}
