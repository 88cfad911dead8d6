//! What openraft sends to other nodes.

use std::{
    future::Future,
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{Stream, StreamExt as _, future::BoxFuture, stream::BoxStream};
use openraft::{
    RaftNetworkFactory, RaftNetworkV2,
    async_runtime::watch::WatchReceiver as _,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::RPCOption,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
        TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};
use tokio::time::timeout;

use super::{
    append,
    connect::{PeerClient, Peers},
    contact::Contact,
    gathering::{Acknowledged, gathered},
    snapshot,
};
use crate::{
    codec::{self, CodecError},
    leadership, limits,
    raft::{LogId, Member, RaftMetricsWatch, Types, Vote},
    space::Space,
    store::{GROUP, SnapshotData, Tables},
};

type Snapshot = openraft::alias::SnapshotOf<Types, SnapshotData>;

/// Makes a client for each peer and purpose, each with a connection of its own: heartbeats never
/// wait behind bodies, nor either behind a snapshot.
#[derive(Clone)]
pub(crate) struct Network {
    peers: Peers,
    state: RaftState,
    space: Arc<Space>,
}

/// What consensus says of itself; known as soon as it runs.
pub(crate) type RaftState = Arc<OnceLock<RaftMetricsWatch>>;

impl Network {
    pub(crate) const fn new(peers: Peers, state: RaftState, space: Arc<Space>) -> Self {
        Self {
            peers,
            state,
            space,
        }
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = PeerLink;

    async fn new_client(&mut self, target: u64, member: &Member) -> PeerLink {
        let client = self.peers.client(&member.address, Some(target));
        PeerLink {
            target,
            address: member.address.clone(),
            client: client.map_err(|error| error.to_string()),
            contact: self.peers.contacts().with(target, &member.address),
            network: self.clone(),
        }
    }
}

/// The way to one peer for one purpose.
pub(crate) struct PeerLink {
    target: u64,
    address: String,
    /// Or why the member's address can not be used.
    client: Result<PeerClient, String>,
    contact: Contact,
    network: Network,
}

impl PeerLink {
    /// Shares the connection, to where the member is by now: openraft keeps a link for as long as
    /// the member stays, also when its address changes.
    fn client(&mut self) -> Result<PeerClient, RPCError<Types>> {
        let state = self.network.state.get();
        let address = state.and_then(|state| {
            let state = state.borrow_watched();
            let member = state.membership_config.get_node(&self.target)?;
            (member.address != self.address).then(|| member.address.clone())
        });
        if let Some(address) = address {
            let client = self.network.peers.client(&address, Some(self.target));
            self.client = client.map_err(|error| error.to_string());
            self.contact = self.network.peers.contacts().with(self.target, &address);
            self.address = address;
        }
        self.client.clone().map_err(unreachable)
    }

    /// Awaits a vote. That a member is down is no news here; that it turns this node away is.
    async fn vote_of(
        &self,
        call: impl Future<Output = Result<tonic::Response<api::peer::v1::VoteResponse>, tonic::Status>>,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let call = async {
            call.await.inspect_err(|status| {
                if status.code() == tonic::Code::PermissionDenied {
                    self.contact.refused(status.message());
                }
            })
        };
        vote_response_from(in_time(limits::PEER_REPLY_TIMEOUT, call).await?).map_err(garbled)
    }
}

/// How long ago the leader that appends had a sign of its quorum.
fn quorum_silence(state: &RaftState) -> Duration {
    let silence = state
        .get()
        .and_then(|state| leadership::quorum_silence(None, &state.borrow_watched()));
    // A leader that nobody has acknowledged yet was elected just now.
    silence.unwrap_or_default()
}

/// The version of the policy in force, once a leader knows it: before it has applied an entry of its own
/// term, a later one may be among those that it has yet to apply.
fn policy_version(state: &RaftState, tables: &Tables) -> u64 {
    let leads = |state: &RaftMetricsWatch| leadership::of(&state.borrow_watched()).leading;
    if state.get().is_some_and(leads) {
        tables.figures().policy_version()
    } else {
        0
    }
}

fn acknowledgements(state: &RaftState) -> Vec<(u64, LogId)> {
    let acknowledged =
        |state: &RaftMetricsWatch| leadership::acknowledged(&state.borrow_watched()).collect();
    state.get().map(acknowledged).unwrap_or_default()
}

/// A peer that can not be talked to now: openraft waits a little before it tries again.
fn unreachable(status: impl ToString) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::from_string(status))
}

fn garbled(error: CodecError) -> RPCError<Types> {
    RPCError::Network(NetworkError::new(&error))
}

