//! `layover cluster verify`: whether all nodes have the same spool, octet for octet.
//!
//! Copies can be compared when they are of the same log index. While mail flows each node answers
//! for the index that it is at, so all are asked again until there is an index for which all have
//! answered.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use api::admin::v1::{ClusterVerifyRequest, Replica};
use comfy_table::Table;
use serde::Serialize;
use tonic::Streaming;

use crate::{
    output::Output,
    servers::{Client, Servers},
    words,
};

/// Nodes are asked again for so long. Under full load on slow disks the nodes are seldom at the same
/// index; a calm second is enough.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pause before they are asked again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Longer than a node waits for another one that reads a large spool.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(150);

/// What is known of the replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// All are equal at this index.
    Equal(u64),
    /// Some are not, or do not answer: one sentence.
    Unequal(String),
    /// There is no index yet for which all have answered.
    Unknown,
}

/// What a command with `--json` ends with.
#[derive(Debug, Serialize)]
struct Verified<'a> {
    equal: bool,
    /// Where all are equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    applied_index: Option<u64>,
    /// The last answer of each member.
    members: &'a [Replica],
}

/// All digests that were told so far: by index, and then by node.
type Told = BTreeMap<u64, BTreeMap<u64, String>>;

/// Compares the nodes' copies; fails with what is wrong with them.
pub(super) async fn verify(servers: &Servers, output: &mut Output) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    let mut told = Told::new();
    loop {
        let members = ask_all(servers).await?;
        note(&mut told, &members);
        match judge(&told, &members) {
            Verdict::Equal(index) => return say_equal(output, index, &members),
            Verdict::Unequal(why) => return fail(output, &members, &why),
            Verdict::Unknown if Instant::now() > until => {
                return fail(output, &members, &incomparable(&members));
            }
            Verdict::Unknown => tokio::time::sleep(AGAIN_AFTER).await,
        }
    }
}

/// Every member's answer, in order of id.
async fn ask_all(servers: &Servers) -> anyhow::Result<Vec<Replica>> {
    let mut answers = servers
        .ask(async |mut client: Client| {
            let asked = client.cluster_verify(ClusterVerifyRequest {}).await;
            Ok(asked?.into_inner())
        })
        .await?;
    let mut members = Vec::new();
    while let Some(member) = next(&mut answers).await? {
        members.push(member);
    }
    ensure!(
        !members.is_empty(),
        "the node that was asked knows of no members yet"
    );
    members.sort_by_key(|member| member.id);
    Ok(members)
}

async fn next(answers: &mut Streaming<Replica>) -> anyhow::Result<Option<Replica>> {
    match tokio::time::timeout(ANSWER_TIMEOUT, answers.message()).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(status)) => bail!("the answer broke off: {}", status.message()),
        Err(_) => bail!("no answer within {} s", ANSWER_TIMEOUT.as_secs()),
    }
}

fn note(told: &mut Told, members: &[Replica]) {
    for member in members {
        if let (Some(index), Some(digest)) = (member.applied_index, &member.digest) {
            let of_index = told.entry(index).or_default();
            of_index.insert(member.id, digest.clone());
        }
    }
}

fn judge(told: &Told, members: &[Replica]) -> Verdict {
    for (index, digests) in told {
        let groups = by_digest(digests);
        if groups.len() > 1 {
            let groups: Vec<String> = groups.iter().map(|ids| names(ids)).collect();
            return Verdict::Unequal(format!(
                "at log index {index}, {} have different spools: `layover queue list` on each shows \
                 what an operator can see of it; replace the one that is wrong",
                groups.join(" and ")
            ));
        }
    }
    let silent = members.iter().find_map(|member| {
        let why = member.failure.as_ref()?;
        Some(format!("node {} does not answer: {why}", member.id))
    });
    if let Some(why) = silent {
        return Verdict::Unequal(why);
    }
    let all = |digests: &BTreeMap<u64, String>| {
        let mut ids = members.iter().map(|member| member.id);
        ids.all(|id| digests.contains_key(&id))
    };
    let complete = told.iter().rev().find(|(_, digests)| all(digests));
    complete.map_or(Verdict::Unknown, |(index, _)| Verdict::Equal(*index))
}

