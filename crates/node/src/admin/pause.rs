//! Domains whose mail is kept back.

use std::time::Duration;

use api::admin::v1::{
    DomainPauseRequest, DomainPauseResponse, DomainResumeRequest, DomainResumeResponse,
};
use cluster::Cluster;
use spool::{Outbox, Timestamp, policy::domain_named};
use tonic::Status;

use super::{audit, recipients, refused};

/// A shorter pause would be over before it is known everywhere.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// Ten years: whoever means more resumes the domain himself.
const PAUSE_MAX: Duration = Duration::from_hours(10 * 8766);

/// Pauses a domain.
pub(super) async fn pause(
    cluster: &Cluster,
    request: DomainPauseRequest,
    by: String,
    now: Timestamp,
) -> Result<DomainPauseResponse, Status> {
    let domain = domain_named(&request.domain);
    recipients::policy_with(cluster, &domain)?;
    let span = request.for_ms.map(Duration::from_millis);
    check(span)?;
    let until = span.map(|span| now.after(span));
    let mut what = format!("domain pause {domain}");
    if let Some(span) = span {
        what.push_str(&format!(" --for {}", humantime::format_duration(span)));
    }
    let action = cluster.action(by, what, audit::reason(&request.reason));
    let paused = cluster.pause(domain.clone(), until, action.clone());
    paused.await.map_err(refused)?;
    audit::tell(&action, 1);
    let destinations = cluster.destinations().into_iter();
    let own = destinations
        .filter(|(name, _)| *name == domain)
        .map(|(_, destination)| destination.totals.undelivered());
    Ok(DomainPauseResponse {
        until_ms: until.map(|until| until.0),
        waiting: own.sum(),
    })
}

fn check(span: Option<Duration>) -> Result<(), Status> {
    if span.is_none_or(|span| (PAUSE_MIN..=PAUSE_MAX).contains(&span)) {
        return Ok(());
    }
    Err(Status::invalid_argument(
        "a domain is paused for 1s at least and 10 years at most; leave the time out to pause it until it is resumed",
    ))
}

/// Ends what keeps a domain's mail back: a pause, a guarded recovery, or both.
pub(super) async fn resume(
    cluster: &Cluster,
    request: DomainResumeRequest,
    by: String,
) -> Result<DomainResumeResponse, Status> {
    let domain = domain_named(&request.domain);
    recipients::policy_beside(cluster, &domain)?;
    let what = format!("domain resume {domain}");
    let action = cluster.action(by, what, audit::reason(&request.reason));
    let before = Outbox::destination(cluster, &domain);
    let resumed = cluster.resume(domain, action.clone());
    let tally = resumed.await.map_err(refused)?;
    if tally.changed > 0 {
        audit::tell(&action, 1);
    }
    let changed = tally.changed > 0;
    Ok(DomainResumeResponse {
        changed,
        pause_ended: changed && before.pause_at(action.at).is_some(),
        guard_ended: changed && before.guard.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_no_slip() {
        let year = Duration::from_hours(8766);
        for (span, is_possible) in [
            (None, true),
            (Some(Duration::ZERO), false),
            (Some(Duration::from_millis(999)), false),
            (Some(PAUSE_MIN), true),
            (Some(10 * year), true),
            (Some(11 * year), false),
            (Some(Duration::from_millis(u64::MAX)), false),
        ] {
            assert_eq!(check(span).is_ok(), is_possible, "{span:?}");
        }
    }
}
