//! Deferred messages that are made due.

use api::admin::v1::{FlushRequest, FlushResponse};
use cluster::Cluster;
use spool::{notice, policy::domain_named};
use tonic::Status;

use super::{audit, refused};

/// Makes them due, in one domain or in all.
pub(super) async fn flush(
    cluster: &Cluster,
    request: FlushRequest,
    by: String,
) -> Result<FlushResponse, Status> {
    let Some(policy) = cluster.policy() else {
        return Err(Status::unavailable("the cluster is not founded yet"));
    };
    let mut domains: Vec<String> = policy.domains.iter().map(|d| d.name.clone()).collect();
    let domain = request.domain.as_deref().map(domain_named);
    if let Some(name) = &domain {
        if !domains.contains(name) && name != notice::QUEUE {
            let known = domains.join(", ");
            let message = format!("no domain {name:?} is in the policy; its domains are {known}");
            return Err(Status::not_found(message));
        }
        domains = vec![name.clone()];
    }
    let mut what = "flush".to_owned();
    if let Some(name) = &domain {
        what.push_str(&format!(" {name}"));
    }
    cluster.flush(domain).await.map_err(refused)?;
    audit::note_why(cluster, by, what, &request.reason).await;
    Ok(FlushResponse { domains })
}
