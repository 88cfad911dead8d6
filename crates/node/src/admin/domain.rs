//! Where the mail of the policy's domains goes, and what a primary says when it is looked at.

use std::sync::Arc;

use api::admin::v1::{DomainEntry, DomainProbeStep, DomainStatus};
use cluster::Cluster;
use futures::{Stream, future::join_all, stream};
use relay::{
    outbound::{self, Step},
    route::Routes,
};
use spool::{
    Policy,
    policy::{Domain, Recipients},
};
use tokio::sync::mpsc;
use tonic::Status;

/// More steps than any probe has: a dozen hosts with as many addresses, and what each says.
const STEPS_MAX: usize = 1024;

/// Every domain of the policy. `statuses` are theirs; others among them are left out.
pub(super) async fn list(
    cluster: &Cluster,
    routes: &Routes,
    statuses: Vec<DomainStatus>,
) -> Vec<DomainEntry> {
    let Some(policy) = cluster.policy() else {
        return Vec::new();
    };
    let entries = statuses.into_iter().filter_map(|status| {
        let domain = policy.domain(&status.name)?;
        Some(entry(domain, routes, status))
    });
    join_all(entries).await
}

async fn entry(domain: &Domain, routes: &Routes, status: DomainStatus) -> DomainEntry {
    let route = match routes.find(domain).await {
        Ok(route) => route.to_string(),
        Err(none) => none.to_string(),
    };
    let recipients = match domain.recipients {
        Recipients::Any => "any",
        Recipients::List(_) => "list",
        Recipients::Verify { .. } => "verify",
    };
    DomainEntry {
        status: Some(status),
        route,
        by_mx: domain.primary.is_empty(),
        recipients: recipients.to_owned(),
        messages_per_second: domain.messages_per_second,
    }
}

/// Looks at the primary of a domain of the policy; each step as it is done. Ends early when nobody listens.
pub(super) fn probe(
    policy: &Policy,
    name: &str,
    routes: Arc<Routes>,
    hostname: String,
) -> impl Stream<Item = Result<DomainProbeStep, Status>> + Send + use<> {
    let domain = policy.domain(name).cloned();
    let (told, steps) = mpsc::channel(STEPS_MAX);
    let probing = async move {
        let Some(domain) = domain else { return };
        let is_ready = {
            let tell = |step: Step| {
                // A step more than fits is one that nobody would read.
                told.try_send(step_of(step)).ok();
            };
            tokio::select! {
                is_ready = outbound::probe(&domain, &routes, &hostname, tell) => is_ready,
                () = told.closed() => return,
            }
        };
        let verdict = DomainProbeStep {
            words: if is_ready {
                format!("the primary of {} is ready", domain.name)
            } else {
                format!("the primary of {} is not ready", domain.name)
            },
            took_ms: 0,
            sound: is_ready,
            ready: Some(is_ready),
            warning: false,
        };
        told.send(verdict).await.ok();
    };
    tokio::spawn(probing);
    stream::unfold(steps, |mut steps| async {
        let step = steps.recv().await?;
        Some((Ok(step), steps))
    })
}

fn step_of(step: Step) -> DomainProbeStep {
    DomainProbeStep {
        words: step.words,
        took_ms: u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX),
        sound: step.is_sound,
        ready: None,
        warning: step.is_warning,
    }
}
