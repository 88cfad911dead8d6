//! Whether the policy file of this node still says what the cluster goes by.

use std::path::PathBuf;

use cluster::Cluster;
use spool::policy::Document;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Says so once when the file that was read at the start differs from the policy in force. That is known
/// when this node takes mail.
pub(crate) async fn tell(
    cluster: Cluster,
    file: PathBuf,
    document: Document,
    stop: CancellationToken,
) {
    let mut accepting = cluster.accepting();
    let known = accepting.wait_for(|accepting| *accepting);
    if stop.run_until_cancelled(known).await.is_some()
        && let Some(policy) = cluster.policy_in_force()
        && policy.document != document
    {
        let file = file.display();
        warn!(
            %file, version = policy.version,
            "the policy file differs from the policy in force, which counts: `layover policy diff {file}` \
             shows how, `layover policy apply {file}` puts the file's in force"
        );
    }
    stop.cancelled().await;
}
