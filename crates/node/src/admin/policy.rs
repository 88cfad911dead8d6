//! The policy in force, and how another takes its place.

use std::sync::Arc;

use api::admin::v1::{
    PolicyApplyRequest, PolicyApplyResponse, PolicyList, PolicyMistake, PolicyShowResponse,
};
use cluster::{AdoptError, Adopted, Cluster};
use spool::{
    Destination, Policy, Timestamp, notice,
    policy::{Document, Domain, InForce, PolicyErrors},
};
use tonic::Status;

use super::{audit, trouble};

/// What is in force.
pub(super) fn show(cluster: &Cluster) -> Result<PolicyShowResponse, Status> {
    let now = in_force(cluster)?;
    let lists = now.document.lists.iter();
    Ok(PolicyShowResponse {
        version: now.version,
        since_ms: (now.since != Timestamp(0)).then_some(now.since.0),
        by: (!now.by.is_empty()).then(|| now.by.clone()),
        text: now.document.text.clone(),
        lists: lists
            .map(|(name, text)| PolicyList {
                name: name.clone(),
                text: text.clone(),
            })
            .collect(),
    })
}

/// Puts another in force.
pub(super) async fn apply(
    cluster: &Cluster,
    request: PolicyApplyRequest,
    asker: String,
) -> Result<PolicyApplyResponse, Status> {
    let before = in_force(cluster)?;
    let lists = request.lists.into_iter().map(|list| (list.name, list.text));
    let document = Document {
        text: request.text,
        lists: lists.collect(),
    };
    let policy = match document.new_policy() {
        Ok(policy) => policy,
        Err(errors) => return Ok(mistaken(errors)),
    };
    let changed = document != before.document;
    let replaces = request.replaces.unwrap_or(before.version);
    let by = match audit::shortened(&request.by, audit::BY_CHARS_MAX) {
        none if none.is_empty() => asker,
        by => by,
    };
    let adopted = cluster
        .adopt(document, replaces, by.clone())
        .await
        .map_err(refused)?;
    if changed {
        let what = format!("policy apply: version {}", adopted.version);
        audit::note(cluster, by, what).await;
    }
    let mut answer = compared(&before.policy, &policy);
    answer.version = adopted.version;
    answer.changed = changed;
    answer.warnings = warnings(&adopted, &policy, &cluster.destinations());
    Ok(answer)
}

fn in_force(cluster: &Cluster) -> Result<Arc<InForce>, Status> {
    cluster
        .policy_in_force()
        .ok_or_else(|| Status::unavailable("the cluster is not founded yet: it has no policy"))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
fn refused(error: AdoptError) -> Status {
    let words = error.to_string();
    match error {
        AdoptError::NotFounded | AdoptError::NoQuorum => Status::unavailable(words),
        AdoptError::Overtaken(_) => Status::aborted(words),
        AdoptError::NotUnderstood(_) => Status::failed_precondition(words),
    }
}

fn mistaken(errors: PolicyErrors) -> PolicyApplyResponse {
    let mistake = |error: spool::policy::PolicyError| PolicyMistake {
        list: error.list,
        line: error.line as u64,
        column: error.column as u64,
        message: error.message,
    };
    PolicyApplyResponse {
        mistakes: errors.into_iter().map(mistake).collect(),
        ..PolicyApplyResponse::default()
    }
}

/// Which domains a policy has that another did not have, has otherwise, or has no more.
fn compared(before: &Policy, after: &Policy) -> PolicyApplyResponse {
    let names = |domains: &[Domain], wanted: &dyn Fn(&Domain) -> bool| -> Vec<String> {
        let domains = domains.iter().filter(|domain| wanted(domain));
        domains.map(|domain| domain.name.clone()).collect()
    };
    PolicyApplyResponse {
        added: names(&after.domains, &|now| before.domain(&now.name).is_none()),
        altered: names(&after.domains, &|now| {
            before.domain(&now.name).is_some_and(|was| was != now)
        }),
        removed: names(&before.domains, &|was| after.domain(&was.name).is_none()),
        ..PolicyApplyResponse::default()
    }
}

fn warnings(
    adopted: &Adopted,
    policy: &Policy,
    destinations: &[(String, Destination)],
) -> Vec<String> {
    let mut warnings: Vec<String> = adopted
        .silent
        .iter()
        .map(|(node, why)| {
            format!(
                "Node {node} did not say that it goes by this policy: {why}. If it is down or cut off, it \
                 takes no mail until it does."
            )
        })
        .collect();
    for (name, destination) in destinations {
        let undelivered = destination.totals.undelivered();
        let has_left = policy.domain(name).is_none() && name != notice::QUEUE;
        if undelivered > 0 && has_left {
            warnings.push(trouble::left_policy(name, undelivered));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use spool::Totals;

    use super::*;

    fn policy(domains: &[(&str, u32)]) -> Policy {
        let text: String = domains
            .iter()
            .map(|(name, connections)| {
                format!(
                    "[[domain]]\nname = \"{name}\"\nprimary = [\"x\"]\nconnections = {connections}\n"
                )
            })
            .collect();
        Policy::parse(&text).unwrap()
    }

    #[test]
    fn domains_are_compared_by_name() {
        let before = policy(&[("a.example", 1), ("b.example", 1), ("c.example", 1)]);
        let after = policy(&[("c.example", 1), ("b.example", 2), ("d.example", 1)]);
        let answer = compared(&before, &after);
        assert_eq!(answer.added, ["d.example"]);
        assert_eq!(answer.altered, ["b.example"]);
        assert_eq!(answer.removed, ["a.example"]);
    }

    #[test]
    fn mail_that_is_left_behind_and_nodes_that_are_silent_are_told() {
        let destination = |waiting| Destination {
            totals: Totals {
                waiting,
                ..Totals::default()
            },
            ..Destination::default()
        };
        let destinations = [
            ("a.example".to_owned(), destination(2)),
            ("b.example".to_owned(), destination(3)),
            ("c.example".to_owned(), destination(0)),
        ];
        let adopted = Adopted {
            version: 2,
            silent: vec![(3, "it does not answer".to_owned())],
        };
        let told = warnings(&adopted, &policy(&[("a.example", 1)]), &destinations);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("Node 3 did not say"), "{told:?}");
        assert!(
            told[1].starts_with("3 messages wait for b.example, "),
            "{told:?}"
        );
    }
}
