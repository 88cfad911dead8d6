//! What other nodes ask of this one.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use api::peer::v1::{self as pb, peer_server::Peer};
use futures::{Stream, StreamExt as _, stream::BoxStream};
use openraft::{
    Instant as _,
    raft::{TransferLeaderRequest, VoteRequest},
};
use spool::{Clock, Courses, ports::MailHost};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{Callers, Identity, Peers, append, change, identity, receive, rights, rights::Rights};
use crate::{
    certificates::{self, CertificateEnd},
    codec::{self, CodecError},
    config::{Config, Founding},
    leadership, limits,
    membership::{self, Changer, Tried},
    raft::{Proposal, Raft, Types},
    reach::Findings,
    space::Space,
    store::{self, GROUP},
    voting::{NoVote, Voting},
    witness::Witness,
};

/// This node's end of the talk between peers.
pub(crate) struct Served {
    raft: Raft,
    identity: Identity,
    /// Where nodes have certificates.
    callers: Option<Callers>,
    mail_host: MailHost,
    certificates: watch::Receiver<Vec<CertificateEnd>>,
    rights: Rights,
    voting: Voting,
    changer: Changer,
    /// Whether this node founds nothing, so that it waits to be added while its log is empty.
    joins: bool,
    signs: Signs,
    /// When this node was started.
    began: Instant,
    /// Octets that others have passed to this leader and that are not committed yet, in KiB.
    passed: Arc<Semaphore>,
    stop: CancellationToken,
}

/// Where is noted what a leader's appends tell besides entries, and what callers ask for.
#[derive(Clone)]
pub(crate) struct Signs {
    /// When a leader was last heard from since the start.
    pub(crate) heard: watch::Sender<Option<Instant>>,
    /// The version of the policy in force, as the leader told it last.
    pub(crate) told_policy: watch::Sender<u64>,
    /// Whether there is room for mail.
    pub(crate) space: Arc<Space>,
    /// What members have acknowledged.
    pub(crate) witness: Arc<Witness>,
    /// Which primaries this node reaches, and when leadership was moved for it.
    pub(crate) findings: Arc<Findings>,
    /// How this node's deliveries are getting on.
    pub(crate) courses: Arc<dyn Courses>,
    /// What time it is here.
    pub(crate) clock: Clock,
}

impl Served {
    pub(crate) fn new(
        config: &Config,
        raft: Raft,
        peers: &Peers,
        voting: Voting,
        changer: Changer,
        signs: Signs,
        stop: CancellationToken,
    ) -> Self {
        let passed = Arc::new(Semaphore::new(limits::PROPOSED_BYTES_MAX / 1024));
        Self {
            callers: Callers::of(config, raft.metrics()),
            mail_host: config.mail_host.clone(),
            certificates: config.certificates.clone(),
            rights: Rights::new(raft.metrics(), peers.clone()),
            raft,
            identity: peers.identity().clone(),
            voting,
            changer,
            joins: matches!(config.founding, Founding::Join(_)),
            signs,
            began: Instant::now(),
            passed,
            stop,
        }
    }

    fn check<T>(&self, request: &Request<T>) -> Result<u64, Status> {
        let from = self.identity.check(request.metadata())?;
        if let Some(callers) = &self.callers {
            let certificates = request.peer_certs();
            let certificates = certificates.as_ref().map_or(&[][..], |chain| chain);
            callers.check(from, identity::address(request.metadata()), certificates)?;
        }
        Ok(from)
    }

    /// As [`Self::check`], for what members only may ask.
    fn check_member<T>(&self, request: &Request<T>) -> Result<u64, Status> {
        let from = self.check(request)?;
        self.rights.check_member(from)?;
        Ok(from)
    }

    /// As [`Self::check`], for what goes to consensus.
    async fn check_consensus<T>(&self, request: &Request<T>) -> Result<u64, Status> {
        let from = self.check(request)?;
        self.rights.check_consensus(from).await?;
        Ok(from)
    }

    /// Waits until this node may acknowledge what it is sent.
    async fn before_acknowledging(&self) -> Result<(), Status> {
        let asked = self.voting.others_were_asked();
        let asked = self.stop.run_until_cancelled(asked).await;
        asked.ok_or_else(|| Status::unavailable("shutting down"))
    }

