//! `layover cluster add`, `remove` and `transfer-leader`.

use std::time::{Duration, Instant};

use anyhow::bail;
use api::admin::v1::{
    ClusterAddRequest, ClusterRemoveRequest, ClusterStatusResponse, Member, TransferLeaderRequest,
};
use serde::Serialize;

use super::fetch;
use crate::{
    output::Output,
    servers::{Client, Servers},
    words,
};

/// How often progress is looked at.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// An election and the restart of a node are over within this.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What a command with `--json` ends with.
#[derive(Debug, Serialize)]
struct Done {
    node: u64,
    /// What the node is now: "voter", "leader" or "removed".
    role: &'static str,
    /// False when it was so before.
    changed: bool,
    /// How many nodes vote now; absent when no node told.
    #[serde(skip_serializing_if = "Option::is_none")]
    voters: Option<usize>,
    /// How many of them may fail while mail is still taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    spare: Option<usize>,
}

/// Adds a node and watches until it is a voter.
pub(super) async fn add(
    servers: &Servers,
    output: &mut Output,
    id: u64,
    address: String,
) -> anyhow::Result<()> {
    let request = ClusterAddRequest { id, address };
    let added = servers
        .ask(async |mut client: Client| Ok(client.cluster_add(request.clone()).await?.into_inner()))
        .await?;
    let (cluster, watched) = until_voter(servers, output, id).await?;
    let changed = added.changed || watched;
    end(output, Some(&cluster), id, "voter", changed)
}

/// Removes a member.
pub(super) async fn remove(servers: &Servers, output: &mut Output, id: u64) -> anyhow::Result<()> {
    let request = ClusterRemoveRequest { id };
    let removed = servers
        .ask(async |mut client: Client| Ok(client.cluster_remove(request).await?.into_inner()))
        .await?;
    // Whoever answered may be the very node that is gone now.
    let cluster = fetch(servers).await.ok().map(|mut cluster| {
        cluster.members.retain(|member| member.id != id);
        cluster
    });
    end(output, cluster.as_ref(), id, "removed", removed.changed)
}

/// Makes a voter the leader.
pub(super) async fn transfer(
    servers: &Servers,
    output: &mut Output,
    id: u64,
) -> anyhow::Result<()> {
    let request = TransferLeaderRequest { id };
    let passed = servers
        .ask(async |mut client: Client| Ok(client.transfer_leader(request).await?.into_inner()))
        .await?;
    let cluster = fetch(servers).await.ok();
    end(output, cluster.as_ref(), id, "leader", passed.changed)
}

/// Shows how far a learner is until it votes; tells whether that took a look more than one.
async fn until_voter(
    servers: &Servers,
    output: &mut Output,
    id: u64,
) -> anyhow::Result<(ClusterStatusResponse, bool)> {
    let (mut heard, mut shown, mut watched) = (Instant::now(), String::new(), false);
    loop {
        let (line, part) = match fetch(servers).await {
            Ok(cluster) => {
                heard = Instant::now();
                match progress(&cluster, id) {
                    Progress::Voter => {
                        output.end_progress()?;
                        return Ok((cluster, watched));
                    }
                    Progress::Learner(line, part) => (line, part),
                    Progress::Gone => {
                        output.end_progress()?;
                        bail!("node {id} was removed while it was being added");
                    }
                }
            }
            Err(error) if heard.elapsed() > SILENCE_MAX => {
                output.end_progress()?;
                bail!(error);
            }
            Err(error) => (words::escaped(&format!("{error:#}")), None),
        };
        if line != shown {
            match part {
                Some((done, all)) => output.progress_of(done, all, &line)?,
                None => output.progress(&line)?,
            }
            shown = line;
        }
        watched = true;
        tokio::time::sleep(PROGRESS_INTERVAL).await;
    }
}

enum Progress {
    Voter,
    /// In words, and how many entries of the log it has, of how many.
    Learner(String, Option<(u64, u64)>),
    Gone,
}

