//! Messages to be delivered again.

use std::time::{Duration, UNIX_EPOCH};

use api::admin::v1::{ReplayProgress, ReplayRequest};
use cluster::{Cluster, Replayed};
use futures::{Stream, stream};
use spool::{Timestamp, policy::domain_named};
use tonic::Status;

use super::{audit, refused, trouble::FAR_MS};

/// Replays, and tells how far it has come until it is done. It is noted before, as it may break off.
pub(super) async fn replay(
    cluster: &Cluster,
    request: ReplayRequest,
    by: String,
) -> Result<impl Stream<Item = Result<ReplayProgress, Status>> + use<>, Status> {
    let Some(policy) = cluster.policy() else {
        return Err(Status::unavailable("the cluster is not founded yet"));
    };
    let domain = request.domain.as_deref().map(domain_named);
    if let Some(name) = domain.as_ref().filter(|name| policy.domain(name).is_none()) {
        return Err(Status::not_found(format!(
            "no domain {name:?} is in the policy"
        )));
    }
    let since = UNIX_EPOCH + Duration::from_millis(request.since_ms.min(FAR_MS));
    let mut what = format!(
        "replay --since {}",
        humantime::format_rfc3339_seconds(since)
    );
    if let Some(domain) = &domain {
        what.push_str(&format!(" --domain {domain}"));
    }
    audit::note(cluster, by, what).await;
    let replaying = cluster.replay(Timestamp(request.since_ms), domain);
    Ok(stream::try_unfold(replaying, async |mut replaying| {
        let told = replaying.step().await.map_err(refused)?;
        Ok(told.map(|told| (progress(told), replaying)))
    }))
}

const fn progress(told: Replayed) -> ReplayProgress {
    ReplayProgress {
        replayed: told.messages,
        gone: told.gone,
        left: told.left,
    }
}
