//! `layover status`.

use api::admin::v1::{Delivery, DomainStatus, StatusRequest, StatusResponse};
use comfy_table::{Cell, Table};

use crate::{
    cluster::members,
    grade::{Grade, cell},
    output::Output,
    servers::{Client, Servers},
    words,
};

/// Shows nodes, domains and what is wrong.
pub(crate) async fn show(servers: &Servers, output: &mut Output) -> anyhow::Result<()> {
    let status = fetch(servers).await?;
    if output.is_json() {
        return Ok(output.document(&status)?);
    }
    output.line(&headline(&status))?;
    output.line("")?;
    if let Some(cluster) = &status.cluster {
        output.table(members(cluster))?;
        output.line("")?;
    }
    output.table(domains(&status))?;
    if status.retained_messages > 0 {
        output.line(&retained(&status))?;
    }
    output.line("")?;
    if status.troubles.is_empty() {
        output.graded_line(Some(Grade::Well), "All is well.", "")?;
    }
    for trouble in &status.troubles {
        let rest = format!(" {}", words::escaped(trouble));
        output.graded_line(Some(grade_of(trouble, &status)), "!", &rest)?;
    }
    Ok(())
}

/// What does not go on without a person is worse than what passes.
pub(crate) fn grade_of(trouble: &str, status: &StatusResponse) -> Grade {
    let is_alarm = status.alarms.iter().any(|alarm| alarm.text == trouble);
    if is_alarm { Grade::Wrong } else { Grade::Odd }
}

/// Asks for the status.
pub(crate) async fn fetch(servers: &Servers) -> anyhow::Result<StatusResponse> {
    servers
        .ask(async |mut client: Client| Ok(client.status(StatusRequest {}).await?.into_inner()))
        .await
}

/// The answering node in a line.
pub(crate) fn headline(status: &StatusResponse) -> String {
    let mut line = format!(
        "{}, layover {}",
        words::escaped(&status.hostname),
        status.version
    );
    if let Some(cluster) = &status.cluster {
        line.push_str(&format!(
            ", node {}: {}, term {}, {} free",
            cluster.node_id,
            if cluster.accepting {
                "takes mail"
            } else {
                "takes no mail"
            },
            cluster.term,
            words::size(cluster.free_bytes)
        ));
    }
    line
}

fn retained(status: &StatusResponse) -> String {
    format!(
        "kept for a replay: {}, {}",
        words::count(status.retained_messages, "delivered message"),
        words::size(status.retained_bytes)
    )
}

fn domains(status: &StatusResponse) -> Table {
    let mut table = Table::new();
    table.set_header([
        "DOMAIN", "PRIMARY", "WAITING", "DEFERRED", "HELD", "REJECTED", "SIZE", "OLDEST",
    ]);
    for domain in &status.domains {
        table.add_row([
            Cell::new(words::escaped(&domain.name)),
            cell(primary_state(domain, status.now_ms), grade(domain)),
            Cell::new(domain.waiting),
            Cell::new(domain.deferred),
            Cell::new(domain.held),
            Cell::new(domain.rejected),
            Cell::new(words::size(domain.bytes)),
            Cell::new(oldest(domain, status.now_ms)),
        ]);
    }
    table
}

/// How old the oldest message is that is still to be delivered.
pub(crate) fn oldest(domain: &DomainStatus, now_ms: u64) -> String {
    domain.oldest_ms.map_or_else(
        || "-".to_owned(),
        |at| words::span(now_ms.saturating_sub(at)),
    )
}

/// How bad it is that a domain's delivery stands as it does.
pub(crate) fn grade(domain: &DomainStatus) -> Option<Grade> {
    if !domain.in_policy {
        return Some(Grade::Odd);
    }
    // Nodes of earlier versions tell no condition.
    match (domain.condition.as_str(), domain.primary_state.as_str()) {
        ("up" | "draining", _) | ("", "up") => Some(Grade::Well),
        ("recovering" | "paused", _) => Some(Grade::Odd),
        ("down" | "probing" | "held-back" | "no-route", _) | ("", "down") => Some(Grade::Wrong),
        _ => None,
    }
}

/// `down for 3 minutes: connection refused`.
pub(crate) fn primary(domain: &DomainStatus, now_ms: u64) -> String {
    let mut text = primary_state(domain, now_ms);
    if let Some(reason) = &domain.reason {
        text.push_str(&format!(": {}", words::escaped(reason)));
    }
    text
}

/// `down for 3 minutes`, `draining, 20 a second, 1 minute left`. The reason stands among the troubles.
pub(crate) fn primary_state(domain: &DomainStatus, now_ms: u64) -> String {
    let mut text = condition(domain, now_ms);
    let delivery = domain.delivery.as_ref();
    if let Some(delivery) = delivery.filter(|_| domain.in_policy && domain.waiting > 0) {
        text.push_str(&drain(delivery, now_ms));
    }
    text
}

