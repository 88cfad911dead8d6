//! Whether all nodes have the same.
//!
//! What can be seen from outside today: the applied index, and the queue as each node shows it from
//! its own tables. A digest of those tables would be compared here, too, were it shown.

use std::time::Duration;

use harness::{Cluster, Daemon, wait};
use serde_json::Value;

/// A node that hears its leader applies what the others have applied within this time.
const EVEN: Duration = Duration::from_secs(30);

/// Waits until all nodes have applied the same; what is wrong when they do not.
pub(super) fn even(cluster: &Cluster) -> Option<String> {
    let applied = || -> Vec<Option<f64>> {
        let of = |node: &Daemon| node.metric("layover_raft_last_applied_index", &[]);
        cluster.nodes.iter().map(of).collect()
    };
    let same = wait::within(EVEN, || {
        let indices = applied();
        let first = indices.first().copied().flatten()?;
        indices
            .iter()
            .all(|index| *index == Some(first))
            .then_some(())
    });
    let what = || {
        format!(
            "the nodes have applied up to {:?} and stay there",
            applied()
        )
    };
    same.is_none().then(what)
}

/// Compares the queues, which hold some mail and rest.
pub(super) fn differences(cluster: &Cluster) -> Vec<String> {
    let mut problems: Vec<String> = even(cluster).into_iter().collect();
    let mut first: Option<(u64, Value)> = None;
    for node in &cluster.nodes {
        let outcome = node
            .ctl()
            .run(&["--json", "queue", "list", "--limit", "1000"]);
        let Ok(shown) = serde_json::from_str::<Value>(&outcome.out) else {
            problems.push(format!(
                "node {} shows no queue: {}",
                node.id,
                outcome.err.trim()
            ));
            continue;
        };
        match &first {
            None => first = Some((node.id, shown)),
            Some((id, queue)) if *queue != shown => {
                problems.push(format!("nodes {id} and {} show different queues", node.id));
            }
            Some(_) => {}
        }
    }
    if first.is_some_and(|(_, queue)| queue.as_array().is_some_and(Vec::is_empty)) {
        problems.push("mail that was kept on purpose is in no queue".to_owned());
    }
    problems
}
