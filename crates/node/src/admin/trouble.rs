//! What a person should know, in plain sentences.

use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};

use api::admin::v1::{DomainStatus, ExpiringMessages, Pause, Quota};
use cluster::{CertificateEnd, ClusterStatus};
use spool::{Alarm, Timestamp, destination::NO_ROUTE};

use crate::certificates::WARNING;

/// Entries that a busy peer may lack for a moment.
const LAG_MAX: u64 = 10_000;

/// The end of the year 9999, up to which moments can be written.
pub(super) const FAR_MS: u64 = 253_402_300_799_000;

/// The worst first. `obstacle` is why the node that is asked takes no mail, if it takes none; `certificates` is what
/// is wrong with those.
pub(super) fn troubles(
    cluster: &ClusterStatus,
    obstacle: Option<&str>,
    certificates: &[String],
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
    troubles.extend_from_slice(certificates);
    troubles.extend(domains.iter().flat_map(of_domain));
    troubles
}

/// Which certificates have ended or will soon, of the nodes that tell of theirs.
pub(super) fn of_certificates(
    ends: &BTreeMap<u64, Vec<CertificateEnd>>,
    now: Timestamp,
) -> Vec<String> {
    let all = ends
        .iter()
        .flat_map(|(node, ends)| ends.iter().map(move |end| (*node, end)));
    let near = all.filter(|(_, end)| end.not_after < now.after(WARNING));
    near.map(|(node, end)| of_certificate(node, end, now))
        .collect()
}

fn of_certificate(node: u64, end: &CertificateEnd, now: Timestamp) -> String {
    let without = match end.usage.as_str() {
        "smtp" => "senders that check it take this node for another",
        "cluster" => "the other nodes do not talk to it",
        _ => "operators do not reach it from elsewhere",
    };
    let (usage, at) = (&end.usage, moment(end.not_after.0));
    if end.not_after <= now {
        return format!(
            "The certificate of node {node} for [{usage}] has ended at {at}: {without}. Put a new one in the place of \
             its file; the node reads it by itself."
        );
    }
    let days = end.not_after.since(now).as_secs() / (24 * 3600);
    let left = match days {
        0 => "in less than a day".to_owned(),
        1 => "in 1 day".to_owned(),
        days => format!("in {days} days"),
    };
    format!(
        "The certificate of node {node} for [{usage}] ends {left}, at {at}; then {without}. Put a new one in the place \
         of its file; the node reads it by itself."
    )
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
    if let Some(quota) = domain.quota.filter(|quota| quota.is_reached) {
        troubles.push(full(domain, quota));
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

/// No more mail of a domain is taken.
fn full(domain: &DomainStatus, quota: Quota) -> String {
    let queued = domain.waiting + domain.deferred + domain.held;
    let which = if quota.messages > 0 && queued >= quota.messages {
        format!("max_queued_messages = {}", quota.messages)
    } else {
        format!("max_queued_size = \"{}\"", quota.bytes)
    };
    format!(
        "The queue of {} is full ({which} in the policy): more mail for it is refused with 452 until some has left. To \
         take more, raise that and apply the policy.",
        domain.name
    )
}

/// Mail is given up when its time is over.
fn expires_soon(domain: &str, expiring: &ExpiringMessages) -> String {
    let what = if expiring.messages == 1 {
        "1 message".to_owned()
    } else {
        format!("{} messages", expiring.messages)
    };
    let first = moment(expiring.first_ms);
    format!(
        "{what} for {domain} will be given up within 72 hours, the first at {first}, unless the primary takes them \
         or is down; max_age in the policy says when."
    )
}

/// `2023-11-14T22:13:20Z`.
fn moment(at_ms: u64) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(at_ms.min(FAR_MS));
    humantime::format_rfc3339_seconds(at).to_string()
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
            courses: BTreeMap::new(),
        }
    }

    #[test]
    fn a_sound_cluster_has_no_troubles() {
        let up = DomainStatus {
            in_policy: true,
            primary_state: "up".to_owned(),
            ..DomainStatus::default()
        };
        assert!(troubles(&sound(), None, &[], &[up], &[]).is_empty());
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
            since: Timestamp(7),
            words: "The primary of example.net is back and not itself.".to_owned(),
        };
        assert_eq!(
            troubles(
                &status,
                Some("no room"),
                &["A certificate ends.".to_owned()],
                &[domain, left],
                &[alarm]
            ),
            [
                "The primary of example.net is back and not itself.",
                "Too little disk space is free on a majority of the nodes: no mail is taken. What is queued is delivered. Grow the disks, or make room beside the data directories.",
                "Node 1 (mx1:7400) has too little free disk space: 7 MiB.",
                "Node 2 (mx2:7400) has not answered for 1m 5s: start it again; its log says why it ended.",
                "A certificate ends.",
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
    fn the_limit_that_is_reached_is_named() {
        let told = |messages, is_reached| {
            let quota = Quota {
                messages,
                bytes: 1_024,
                is_reached,
            };
            of_domain(&DomainStatus {
                name: "example.com".to_owned(),
                in_policy: true,
                waiting: 2,
                quota: Some(quota),
                ..DomainStatus::default()
            })
        };
        assert_eq!(
            told(2, true),
            [
                "The queue of example.com is full (max_queued_messages = 2 in the policy): more mail for it is refused with 452 until some has left. To take more, raise that and apply the policy."
            ]
        );
        assert!(told(3, true)[0].contains("(max_queued_size = \"1024\" in the policy)"));
        assert!(told(3, false).is_empty());
    }

    #[test]
    fn certificates_that_end_soon_or_have_ended_are_told() {
        const DAY: u64 = 24 * 3600 * 1000;
        let now = Timestamp(1_700_000_000_000);
        let end = |usage: &str, not_after| CertificateEnd {
            usage: usage.to_owned(),
            not_after,
        };
        let days = |days: u64| Timestamp(now.0 + days * DAY);
        let ends = BTreeMap::from([
            (1, vec![end("cluster", days(30)), end("smtp", days(6))]),
            (2, vec![end("admin", days(14)), end("cluster", now)]),
        ]);
        assert_eq!(
            of_certificates(&ends, now),
            [
                "The certificate of node 1 for [smtp] ends in 6 days, at 2023-11-20T22:13:20Z; then senders that check it take this node for another. Put a new one in the place of its file; the node reads it by itself.",
                "The certificate of node 2 for [cluster] has ended at 2023-11-14T22:13:20Z: the other nodes do not talk to it. Put a new one in the place of its file; the node reads it by itself.",
            ]
        );
    }

    #[test]
    fn why_no_mail_is_taken_comes_first() {
        let first = |status: &ClusterStatus, obstacle| {
            let troubles = troubles(status, obstacle, &[], &[], &[]);
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