    async fn propose_all(
        &self,
        commands: Vec<spool::Command>,
    ) -> Result<Vec<pb::Proposed>, Status> {
        use pb::proposed::Result as Kind;
        let count = commands.len();
        let proposals = commands.into_iter().map(Proposal);
        let mut answers = self
            .raft
            .client_write_many(proposals)
            .await
            .map_err(stopped)?;
        let mut results = Vec::with_capacity(count);
        while let Some(answer) = answers.next().await {
            let kind = match answer.map_err(stopped)? {
                Ok(written) => match written.response.0 {
                    Some(outcome) => Kind::Outcome(codec::outcome_to(&outcome)),
                    None => Kind::NotLeading(pb::NotLeading { leader: None }),
                },
                Err(error) => {
                    let leader = openraft::TryAsRef::try_as_ref(&error).and_then(
                        |forward: &openraft::errors::ForwardToLeader<Types>| forward.leader_id,
                    );
                    Kind::NotLeading(pb::NotLeading { leader })
                }
            };
            results.push(pb::Proposed { result: Some(kind) });
        }
        Ok(results)
    }
}

fn garbled(error: CodecError) -> Status {
    Status::invalid_argument(error.to_string())
}

fn stopped(error: impl std::fmt::Display) -> Status {
    Status::unavailable(format!("this node has stopped: {error}"))
}

fn not_now(why: NoVote) -> Status {
    Status::unavailable(why.to_string())
}

fn right_group(group: u32) -> Result<(), Status> {
    if group == GROUP {
        Ok(())
    } else {
        Err(Status::failed_precondition(format!(
            "there is no group {group} here"
        )))
    }
}

pub(super) fn vote_request_from(
    from: u64,
    request: pb::VoteRequest,
) -> Result<VoteRequest<Types>, Status> {
    right_group(request.group)?;
    let vote = codec::vote_from(request.vote).map_err(garbled)?;
    rights::check_own(&vote, from)?;
    let mut asked = VoteRequest::new(vote, request.last_log_id.map(codec::log_id_from));
    asked.leadership_transfer = request.leadership_transfer;
    Ok(asked)
}

fn vote_response_to(response: &openraft::raft::VoteResponse<Types>) -> pb::VoteResponse {
    pb::VoteResponse {
        vote: Some(codec::vote_to(&response.vote)),
        granted: response.vote_granted,
        last_log_id: response.last_log_id.map(codec::log_id_to),
    }
}

/// The requests of a stream up to the first that makes no sense, each noted as a sign of the quorum
/// as far as its sender had one, and for what it says of the room on the disks.
fn understood(
    from: u64,
    requests: Streaming<pb::AppendRequest>,
    signs: Signs,
) -> impl Stream<Item = openraft::raft::AppendEntriesRequest<Types>> + Send + 'static {
    let requests = requests.map(move |request| {
        let request = request.ok().filter(|request| request.group == GROUP)?;
        let silence = Duration::from_millis(request.quorum_silent_ms);
        let disks_full = request.disks_full;
        let policy_version = request.policy_version;
        let acknowledgements: Vec<_> = append::acknowledgements_of(&request).collect();
        let request = append::request_from(request)
            .inspect_err(|error| tracing::error!(%error, "an append makes no sense"))
            .ok()?;
        rights::check_own(&request.vote, from)
            .inspect_err(|status| tracing::error!(%status, "an append makes no sense"))
            .ok()?;
        signs.told_policy.send_replace(policy_version);
        signs.space.told(disks_full);
        signs.witness.note(acknowledgements);
        let sign = Instant::now().checked_sub(silence);
        signs.heard.send_if_modified(|last| {
            let later = sign > *last;
            *last = sign.max(*last);
            later
        });
        Some(request)
    });
    requests
        .take_while(|request| std::future::ready(request.is_some()))
        .filter_map(std::future::ready)
}

#[tonic::async_trait]
impl Peer for Served {
    type AppendStream = BoxStream<'static, Result<pb::AppendResponse, Status>>;

