//! How a message's mail goes to each of its domains, in words.

use std::time::Duration;

use api::admin::v1::WayOfDomain;
use cluster::Cluster;
use futures::future::join_all;
use relay::route::Routes;
use spool::{Message, Policy, notice};
use tokio::time::timeout;

/// How long an answer waits for name servers.
const PATIENCE: Duration = Duration::from_secs(3);

/// Of each domain for which a message is still to be delivered.
pub(super) async fn of(cluster: &Cluster, routes: &Routes, message: &Message) -> Vec<WayOfDomain> {
    let Some(policy) = cluster.policy() else {
        return Vec::new();
    };
    let is_open = |domain: &&str| {
        let mut recipients = message.recipients.iter();
        recipients.any(|one| one.domain == *domain && !one.status.is_final())
    };
    let open = message.domains().into_iter().filter(is_open);
    join_all(open.map(|domain| way(&policy, routes, domain))).await
}

async fn way(policy: &Policy, routes: &Routes, name: &str) -> WayOfDomain {
    let words = match policy.domain(name) {
        Some(domain) => timeout(PATIENCE, routes.explain(domain))
            .await
            .unwrap_or_else(|_| vec!["it is being looked up: ask again in a moment".to_owned()]),
        None if name == notice::QUEUE => {
            vec!["no smarthost is named in the policy: a report goes to its recipient's own MX hosts".to_owned()]
        }
        None => {
            vec![format!(
                "the policy does not know {name}: its mail waits until it does, or an operator acts"
            )]
        }
    };
    WayOfDomain {
        domain: name.to_owned(),
        words,
    }
}
