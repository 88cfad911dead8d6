//! Messages to be delivered again.

use api::admin::v1::{ReplayProgress, ReplayRequest};
use cluster::{Cluster, Replayed};
use futures::{Stream, stream};
use spool::Timestamp;
use tonic::Status;

use super::refused;

/// Replays, and tells how far it has come until it is done.
pub(super) fn replay(
    cluster: &Cluster,
    request: ReplayRequest,
) -> Result<impl Stream<Item = Result<ReplayProgress, Status>> + use<>, Status> {
    let Some(policy) = cluster.policy() else {
        return Err(Status::unavailable("the cluster is not founded yet"));
    };
    let domain = request.domain.map(|name| name.to_ascii_lowercase());
    if let Some(name) = domain.as_ref().filter(|name| policy.domain(name).is_none()) {
        return Err(Status::not_found(format!(
            "no domain {name:?} is in the policy"
        )));
    }
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
