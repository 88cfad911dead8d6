//! What a person should know, in plain sentences.

use std::time::{Duration, UNIX_EPOCH};

use api::admin::v1::{DomainStatus, ExpiringMessages, Pause};
use cluster::ClusterStatus;
use spool::{Alarm, destination::NO_ROUTE};

/// Entries that a busy peer may lack for a moment.
const LAG_MAX: u64 = 10_000;

/// The end of the year 9999, up to which moments can be written.
pub(super) const FAR_MS: u64 = 253_402_300_799_000;

/// The worst first. `obstacle` is why the node that is asked takes no mail, if it takes none.
pub(super) fn troubles(
    cluster: &ClusterStatus,
    obstacle: Option<&str>,
    domains: &[DomainStatus],
    alarms: &[Alarm],
) -> Vec<String> {
    let mut troubles = Vec::new();
    if cluster.leadership.leader.is_none() && cluster.members.is_empty() {
        troubles.push(
            "There is no cluster yet: it begins once a majority of the [cluster] members run and reach each \
             other, or a node that joins one has been added."
                .to_owned(),
        );
    } else if cluster.leadership.leader.is_none() {
        troubles.push(
            "No leader is known: this node sees no majority of the nodes, so no mail is taken or delivered. What \
             was acknowledged is safe. Start the nodes that are down, and delete nothing; layover doctor says \
             which do not answer."
                .to_owned(),
        );
    } else if let Some(obstacle) = obstacle.filter(|_| !cluster.disks_full) {
        troubles.push(format!(
            "Node {} takes no mail: {obstacle}.",
            cluster.node_id
        ));
    }
    troubles.extend(alarms.iter().map(|alarm| alarm.words.clone()));
    if cluster.disks_full {
        troubles.push(
            "Too little disk space is free on a majority of the nodes: no mail is taken. What is \
             queued is delivered. Grow the disks, or make room beside the data directories."
                .to_owned(),
        );
    }
    for member in &cluster.members {
        if let Some(disk) = member.disk.filter(|disk| disk.is_short) {
            troubles.push(format!(
                "Node {} ({}) has too little free disk space: {} MiB.",
                member.id,
                member.address,
                disk.free_bytes >> 20
            ));
        }
    }
    for member in cluster
        .members
        .iter()
        .filter(|m| cluster.leadership.leader != Some(m.id))
    {
        if member.answers() == Some(false) {
            let silence = Duration::from_millis(member.silent_ms.unwrap_or(0));
            troubles.push(format!(
                "Node {} ({}) has not answered for {}: start it again; its log says why it ended.",
                member.id,
                member.address,
                humantime::format_duration(Duration::from_secs(silence.as_secs()))
            ));
        } else if let Some(lag) = member.lag.filter(|lag| *lag > LAG_MAX) {
            troubles.push(format!("Node {} lacks {lag} log entries.", member.id));
        }
    }
    troubles.extend(domains.iter().flat_map(of_domain));
    troubles
}

/// What is wrong with one domain's primary, or its mail.
fn of_domain(domain: &DomainStatus) -> Vec<String> {
    let mut troubles = Vec::new();
    let undelivered = domain.waiting + domain.deferred;
    if !domain.in_policy && undelivered > 0 {
        troubles.push(left_policy(&domain.name, undelivered));
    }
    if let Some(pause) = &domain.paused {
        troubles.push(paused(&domain.name, pause));
    }
    if domain.in_policy && domain.primary_state == "down" {
        let reason = domain.reason.as_deref().unwrap_or("no reason is known");
        // That there is no way to it is an alarm.
        if !reason.starts_with(NO_ROUTE) {
            troubles.push(format!("The primary of {} is down: {reason}.", domain.name));
        }
    }
    if domain
        .recipients
        .is_some_and(|roster| roster.takes_everybody)
    {
        troubles.push(format!(
            "The primary of {} takes mail for every address: recipients = \"verify\" can refuse nobody there.",
            domain.name
        ));
    }
    if let Some(expiring) = &domain.expiring {
        troubles.push(expires_soon(&domain.name, expiring));
    }
    if domain.rejected > 0 {
        troubles.push(format!(
            "The primary of {} refused for good, or did not take in time, {}; layover queue list --state rejected shows what.",
            domain.name,
            if domain.rejected == 1 { "a message".to_owned() } else { format!("{} messages", domain.rejected) },
        ));
    }
    troubles
}

/// Mail of a domain is kept back.
fn paused(domain: &str, pause: &Pause) -> String {
    let reason = match pause.reason.as_str() {
        "" => String::new(),
        reason => format!(" ({reason})"),
    };
    format!(
        "{domain} is paused by {}{reason}: its mail is taken, and none is sent (layover domain resume {domain}).",
        pause.by
    )
}