async fn in_time<T>(
    span: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, RPCError<Types>> {
    match timeout(span, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(unreachable(status)),
        Err(_) => Err(unreachable(format!("no answer within {span:?}"))),
    }
}

fn vote_request_to(request: VoteRequest<Types>) -> api::peer::v1::VoteRequest {
    api::peer::v1::VoteRequest {
        group: GROUP,
        vote: Some(codec::vote_to(&request.vote)),
        last_log_id: request.last_log_id.map(codec::log_id_to),
        leadership_transfer: request.leadership_transfer,
    }
}

pub(super) fn vote_response_from(
    response: api::peer::v1::VoteResponse,
) -> Result<VoteResponse<Types>, CodecError> {
    let vote = codec::vote_from(response.vote)?;
    Ok(VoteResponse::new(
        vote,
        response.last_log_id.map(codec::log_id_from),
        response.granted,
    ))
}

impl RaftNetworkV2<Types> for PeerLink {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let mut answers = self
            .stream_append(futures::stream::iter([request]), option)
            .await?;
        match answers.next().await {
            Some(answer) => Ok(AppendEntriesResponse::from(answer?)),
            None => Err(unreachable("the peer closed the stream without an answer")),
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>, RPCError<Types>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
    {
        Box::pin(async move {
            let mut client = self.client()?;
            // openraft waits after errors by holding back the first request, so it comes before
            // the connection: a peer that is gone would be tried without a pause.
            let mut input = input;
            let Some(first) = input.next().await else {
                return Ok(futures::stream::empty().boxed());
            };
            let input = futures::stream::iter([first]).chain(input);
            let (acknowledged, input) = gathered(input);
            let unanswered = Arc::new(AtomicU64::new(0));
            let sent = Arc::clone(&unanswered);
            let state = Arc::clone(&self.network.state);
            let space = Arc::clone(&self.network.space);
            let tables = Arc::clone(&self.network.peers.identity().tables);
            let requests = input.map(move |request| {
                sent.fetch_add(1, Ordering::Relaxed);
                let acknowledgements = if request.entries.is_empty() {
                    acknowledgements(&state)
                } else {
                    Vec::new()
                };
                append::request_to(
                    request,
                    quorum_silence(&state),
                    space.is_full(),
                    acknowledgements,
                    policy_version(&state, &tables),
                )
            });
            let answers = in_time(limits::PEER_REPLY_TIMEOUT, client.append(requests))
                .await
                .inspect_err(|error| self.contact.failed(error))?;
            let watched = Watched {
                target: self.target,
                contact: self.contact.clone(),
                space: Arc::clone(&self.network.space),
                answers,
                unanswered,
                acknowledged,
            };
            let answers = futures::stream::unfold(Some(watched), |watched| async {
                let mut watched = watched?;
                let answer = watched.next().await?;
                let go_on = matches!(answer, Ok(Ok(_)));
                Some((answer, go_on.then_some(watched)))
            });
            Ok(answers.boxed())
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let mut client = self.client()?;
        self.vote_of(client.vote(vote_request_to(request))).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let mut client = self.client()?;
        self.vote_of(client.pre_vote(vote_request_to(request)))
            .await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let SnapshotData::Outgoing(outgoing) = snapshot.snapshot else {
            let error = io::Error::other("a snapshot that was just received can not be sent");
            return Err(NetworkError::new(&error).into());
        };
        tokio::select! {
            sent = snapshot::send(self.client()?, &vote, outgoing) => {
                Ok(SnapshotResponse::new(sent.map_err(unreachable)?))
            }
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        _option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let mut client = self.client()?;
        let from_leader = *request.from_leader();
        let message = api::peer::v1::TransferLeaderRequest {
            group: GROUP,
            from_leader: Some(codec::vote_to(&from_leader)),
            to_node_id: *request.to_node_id(),
            last_log_id: request.last_log_id().copied().map(codec::log_id_to),
        };
        let answer = in_time(limits::PEER_REPLY_TIMEOUT, client.transfer_leader(message)).await?;
        match answer.refused {
            None => Ok(Ok(())),
            Some(why) => Err(unreachable(why)),
        }
    }
}

/// Answers to appends, given up when the peer stays silent although some are due. An idle stream
/// may be silent for ever.
struct Watched {
    target: u64,
    contact: Contact,
    space: Arc<Space>,
    answers: tonic::Streaming<api::peer::v1::AppendResponse>,
    unanswered: Arc<AtomicU64>,
    acknowledged: Acknowledged,
}

impl Watched {
    async fn next(&mut self) -> Option<Result<StreamAppendResult<Types>, RPCError<Types>>> {
        let answer = self.next_in_time().await?;
        match &answer {
            Ok(answer) => {
                self.contact.answered();
                self.acknowledged.note(answer);
            }
            Err(error) => self.contact.failed(error),
        }
        Some(answer)
    }

    async fn next_in_time(&mut self) -> Option<Result<StreamAppendResult<Types>, RPCError<Types>>> {
        loop {
            let waited_for = self.unanswered.load(Ordering::Relaxed) > 0;
            match timeout(limits::APPEND_REPLY_TIMEOUT, self.answers.next()).await {
                Ok(None) => return None,
                Ok(Some(Ok(answer))) => {
                    self.unanswered.fetch_sub(1, Ordering::Relaxed);
                    if let Some(room) = append::room_of(&answer) {
                        self.space.heard(self.target, room);
                    }
                    return Some(append::answer_from(answer).map_err(garbled));
                }
                Ok(Some(Err(status))) => return Some(Err(unreachable(status))),
                Err(_) if waited_for => {
                    let silent = limits::APPEND_REPLY_TIMEOUT;
                    return Some(Err(unreachable(format!("no answer within {silent:?}"))));
                }
                Err(_) => {}
            }
        }
    }
}