    async fn append(
        &self,
        request: Request<Streaming<pb::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let from = self.check_consensus(&request).await?;
        self.before_acknowledging().await?;
        // A leader keeps its stream open for ever, so it is this end that closes it at a shutdown.
        let space = Arc::clone(&self.signs.space);
        let requests = understood(from, request.into_inner(), self.signs.clone())
            .take_until(self.stop.clone().cancelled_owned());
        let answers = self.raft.stream_append(Box::pin(requests));
        let answers = answers.map(move |answer| match answer {
            Ok(answer) => Ok(append::answer_to(answer, space.own())),
            Err(fatal) => Err(stopped(fatal)),
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn vote(
        &self,
        request: Request<pb::VoteRequest>,
    ) -> Result<Response<pb::VoteResponse>, Status> {
        let from = self.check_consensus(&request).await?;
        let asked = vote_request_from(from, request.into_inner())?;
        self.voting
            .check(asked.leadership_transfer)
            .map_err(not_now)?;
        let response = self.raft.vote(asked).await.map_err(stopped)?;
        Ok(Response::new(vote_response_to(&response)))
    }

    async fn pre_vote(
        &self,
        request: Request<pb::VoteRequest>,
    ) -> Result<Response<pb::VoteResponse>, Status> {
        let from = self.check_consensus(&request).await?;
        let asked = vote_request_from(from, request.into_inner())?;
        self.voting.check(false).map_err(not_now)?;
        let response = self.raft.pre_vote(asked).await.map_err(stopped)?;
        Ok(Response::new(vote_response_to(&response)))
    }

    type InstallSnapshotStream = BoxStream<'static, Result<pb::SnapshotAnswer, Status>>;

    async fn install_snapshot(
        &self,
        request: Request<Streaming<pb::SnapshotChunk>>,
    ) -> Result<Response<Self::InstallSnapshotStream>, Status> {
        let from = self.check_consensus(&request).await?;
        self.before_acknowledging().await?;
        let store = Arc::clone(self.identity.tables.store());
        let answers = receive::receive(self.raft.clone(), store, from, request.into_inner());
        Ok(Response::new(answers.boxed()))
    }

    async fn transfer_leader(
        &self,
        request: Request<pb::TransferLeaderRequest>,
    ) -> Result<Response<pb::TransferLeaderResponse>, Status> {
        let from = self.check_consensus(&request).await?;
        let request = request.into_inner();
        right_group(request.group)?;
        self.voting.check(false).map_err(not_now)?;
        let from_leader = codec::vote_from(request.from_leader).map_err(garbled)?;
        rights::check_own(&from_leader, from)?;
        let transfer = TransferLeaderRequest::new(
            from_leader,
            request.to_node_id,
            request.last_log_id.map(codec::log_id_from),
        );
        let answer = self
            .raft
            .handle_transfer_leader(transfer)
            .await
            .map_err(stopped)?;
        let refused = answer.err().map(|error| error.to_string());
        Ok(Response::new(pb::TransferLeaderResponse { refused }))
    }

    async fn propose(
        &self,
        request: Request<pb::ProposeRequest>,
    ) -> Result<Response<pb::ProposeResponse>, Status> {
        self.check_member(&request)?;
        let request = request.into_inner();
        right_group(request.group)?;
        let kib = prost::Message::encoded_len(&request).div_ceil(1024);
        let kib = u32::try_from(kib).map_err(|_| Status::resource_exhausted("too large"))?;
        let _budget = self
            .passed
            .acquire_many(kib)
            .await
            .map_err(|_| Status::unavailable("shutting down"))?;
        let commands: Result<Vec<_>, _> = request
            .commands
            .into_iter()
            .map(codec::command_from)
            .collect();
        let results = self.propose_all(commands.map_err(garbled)?).await?;
        Ok(Response::new(pb::ProposeResponse { results }))
    }

    async fn hello(
        &self,
        request: Request<pb::HelloRequest>,
    ) -> Result<Response<pb::HelloResponse>, Status> {
        let from = self.check(&request)?;
        let cluster = self
            .identity
            .cluster()
            .map(|name| codec::id_to(spool::MessageId(name)));
        let metrics = crate::raft::metrics(&self.raft);
        let committed = leadership::of(&metrics)
            .leading
            .then_some(metrics.last_applied)
            .flatten();
        let about = request.into_inner().about;
        let knows = about.and_then(|id| rights::knows(&metrics.membership_config, id));
        let waits = self.joins && membership::is_blank(&metrics);
        let replication = metrics.replication.unwrap_or_default();
        let matched = replication.get(&from).copied().flatten();
        let acknowledged = matched.max(self.signs.witness.of(from));
        let addresses = self.mail_host.addresses.iter();
        Ok(Response::new(pb::HelloResponse {
            node_id: self.identity.node_id,
            cluster,
            last_index: metrics.last_log_index,
            acknowledged: acknowledged.map(codec::log_id_to),
            committed_index: committed.map(|log_id| log_id.index),
            waits,
            knows,
            withholds_vote: self.voting.check(false).is_err(),
            policy_version: self.identity.tables.figures().policy_version(),
            mail_hostname: self.mail_host.hostname.clone(),
            mail_addresses: addresses.map(ToString::to_string).collect(),
            now_ms: Some(self.signs.clock.now().0),
            certificates: Some(certificates::to(&self.certificates.borrow())),
        }))
    }

    async fn change(
        &self,
        request: Request<pb::ChangeRequest>,
    ) -> Result<Response<pb::ChangeResponse>, Status> {
        let from = self.check(&request)?;
        let request = request.into_inner();
        right_group(request.group)?;
        let passed_on = request.passed_on;
        let asked = change::request_from(request).map_err(garbled)?;
        self.rights.check_change(from, &asked, passed_on)?;
        let tried = if passed_on {
            let here = timeout(limits::CHANGE_TIMEOUT, self.changer.change_here(&asked));
            here.await.unwrap_or(Tried::Again)
        } else {
            self.changer.change(&asked).await
        };
        Ok(Response::new(change::answer_to(tried)))
    }

    async fn piece(
        &self,
        request: Request<pb::PieceRequest>,
    ) -> Result<Response<pb::PieceResponse>, Status> {
        self.check_member(&request)?;
        let pb::PieceRequest { group, index } = request.into_inner();
        right_group(group)?;
        let tables = Arc::clone(&self.identity.tables);
        let read = move || Ok((tables.piece(index)?, tables.log_id(index)?));
        let read = tokio::task::spawn_blocking(read).await;
        match read.map_err(io::Error::other).flatten() {
            Ok((Some(piece), log_id)) => Ok(Response::new(pb::PieceResponse {
                piece: piece.into(),
                log_id: log_id.map(codec::log_id_to),
            })),
            Ok((None, _)) => Err(Status::not_found("it has none")),
            Err(error) => Err(Status::data_loss(format!("it can not read it: {error}"))),
        }
    }

    async fn followers(
        &self,
        request: Request<pb::FollowersRequest>,
    ) -> Result<Response<pb::FollowersResponse>, Status> {
        self.check_member(&request)?;
        let metrics = crate::raft::metrics(&self.raft);
        let replication = metrics.replication.unwrap_or_default();
        let heartbeat = metrics.heartbeat.unwrap_or_default();
        // Who has not answered this leader at all has been silent at least since there was another one, or
        // since this node was started.
        let led_before = self.signs.heard.borrow().unwrap_or(self.began);
        let silent = |id: &u64| {
            let heard = heartbeat.get(id).copied().flatten();
            heard.map_or_else(|| led_before.elapsed(), |heard| heard.elapsed())
        };
        let followers = replication.iter().map(|(id, matched)| pb::Follower {
            node_id: *id,
            matched_index: matched.map_or(0, |matched| matched.index),
            silent_ms: u64::try_from(silent(id).as_millis()).unwrap_or(u64::MAX),
            room: self.signs.space.of_follower(*id).map(codec::room_to),
        });
        let courses = self.signs.courses.courses();
        Ok(Response::new(pb::FollowersResponse {
            followers: followers.collect(),
            room: Some(codec::room_to(self.signs.space.own())),
            courses: courses
                .into_iter()
                .take(limits::COURSES_TOLD_MAX)
                .map(codec::course_to)
                .collect(),
        }))
    }

    async fn reach(
        &self,
        request: Request<pb::ReachRequest>,
    ) -> Result<Response<pb::ReachResponse>, Status> {
        self.check_member(&request)?;
        let request = request.into_inner();
        right_group(request.group)?;
        let (findings, now) = (&self.signs.findings, Instant::now());
        if request.moves {
            findings.rest(now, limits::MOVE_REST);
        }
        let reached = findings.steady(true, now);
        Ok(Response::new(pb::ReachResponse { reached }))
    }

    async fn digest(
        &self,
        request: Request<pb::DigestRequest>,
    ) -> Result<Response<pb::DigestResponse>, Status> {
        self.check_member(&request)?;
        right_group(request.into_inner().group)?;
        let digest = store::digest(&self.identity.tables, &self.stop).await;
        let digest = digest
            .map_err(|error| Status::internal(format!("reading the spool failed: {error}")))?;
        Ok(Response::new(codec::digest_to(&digest)))
    }
}
