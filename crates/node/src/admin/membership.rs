//! Changes of who is a member and who leads, as operators ask for them.

use api::admin::v1::{ClusterAddRequest, ClusterChangeResponse};
use cluster::{Change, ChangeError, Cluster};
use tonic::{Response, Status};

use super::audit;
use crate::config::PEER_PORT_DEFAULT;

/// The addition that is asked for, its address in the form in which node files have theirs.
pub(super) fn addition(request: ClusterAddRequest) -> Result<Change, Status> {
    if request.id == 0 {
        return Err(Status::invalid_argument(
            "0 is no id of a node; use 1 or more, never used before",
        ));
    }
    let address = spool::policy::host_port(&request.address, PEER_PORT_DEFAULT)
        .map_err(|error| Status::invalid_argument(error.0))?;
    Ok(Change::Add {
        id: request.id,
        address,
        blank: false,
    })
}

/// Makes a change; the status says why it was refused.
pub(super) async fn change(
    cluster: &Cluster,
    change: Change,
    by: String,
) -> Result<Response<ClusterChangeResponse>, Status> {
    match cluster.change(&change).await {
        Ok(done) => {
            if done.changed {
                audit::note(cluster, by, words(&change)).await;
            }
            Ok(Response::new(ClusterChangeResponse {
                changed: done.changed,
            }))
        }
        Err(error @ ChangeError::Refused(_)) => Err(Status::failed_precondition(error.to_string())),
        Err(error @ ChangeError::NoLeader) => Err(Status::unavailable(error.to_string())),
    }
}

/// The change as one would type it.
fn words(change: &Change) -> String {
    match change {
        Change::Add { id, address, .. } => format!("cluster add {id} {address}"),
        Change::Remove { id } => format!("cluster remove {id}"),
        Change::Transfer { to } => format!("cluster transfer-leader {to}"),
        Change::Move { id, address } => format!("move of node {id} to {address}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(id: u64, address: &str) -> Result<Change, Status> {
        addition(ClusterAddRequest {
            id,
            address: address.to_owned(),
        })
    }

    #[test]
    fn an_address_without_a_port_gets_that_of_peers() {
        let change = asked(4, "mx4.internal").unwrap();
        let address = "mx4.internal:7400".to_owned();
        let expected = Change::Add {
            id: 4,
            address,
            blank: false,
        };
        assert_eq!(change, expected);
    }

    #[test]
    fn what_is_no_id_or_no_address_is_refused() {
        for (id, address) in [(0, "mx4:7400"), (4, ""), (4, "mx4:port")] {
            let status = asked(id, address).unwrap_err();
            assert_eq!(
                status.code(),
                tonic::Code::InvalidArgument,
                "{id} {address}"
            );
        }
    }
}