/// The nodes that have the same, the larger groups first.
fn by_digest(digests: &BTreeMap<u64, String>) -> Vec<Vec<u64>> {
    let mut groups: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (id, digest) in digests {
        groups.entry(digest).or_default().push(*id);
    }
    let mut groups: Vec<Vec<u64>> = groups.into_values().collect();
    groups.sort_by_key(|ids| (usize::MAX - ids.len(), ids.clone()));
    groups
}

/// `node 3`, `nodes 1, 2`.
fn names(ids: &[u64]) -> String {
    let text: Vec<String> = ids.iter().map(u64::to_string).collect();
    let noun = if ids.len() == 1 { "node" } else { "nodes" };
    format!("{noun} {}", text.join(", "))
}

/// Why there was nothing to compare.
fn incomparable(members: &[Replica]) -> String {
    let places: Vec<String> = members
        .iter()
        .map(|member| {
            format!(
                "node {} at {}",
                member.id,
                member.applied_index.unwrap_or(0)
            )
        })
        .collect();
    format!(
        "the nodes were not seen at the same log index within {} s ({}); one that stays behind does \
         not keep up, else ask again when less mail flows",
        PATIENCE.as_secs(),
        places.join(", ")
    )
}

fn say_equal(output: &mut Output, index: u64, members: &[Replica]) -> anyhow::Result<()> {
    if output.is_json() {
        return Ok(output.document(&Verified {
            equal: true,
            applied_index: Some(index),
            members,
        })?);
    }
    let count = u64::try_from(members.len())?;
    Ok(output.line(&match count {
        1 => format!("there is one node, at log index {index}; nothing to compare it with"),
        _ => format!("the spools of all {count} nodes are equal, at log index {index}"),
    })?)
}

fn fail(output: &mut Output, members: &[Replica], why: &str) -> anyhow::Result<()> {
    if output.is_json() {
        output.document(&Verified {
            equal: false,
            applied_index: None,
            members,
        })?;
    } else {
        output.table(table(members))?;
    }
    bail!("{why}")
}

fn table(members: &[Replica]) -> Table {
    let mut table = Table::new();
    table.set_header(["NODE", "ADDRESS", "LOG INDEX", "ROWS", "SHA-256"]);
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
    for member in members {
        table.add_row([
            member.id.to_string(),
            words::escaped(&member.address),
            number(member.applied_index),
            number(member.rows),
            words::escaped(member.digest.as_deref().unwrap_or("-")),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, index: u64, digest: &str) -> Replica {
        Replica {
            id,
            applied_index: Some(index),
            rows: Some(1),
            digest: Some(digest.to_owned()),
            ..Replica::default()
        }
    }

    /// What is known after some rounds of asking.
    fn after(rounds: &[&[Replica]]) -> Verdict {
        let mut told = Told::new();
        for members in rounds {
            note(&mut told, members);
        }
        judge(&told, rounds.last().unwrap())
    }

    #[test]
    fn replicas_are_equal_where_all_have_told_the_same_of_one_index() {
        let at_once = [member(1, 7, "a"), member(2, 7, "a")];
        assert_eq!(after(&[&at_once]), Verdict::Equal(7));
        let first = [member(1, 7, "a"), member(2, 6, "b")];
        assert_eq!(after(&[&first]), Verdict::Unknown);
        let then = [member(1, 9, "c"), member(2, 7, "a")];
        assert_eq!(after(&[&first, &then]), Verdict::Equal(7));
    }

    #[test]
    fn whoever_differs_or_is_silent_is_named() {
        let members = [member(1, 7, "a"), member(2, 7, "b"), member(3, 7, "a")];
        let Verdict::Unequal(why) = after(&[&members]) else {
            panic!("they differ");
        };
        assert!(
            why.starts_with("at log index 7, nodes 1, 3 and node 2 have"),
            "{why}"
        );
        let silent = Replica {
            id: 2,
            failure: Some("connection refused".to_owned()),
            ..Replica::default()
        };
        let Verdict::Unequal(why) = after(&[&[member(1, 7, "a"), silent]]) else {
            panic!("one is silent");
        };
        assert_eq!(why, "node 2 does not answer: connection refused");
    }
}
