//! What was acknowledged against what arrived, and whether anything else is wrong.

mod mail;
mod replicas;

use std::time::Duration;

use harness::{Daemon, Received, wait};

pub(crate) use mail::{Evidence, Findings, judge};

use crate::{clients::Clients, world::World};

/// A queue that has not emptied by then is stuck.
const DRAINED: Duration = Duration::from_secs(90);

/// Deferred messages are asked for again this often.
const FLUSH_EVERY: Duration = Duration::from_secs(5);

/// Messages that are kept on purpose, for the replicas to be compared.
const KEPT: usize = 6;

/// Makes the primary go away, keeps some mail and compares what the nodes have of it; then lets
/// everything leave.
pub(crate) fn settle_and_drain(world: &mut World, clients: &Clients<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    world.primary.down();
    clients.send_some(KEPT);
    problems.extend(replicas::differences(&world.cluster));
    world.primary.up();
    problems.extend(drain(world));
    problems.extend(replicas::unequal(&world.cluster));
    problems
}

/// Waits until no node has any mail left and all have applied the same.
fn drain(world: &World) -> Option<String> {
    let nodes = &world.cluster.nodes;
    let is_empty = || nodes.iter().all(|node| node.queued() == Some(0));
    let mut waited = Duration::ZERO;
    while waited < DRAINED {
        if wait::within(FLUSH_EVERY, || is_empty().then_some(())).is_some() {
            return replicas::even(&world.cluster);
        }
        waited += FLUSH_EVERY;
        // What was deferred because connections broke under it comes again in minutes.
        for node in nodes {
            let _may_be_away = node.ctl().run(&["flush"]);
        }
    }
    let counts: Vec<_> = nodes.iter().map(Daemon::queued).collect();
    Some(format!(
        "{DRAINED:?} after everything was mended the nodes still count {counts:?} messages"
    ))
}

/// Log lines that no fault explains, each told once.
pub(crate) fn alarms(world: &mut World) -> Vec<String> {
    let of = |(number, node): (usize, &Daemon)| {
        let lines = node.alarming().into_iter();
        let named = lines.map(|line| format!("the node at place {number} logged: {line}"));
        named.collect::<Vec<_>>()
    };
    let nodes = (1..).zip(&world.cluster.nodes);
    let mut alarms: Vec<String> = nodes.flat_map(of).collect();
    alarms.retain(|alarm| world.alarms_told.insert(alarm.clone()));
    alarms
}

/// What a round left, to be judged.
pub(crate) fn evidence(world: &World, received: Vec<Received>) -> Evidence {
    let log = |node: &Daemon| node.log_text();
    Evidence {
        entries: world.ledger.entries(),
        past: world.ledger.past(),
        events: world.ledger.events(),
        acknowledged_ms: world.ledger.acknowledged_ms(),
        received: received
            .into_iter()
            .map(|arrived| (world.ledger.ms_of(arrived.at), arrived))
            .collect(),
        logs: world.cluster.nodes.iter().map(log).collect(),
    }
}
