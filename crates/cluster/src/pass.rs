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
        let mut gathered = Gathered::default();
        gathered.add(first);
        while !gathered.is_full()
            && let Ok(pass) = queue.try_recv()
        {
            gathered.add(pass);
        }
        if let Some(leader) = gathered.leader
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
    /// Who leads, as whoever came last believes: it knows best.
    leader: Option<u64>,
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
        self.leader = Some(pass.leader);
        self.bytes += pass.command.octets();
        self.commands.push(codec::command_to(pass.command));
        self.answers.push(pass.answer);
    }

    /// Returns when all who waited have gone.
    async fn nobody_waits(&mut self) {
        for answer in &mut self.answers {
            answer.closed().await;
        }
    }

    fn is_full(&self) -> bool {
        self.bytes >= limits::PASS_BYTES_MAX || self.commands.len() >= limits::PASS_COMMANDS_MAX
    }
}

/// Sends one request and tells everyone who waits for it. Whoever is not told (the sender is
/// dropped) asks again. A request for which nobody waits any more is given up, so that its place is
/// free for the next leader's.
async fn send(mut client: PeerClient, mut gathered: Gathered) {
    let request = ProposeRequest {
        group: GROUP,
        commands: std::mem::take(&mut gathered.commands),
    };
    let answered = timeout(limits::PASS_REPLY_TIMEOUT, client.propose(request));
    let answered = tokio::select! {
        answered = answered => answered,
        () = gathered.nobody_waits() => return,
    };
    let response = match answered {
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

#[cfg(test)]
mod tests {
    use spool::MessageId;

    use super::*;

    fn pass(leader: u64) -> (Pass, oneshot::Receiver<Option<Outcome>>) {
        let (answer, answered) = oneshot::channel();
        let command = Command::Discard { id: MessageId(1) };
        let pass = Pass {
            leader,
            command,
            answer,
        };
        (pass, answered)
    }

    #[test]
    fn what_nobody_waits_for_says_nothing_of_who_leads() {
        let mut gathered = Gathered::default();
        let ((old, given_up), (new, _waits)) = (pass(1), pass(2));
        drop(given_up);
        gathered.add(old);
        assert_eq!(gathered.leader, None);
        gathered.add(new);
        assert_eq!((gathered.leader, gathered.commands.len()), (Some(2), 1));
    }

    #[test]
    fn the_last_who_asks_knows_best_who_leads() {
        let mut gathered = Gathered::default();
        let ((old, _first), (new, _second)) = (pass(1), pass(2));
        gathered.add(old);
        gathered.add(new);
        assert_eq!((gathered.leader, gathered.commands.len()), (Some(2), 2));
    }

    #[tokio::test]
    async fn a_request_is_given_up_when_the_last_who_waits_has_gone() {
        let mut gathered = Gathered::default();
        let ((one, first), (two, second)) = (pass(1), pass(1));
        gathered.add(one);
        gathered.add(two);
        drop(first);
        assert!(futures::poll!(std::pin::pin!(gathered.nobody_waits())).is_pending());
        drop(second);
        gathered.nobody_waits().await;
    }
}