fn progress(cluster: &ClusterStatusResponse, id: u64) -> Progress {
    let Some(member) = cluster.members.iter().find(|member| member.id == id) else {
        // A node that lags may not know of it yet; one that has applied it does.
        return if cluster.last_applied_index < cluster.last_log_index {
            let line = format!("node {id}: not known yet to node {}", cluster.node_id);
            Progress::Learner(line, None)
        } else {
            Progress::Gone
        };
    };
    if member.role != "learner" {
        return Progress::Voter;
    }
    let last = cluster.last_log_index;
    match member.lag {
        _ if member.silent_ms.is_some_and(|silent| silent > 10_000) => {
            let line = format!("node {id}: learner, does not answer; is it running?");
            Progress::Learner(line, None)
        }
        None => Progress::Learner(format!("node {id}: learner"), None),
        Some(lag) => {
            let has = last.saturating_sub(lag);
            let percent = has * 100 / last.max(1);
            let entries = if lag == 1 { "entry" } else { "entries" };
            let line = format!("node {id}: learner, {lag} {entries} behind, {percent} %");
            Progress::Learner(line, Some((has, last)))
        }
    }
}

/// Says what was done, and what the cluster can bear now.
fn end(
    output: &mut Output,
    cluster: Option<&ClusterStatusResponse>,
    node: u64,
    role: &'static str,
    changed: bool,
) -> anyhow::Result<()> {
    let is_voter = |member: &&Member| member.role != "learner";
    let voters = cluster.map(|cluster| cluster.members.iter().filter(is_voter).count());
    let spare = voters.map(|voters| voters.saturating_sub(1) / 2);
    if output.is_json() {
        return Ok(output.document(&Done {
            node,
            role,
            changed,
            voters,
            spare,
        })?);
    }
    let mut line = match (role, changed) {
        ("removed", true) => format!("node {node} is removed"),
        ("removed", false) => format!("node {node} was removed before"),
        ("leader", true) => format!("node {node} leads now"),
        ("leader", false) => format!("node {node} leads already"),
        (role, true) => format!("node {node} is a {role} now"),
        (role, false) => format!("node {node} is a {role} already"),
    };
    if let (Some(voters), Some(spare)) = (voters, spare) {
        let voters = words::count(u64::try_from(voters)?, "voter");
        line.push_str(&match spare {
            0 => format!("; {voters}, none may fail"),
            spare => format!("; {voters}, {spare} may fail"),
        });
    }
    Ok(output.line(&line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(role: &str, lag: Option<u64>) -> ClusterStatusResponse {
        ClusterStatusResponse {
            node_id: 1,
            last_log_index: 1000,
            last_applied_index: 1000,
            members: vec![Member {
                id: 4,
                role: role.to_owned(),
                lag,
                silent_ms: Some(20),
                ..Member::default()
            }],
            ..ClusterStatusResponse::default()
        }
    }

    #[track_caller]
    fn assert_line(cluster: &ClusterStatusResponse, expected: &str) {
        let Progress::Learner(line, _) = progress(cluster, 4) else {
            panic!("it is a learner");
        };
        assert_eq!(line, expected);
    }

    #[test]
    fn progress_tells_how_far_a_learner_is() {
        assert_line(
            &cluster("learner", Some(250)),
            "node 4: learner, 250 entries behind, 75 %",
        );
        assert_line(&cluster("learner", None), "node 4: learner");
        let mut silent = cluster("learner", Some(1000));
        silent.members[0].silent_ms = Some(60_000);
        assert_line(&silent, "node 4: learner, does not answer; is it running?");
    }

    #[test]
    fn a_voter_ends_the_wait_and_so_does_a_removal() {
        assert!(matches!(
            progress(&cluster("follower", Some(0)), 4),
            Progress::Voter
        ));
        assert!(matches!(
            progress(&cluster("follower", Some(0)), 5),
            Progress::Gone
        ));
        let mut behind = cluster("follower", Some(0));
        behind.last_applied_index = 10;
        assert!(matches!(progress(&behind, 5), Progress::Learner(..)));
    }
}
