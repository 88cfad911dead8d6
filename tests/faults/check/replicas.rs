//! Whether all nodes have the same: the same members, the same tables to the octet, and the same
//! queue as each shows it.

use std::{collections::BTreeSet, time::Duration};

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

/// Lets every node compare the tables of all, which rest.
pub(super) fn unequal(cluster: &Cluster) -> Vec<String> {
    let said = |node: &Daemon| {
        let outcome = node.ctl().run(&["cluster", "verify"]);
        let (out, err) = (outcome.out.trim(), outcome.err.trim());
        (outcome.code != 0).then(|| format!("node {} says: {err}\n{out}", node.id))
    };
    cluster.nodes.iter().filter_map(said).collect()
}

/// Whether a node counts others as members than there are, or one that does not vote.
fn other_members(cluster: &Cluster) -> Vec<String> {
    let expected: BTreeSet<u64> = cluster.nodes.iter().map(|node| node.id).collect();
    let said = |node: &Daemon| {
        let outcome = node.ctl().run(&["--json", "cluster", "status"]);
        let status: Value = serde_json::from_str(&outcome.out).unwrap_or_default();
        let members = status["members"].as_array().cloned().unwrap_or_default();
        let voters = members.iter().filter(|member| member["role"] != "learner");
        let voters: BTreeSet<u64> = voters.filter_map(|member| member["id"].as_u64()).collect();
        let right = voters == expected && members.len() == expected.len();
        (!right).then(|| {
            let id = node.id;
            format!("node {id} counts {members:?} as members, there are {expected:?}")
        })
    };
    cluster.nodes.iter().filter_map(said).collect()
}

/// What is wrong with the members once nobody is under way to become one: a change that a leader left half done
/// is ended by the next, some seconds after it was elected.
fn members_in_the_end(cluster: &Cluster) -> Vec<String> {
    let right = || other_members(cluster).is_empty().then_some(());
    match wait::within(EVEN, right) {
        Some(()) => Vec::new(),
        None => other_members(cluster),
    }
}

/// Compares the nodes, whose queues hold some mail and rest.
pub(super) fn differences(cluster: &Cluster) -> Vec<String> {
    let mut problems: Vec<String> = even(cluster).into_iter().collect();
    problems.extend(members_in_the_end(cluster));
    problems.extend(unequal(cluster));
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
