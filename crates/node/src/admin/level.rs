//! What of this node's log is shown.

use api::admin::v1::{LogLevelRequest, LogLevelResponse};
use cluster::Cluster;
use tonic::{Request, Response, Status};

use super::audit;
use crate::logging::Shown;

/// Changes what is shown, if that is asked for, and says what is.
pub(super) async fn log_level(
    cluster: &Cluster,
    shown: &Shown,
    request: Request<LogLevelRequest>,
) -> Result<Response<LogLevelResponse>, Status> {
    let by = audit::asker(&request);
    let node_id = cluster.node_id();
    if let Some(filter) = request.into_inner().filter {
        shown
            .change(&filter)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        audit::note(cluster, by, format!("log-level {filter} on node {node_id}")).await;
    }
    let filter = shown.filter();
    Ok(Response::new(LogLevelResponse { node_id, filter }))
}
