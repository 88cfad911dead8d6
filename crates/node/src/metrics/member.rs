//! What this node tells of itself as a member of the cluster, of its disk, and of its certificates.

use cluster::{ClusterStatus, MemberStatus};
use prometheus_client::registry::Registry;

use super::{Gauges, gauge, set, signed};

pub(super) fn register_standing(registry: &mut Registry, status: &ClusterStatus) {
    let leads = u64::from(status.leadership.leading);
    gauge(
        registry,
        "raft_is_leader",
        "1 while this node leads and may deliver",
        leads,
    );
    gauge(
        registry,
        "smtp_accepting",
        "1 while this node can take mail: it sees a quorum, and a majority has room",
        u64::from(status.accepting),
    );
    register_voters(registry, &status.members);
    gauge(
        registry,
        "raft_term",
        "The Raft term this node is in",
        status.leadership.term,
    );
    gauge(
        registry,
        "raft_last_log_index",
        "Index of the last entry in this node's log",
        status.last_log_index,
    );
    gauge(
        registry,
        "raft_last_applied_index",
        "Index of the last entry applied to this node's spool",
        status.last_applied_index,
    );
    gauge(
        registry,
        "storage_free_bytes",
        "Octets free on the data directory's disk",
        status.disk.free_bytes,
    );
    let lags = Gauges::default();
    for member in status
        .members
        .iter()
        .filter(|member| member.id != status.node_id)
    {
        if let Some(lag) = member.lag {
            set(&lags, vec![("peer", member.id.to_string())], signed(lag));
        }
    }
    registry.register(
        "raft_replication_lag",
        "Log entries that a peer lacks",
        lags,
    );
}

fn register_voters(registry: &mut Registry, members: &[MemberStatus]) {
    let voters = || members.iter().filter(|member| member.voter);
    gauge(
        registry,
        "raft_voters",
        "Members that vote",
        voters().count() as u64,
    );
    // Who is silent is known as long as there is a leader that tells.
    let answers: Option<Vec<bool>> = voters().map(MemberStatus::answers).collect();
    if let Some(answers) = answers {
        gauge(
            registry,
            "raft_voters_answering",
            "Members that vote and have answered the leader in the last 5 seconds; absent without a leader",
            answers.into_iter().filter(|answers| *answers).count() as u64,
        );
    }
}

pub(super) fn register_storage(registry: &mut Registry, kinds: &[(&'static str, u64)]) {
    let storage = Gauges::default();
    for (kind, bytes) in kinds {
        set(&storage, vec![("kind", (*kind).to_owned())], signed(*bytes));
    }
    registry.register(
        "storage_bytes",
        "Octets on the disk, by what they are for",
        storage,
    );
}

pub(super) fn register_expiries(registry: &mut Registry, seconds_left: &[(&'static str, i64)]) {
    let expiries = Gauges::default();
    for (usage, seconds) in seconds_left {
        set(&expiries, vec![("use", (*usage).to_owned())], *seconds);
    }
    registry.register(
        "tls_certificate_expiry_seconds",
        "Seconds until the certificate ends",
        expiries,
    );
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;

    use super::*;
    use crate::metrics::PREFIX;

    #[test]
    fn voters_that_answer_are_counted_where_that_is_known() {
        let member = |id, voter, silent_ms| MemberStatus {
            id,
            address: format!("mx{id}:7400"),
            voter,
            lag: None,
            silent_ms,
            disk: None,
        };
        let page = |members: &[MemberStatus]| {
            let mut registry = Registry::with_prefix(PREFIX);
            register_voters(&mut registry, members);
            let mut page = String::new();
            text::encode_registry(&mut page, &registry).unwrap();
            page
        };
        let told = page(&[
            member(1, true, Some(0)),
            member(2, true, Some(900)),
            member(3, true, Some(u64::MAX)),
            member(4, false, Some(0)),
        ]);
        assert!(told.contains("layover_raft_voters 3"), "{told}");
        assert!(told.contains("layover_raft_voters_answering 2"), "{told}");
        let untold = page(&[member(1, true, None), member(2, true, None)]);
        assert!(untold.contains("layover_raft_voters 2"), "{untold}");
        assert!(!untold.contains("answering"), "{untold}");
    }
}
