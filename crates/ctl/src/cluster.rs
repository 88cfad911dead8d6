//! `layover cluster …`.

mod change;
mod verify;

use api::admin::v1::{ClusterSnapshotRequest, ClusterStatusRequest, ClusterStatusResponse, Member};
use comfy_table::{Cell, Table};

use crate::{
    arguments::ClusterCommand,
    certs,
    grade::{Grade, cell},
    output::Output,
    servers::{Client, Servers},
    words,
};

/// Does what is said about the cluster.
pub(crate) async fn run(
    servers: &Servers,
    output: &mut Output,
    command: ClusterCommand,
) -> anyhow::Result<()> {
    match command {
        ClusterCommand::Status => show(servers, output).await,
        ClusterCommand::Add { id, address } => change::add(servers, output, id, address).await,
        ClusterCommand::Remove { id } => change::remove(servers, output, id).await,
        ClusterCommand::TransferLeader { id } => change::transfer(servers, output, id).await,
        ClusterCommand::Verify => verify::verify(servers, output).await,
        ClusterCommand::Snapshot => snapshot(servers, output).await,
        // Asks nobody.
        ClusterCommand::Certs(certs) => certs::make(&certs, output),
    }
}

/// Asks for the members.
async fn fetch(servers: &Servers) -> anyhow::Result<ClusterStatusResponse> {
    servers
        .ask(async |mut client: Client| {
            Ok(client
                .cluster_status(ClusterStatusRequest {})
                .await?
                .into_inner())
        })
        .await
}

/// Shows every member of the cluster.
async fn show(servers: &Servers, output: &mut Output) -> anyhow::Result<()> {
    let cluster = fetch(servers).await?;
    if output.is_json() {
        return Ok(output.document(&cluster)?);
    }
    output.line(&format!(
        "cluster {}, term {}, {}",
        cluster.cluster.as_deref().unwrap_or("(not founded yet)"),
        cluster.term,
        cluster
            .leader
            .map_or_else(|| "no leader".to_owned(), |id| format!("led by node {id}"))
    ))?;
    output.line(&format!(
        "node {}: {}, log index {}, applied {}, {} free",
        cluster.node_id,
        if cluster.accepting {
            "takes mail"
        } else {
            "takes no mail"
        },
        cluster.last_log_index,
        cluster.last_applied_index,
        words::size(cluster.free_bytes)
    ))?;
    output.line("")?;
    output.table(members(&cluster))?;
    Ok(())
}

/// Shortens the log of the node that answers.
async fn snapshot(servers: &Servers, output: &mut Output) -> anyhow::Result<()> {
    let snapshot = servers
        .ask(async |mut client: Client| {
            let asked = client.cluster_snapshot(ClusterSnapshotRequest {}).await;
            Ok(asked?.into_inner())
        })
        .await?;
    if output.is_json() {
        return Ok(output.document(&snapshot)?);
    }
    output.line(&format!(
        "node {}: the snapshot holds everything up to log index {}; the log goes back to index {}, {}",
        snapshot.node_id,
        snapshot.snapshot_index,
        snapshot.purged_index.saturating_add(1),
        words::size(snapshot.log_bytes)
    ))?;
    Ok(())
}

/// One row for each member.
pub(crate) fn members(cluster: &ClusterStatusResponse) -> Table {
    let mut table = Table::new();
    table.set_header(["NODE", "ADDRESS", "ROLE", "LAG", "LAST ANSWER", "FREE"]);
    for member in &cluster.members {
        table.add_row([
            Cell::new(member.id),
            Cell::new(words::escaped(&member.address)),
            Cell::new(words::escaped(&member.role)),
            Cell::new(lag(member)),
            cell(last_answer(member), grade(member)),
            Cell::new(free(member)),
        ]);
    }
    table
}

/// Members answer the leader several times a second; who is silent for longer than this is not there.
const SILENT_MS_MAX: u64 = 5_000;

/// How bad it is that a member answers as it does.
pub(crate) fn grade(member: &Member) -> Option<Grade> {
    match member.silent_ms {
        _ if member.role == "leader" => None,
        Some(silent_ms) if silent_ms > SILENT_MS_MAX => Some(Grade::Wrong),
        Some(_) => None,
        None => Some(Grade::Odd),
    }
}

/// How many log entries a member lacks.
pub(crate) fn lag(member: &Member) -> String {
    match member.lag {
        Some(lag) => lag.to_string(),
        None if member.role == "leader" => "0".to_owned(),
        None => "unknown".to_owned(),
    }
}

/// How long ago a member last answered the leader.
pub(crate) fn last_answer(member: &Member) -> String {
    match member.silent_ms {
        _ if member.role == "leader" => "-".to_owned(),
        Some(silent_ms) if silent_ms < 1000 => "now".to_owned(),
        Some(silent_ms) => format!("{} ago", words::span(silent_ms)),
        None => "unknown".to_owned(),
    }
}

/// What is free on a member's disk.
pub(crate) fn free(member: &Member) -> String {
    member
        .free_bytes
        .map_or_else(|| "unknown".to_owned(), words::size)
}
