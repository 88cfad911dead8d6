//! Passing commands to the leader, gathered into few requests.

use std::collections::HashMap;

use api::peer::v1::{ProposeRequest, proposed};
use openraft::async_runtime::watch::WatchReceiver as _;
use spool::{Command, Outcome};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};

use tokio_util::sync::CancellationToken;

use crate::{
    codec, limits,
    peer::{PeerClient, Peers},
    raft::RaftMetricsWatch,
    store::GROUP,
};

/// A command on its way to the leader.
pub(crate) struct Pass {
    /// Who is believed to lead.
    pub(crate) leader: u64,
    pub(crate) command: Command,
    /// Gets the outcome, or `None` when it may not have been taken.
    pub(crate) answer: oneshot::Sender<Option<Outcome>>,
}

/// Where commands wait to be passed on.
pub(crate) type PassQueue = mpsc::Sender<Pass>;

/// Passes commands on until stopped. While requests are on their way, what arrives is
/// gathered for the next.
pub(crate) async fn pass_on(
    peers: Peers,
    members: RaftMetricsWatch,
    mut queue: mpsc::Receiver<Pass>,
    stop: CancellationToken,
) {
    let mut clients: HashMap<u64, (String, PeerClient)> = HashMap::new();
    let mut requests = JoinSet::new();
    while let Some(first) = stop.run_until_cancelled(queue.recv()).await.flatten() {
        while requests.len() >= limits::PASSES_IN_FLIGHT_MAX {
            requests.join_next().await;
        }
        while requests.try_join_next().is_some() {}
        let leader = first.leader;
        let mut gathered = Gathered::default();
        gathered.add(first);
        while !gathered.is_full()
            && let Ok(pass) = queue.try_recv()
        {
            gathered.add(pass);
        }
        if !gathered.commands.is_empty()
            && let Some(client) = client_of(leader, &peers, &members, &mut clients)
        {
            requests.spawn(send(client, gathered));
        }
    }
}

fn client_of(
    leader: u64,
    peers: &Peers,
    members: &RaftMetricsWatch,
    clients: &mut HashMap<u64, (String, PeerClient)>,
) -> Option<PeerClient> {
    let address = members
        .borrow_watched()
        .membership_config
        .get_node(&leader)
        .map(|member| member.address.clone())?;
    if let Some((known, client)) = clients.get(&leader)
        && *known == address
    {
        return Some(client.clone());
    }
    let client = peers
        .client(&address, Some(leader))
        .inspect_err(|error| tracing::warn!(%error, leader, address, "the leader's address is bad"))
        .ok()?;
    clients.insert(leader, (address, client.clone()));
    Some(client)
}

/// Commands for one request.
#[derive(Default)]
struct Gathered {
    commands: Vec<api::spool::v1::Command>,
    answers: Vec<oneshot::Sender<Option<Outcome>>>,
    bytes: usize,
}

impl Gathered {
    fn add(&mut self, pass: Pass) {
        // Nobody waits for it: its sender has been told to come again, and may be doing so elsewhere.
        if pass.answer.is_closed() {
            return;
        }
        self.bytes += pass.command.octets();
        self.commands.push(codec::command_to(pass.command));
        self.answers.push(pass.answer);
    }

    fn is_full(&self) -> bool {
        self.bytes >= limits::PASS_BYTES_MAX || self.commands.len() >= limits::PASS_COMMANDS_MAX
    }
}

/// Sends one request and tells everyone who waits for it. Whoever is not told (the sender is
/// dropped) asks again.
async fn send(mut client: PeerClient, gathered: Gathered) {
    let request = ProposeRequest {
        group: GROUP,
        commands: gathered.commands,
    };
    let response = match timeout(limits::PASS_REPLY_TIMEOUT, client.propose(request)).await {
        Ok(Ok(response)) => response.into_inner(),
        Ok(Err(status)) => {
            tracing::debug!(%status, "the leader did not take what was passed to it");
            return;
        }
        Err(_) => {
            tracing::debug!("the leader did not answer in time");
            return;
        }
    };
    for (answer, result) in gathered.answers.into_iter().zip(response.results) {
        let outcome = match result.result {
            Some(proposed::Result::Outcome(outcome)) => codec::outcome_from(outcome).ok(),
            Some(proposed::Result::NotLeading(_)) | None => None,
        };
        drop(answer.send(outcome));
    }
}