/// Mail is given up when its time is over.
fn expires_soon(domain: &str, expiring: &ExpiringMessages) -> String {
    let what = if expiring.messages == 1 {
        "1 message".to_owned()
    } else {
        format!("{} messages", expiring.messages)
    };
    let first = UNIX_EPOCH + Duration::from_millis(expiring.first_ms.min(FAR_MS));
    format!(
        "{what} for {domain} will be given up within 72 hours, the first at {}, unless the primary takes them \
         or is down; max_age in the policy says when.",
        humantime::format_rfc3339_seconds(first)
    )
}

/// Mail stays in the queue of a domain that is not in the policy any more.
pub(super) fn left_policy(domain: &str, messages: u64) -> String {
    let what = if messages == 1 {
        "1 message waits".to_owned()
    } else {
        format!("{messages} messages wait")
    };
    format!(
        "{what} for {domain}, which is not in the policy any more: they leave when it is in it again \
         (layover policy apply)."
    )
}

#[cfg(test)]
mod tests {
    use api::admin::v1::Roster;
    use cluster::{Leadership, MemberStatus, Room};

    use super::*;

    const AMPLE: Room = Room {
        free_bytes: 1 << 40,
        is_short: false,
        lacking_bytes: 0,
    };

    fn sound() -> ClusterStatus {
        let member = |id, silent_ms| MemberStatus {
            id,
            address: format!("mx{id}:7400"),
            voter: true,
            lag: Some(0),
            silent_ms: Some(silent_ms),
            disk: Some(AMPLE),
        };
        ClusterStatus {
            cluster: Some(5),
            node_id: 1,
            leadership: Leadership {
                term: 1,
                leader: Some(1),
                leading: true,
            },
            accepting: true,
            last_log_index: 9,
            last_applied_index: 9,
            disk: AMPLE,
            disks_full: false,
            members: vec![member(1, 0), member(2, 100)],
        }
    }

    #[test]
    fn a_sound_cluster_has_no_troubles() {
        let up = DomainStatus {
            in_policy: true,
            primary_state: "up".to_owned(),
            ..DomainStatus::default()
        };
        assert!(troubles(&sound(), None, &[up], &[]).is_empty());
    }

    #[test]
    fn each_trouble_is_told_with_its_name() {
        let mut status = sound();
        status.members[1].silent_ms = Some(65_500);
        status.disks_full = true;
        status.members[0].disk = Some(Room {
            free_bytes: 7 << 20,
            is_short: true,
            lacking_bytes: 1 << 30,
        });
        let domain = DomainStatus {
            name: "example.com".to_owned(),
            in_policy: true,
            primary_state: "down".to_owned(),
            reason: Some("connection refused".to_owned()),
            rejected: 2,
            paused: Some(Pause {
                since_ms: 1,
                until_ms: None,
                by: "ann".to_owned(),
                reason: "new disks".to_owned(),
            }),
            expiring: Some(ExpiringMessages {
                messages: 4,
                first_ms: 1_700_000_000_000,
            }),
            recipients: Some(Roster {
                takes_everybody: true,
                ..Roster::default()
            }),
            ..DomainStatus::default()
        };
        let left = DomainStatus {
            name: "example.org".to_owned(),
            primary_state: "down".to_owned(),
            waiting: 3,
            ..DomainStatus::default()
        };
        let alarm = Alarm {
            name: spool::alarm::RECOVERY_GUARD,
            domain: "example.net".to_owned(),
            since: spool::Timestamp(7),
            words: "The primary of example.net is back and not itself.".to_owned(),
        };
        assert_eq!(
            troubles(&status, Some("no room"), &[domain, left], &[alarm]),
            [
                "The primary of example.net is back and not itself.",
                "Too little disk space is free on a majority of the nodes: no mail is taken. What is queued is delivered. Grow the disks, or make room beside the data directories.",
                "Node 1 (mx1:7400) has too little free disk space: 7 MiB.",
                "Node 2 (mx2:7400) has not answered for 1m 5s: start it again; its log says why it ended.",
                "example.com is paused by ann (new disks): its mail is taken, and none is sent (layover domain resume example.com).",
                "The primary of example.com is down: connection refused.",
                "The primary of example.com takes mail for every address: recipients = \"verify\" can refuse nobody there.",
                "4 messages for example.com will be given up within 72 hours, the first at 2023-11-14T22:13:20Z, unless the primary takes them or is down; max_age in the policy says when.",
                "The primary of example.com refused for good, or did not take in time, 2 messages; layover queue list --state rejected shows what.",
                "3 messages wait for example.org, which is not in the policy any more: they leave when it is in it again (layover policy apply).",
            ]
        );
    }

    #[test]
    fn why_no_mail_is_taken_comes_first() {
        let first = |status: &ClusterStatus, obstacle| {
            let troubles = troubles(status, obstacle, &[], &[]);
            troubles.into_iter().next().unwrap_or_default()
        };
        let mut status = sound();
        assert_eq!(
            first(&status, Some("storage has failed")),
            "Node 1 takes no mail: storage has failed."
        );
        status.leadership.leader = None;
        assert!(first(&status, Some("no quorum")).starts_with("No leader is known"));
        status.members.clear();
        assert!(first(&status, Some("no policy")).starts_with("There is no cluster yet"));
    }
}