/// The same without how fast it drains.
pub(crate) fn condition(domain: &DomainStatus, now_ms: u64) -> String {
    if !domain.in_policy {
        return "not in the policy".to_owned();
    }
    let (guard, pause) = (domain.guard.as_ref(), domain.paused.as_ref());
    // Nodes of earlier versions tell no condition.
    let (word, since_ms) = match domain.condition.as_str() {
        "" => (domain.primary_state.as_str(), domain.since_ms),
        "probing" => ("down", domain.since_ms),
        "recovering" => ("recovering", guard.map(|guard| guard.begun_ms)),
        "held-back" => ("held back", guard.and_then(|guard| guard.tripped_ms)),
        "paused" => ("paused", pause.map(|pause| pause.since_ms)),
        "no-route" => ("no route", domain.since_ms),
        "draining" => ("draining", None),
        word => (word, domain.since_ms),
    };
    let mut text = word.to_owned();
    if let Some(since_ms) = since_ms {
        text.push_str(&format!(
            " for {}",
            words::span(now_ms.saturating_sub(since_ms))
        ));
    }
    if let Some(until_ms) = pause.and_then(|pause| pause.until_ms) {
        text.push_str(&format!(
            ", {} left",
            words::span(until_ms.saturating_sub(now_ms))
        ));
    }
    if domain.condition == "probing" {
        text.push_str(", being probed");
    }
    text
}

/// How fast, and for how long still, where that can be said.
fn drain(delivery: &Delivery, now_ms: u64) -> String {
    let Some(end_ms) = delivery.expected_end_ms else {
        return String::new();
    };
    format!(
        ", {:.0} a second, {} left",
        delivery.per_second,
        words::span(end_ms.saturating_sub(now_ms))
    )
}

#[cfg(test)]
mod tests {
    use api::admin::v1::{Pause, RecoveryGuard};

    use super::*;

    #[test]
    fn delivery_is_told_in_words() {
        let domain = |condition: &str| DomainStatus {
            in_policy: true,
            condition: condition.to_owned(),
            waiting: 3,
            since_ms: Some(1_000),
            paused: (condition == "paused").then(|| Pause {
                since_ms: 41_000,
                until_ms: Some(181_000),
                ..Pause::default()
            }),
            guard: Some(RecoveryGuard {
                begun_ms: 31_000,
                tripped_ms: Some(51_000),
                why: None,
            }),
            delivery: Some(Delivery {
                per_second: 19.8,
                expected_end_ms: Some(121_000),
                ..Delivery::default()
            }),
            ..DomainStatus::default()
        };
        let told = |condition| primary_state(&domain(condition), 61_000);
        assert_eq!(told("draining"), "draining, 20 a second, 1 minute left");
        let rest = ", 20 a second, 1 minute left";
        assert_eq!(
            told("recovering"),
            format!("recovering for 30 seconds{rest}")
        );
        let still = |condition| {
            let domain = DomainStatus {
                delivery: None,
                ..domain(condition)
            };
            primary_state(&domain, 61_000)
        };
        assert_eq!(still("held-back"), "held back for 10 seconds");
        assert_eq!(still("no-route"), "no route for 1 minute");
        assert_eq!(still("paused"), "paused for 20 seconds, 2 minutes left");
        assert_eq!(still("probing"), "down for 1 minute, being probed");
        assert_eq!(still("up"), "up for 1 minute");
    }

    #[test]
    fn what_needs_a_person_is_red() {
        let grade = |condition: &str, in_policy| {
            grade(&DomainStatus {
                in_policy,
                condition: condition.to_owned(),
                ..DomainStatus::default()
            })
        };
        assert_eq!(grade("up", true), Some(Grade::Well));
        assert_eq!(grade("paused", true), Some(Grade::Odd));
        assert_eq!(grade("held-back", true), Some(Grade::Wrong));
        assert_eq!(grade("a word of a later version", true), None);
        assert_eq!(grade("up", false), Some(Grade::Odd));
        let status = StatusResponse {
            alarms: vec![api::admin::v1::Alarm {
                text: "Mail is held back.".to_owned(),
                ..api::admin::v1::Alarm::default()
            }],
            ..StatusResponse::default()
        };
        assert_eq!(grade_of("Mail is held back.", &status), Grade::Wrong);
        assert_eq!(grade_of("Node 3 does not answer.", &status), Grade::Odd);
    }

    #[test]
    fn a_primary_is_told_in_words() {
        let domain = DomainStatus {
            in_policy: true,
            primary_state: "down".to_owned(),
            since_ms: Some(1_000),
            reason: Some("connection refused\u{1b}[31m".to_owned()),
            ..DomainStatus::default()
        };
        assert_eq!(
            primary(&domain, 61_000),
            "down for 1 minute: connection refused\\u{1b}[31m"
        );
    }
}
