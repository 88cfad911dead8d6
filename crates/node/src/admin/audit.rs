//! Who asks for something, and the log of what was changed.

use api::admin::v1::{AuditEntry, AuditListRequest};
use cluster::Cluster;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use spool::{Action, Audited, Timestamp};
use tonic::{Request, Status, metadata::MetadataMap};
use tracing::{info, warn};

use super::refused;

/// A name and a host, with some words: what is more of who asks is cut off.
pub(super) const BY_CHARS_MAX: usize = 200;

/// A sentence or two: what is more of a reason is cut off.
const REASON_CHARS_MAX: usize = 500;

/// Rows read at once.
const PAGE_ROWS: usize = 500;

/// In the metadata of a request: who asks, in his own words.
const BY: &str = "layover-by-bin";

/// Who asks: in his own words, and what his certificate names.
pub(super) fn asker<T>(request: &Request<T>) -> String {
    let own_words = own_words(request.metadata());
    let certificates = request.peer_certs();
    match certificates.as_ref().and_then(|chain| chain.first()) {
        Some(certificate) => format!("{own_words} (certificate of {})", tls::names(certificate)),
        None => own_words,
    }
}

fn own_words(metadata: &MetadataMap) -> String {
    let octets = metadata.get_bin(BY).and_then(|value| value.to_bytes().ok());
    let words = octets.map(|octets| String::from_utf8_lossy(&octets).into_owned());
    let words = shortened(&words.unwrap_or_default(), BY_CHARS_MAX);
    if words.is_empty() {
        "somebody".to_owned()
    } else {
        words
    }
}

/// A reason as it is noted: one line, and not too long.
pub(super) fn reason(words: &str) -> String {
    shortened(words, REASON_CHARS_MAX)
}

/// Words in one line, and not too many.
pub(super) fn shortened(words: &str, chars_max: usize) -> String {
    let line = words.trim().chars().take(chars_max);
    line.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Says in this node's log what an operator has changed.
pub(super) fn tell(action: &Action, changed: u64) {
    let Action {
        by, what, reason, ..
    } = action;
    info!(target: "audit", by, what, reason, changed, "changed by an operator");
}

/// Notes what an operator has done by a command that does not note it itself. It is done by then: that it
/// could not be noted on all nodes does not undo it.
pub(super) async fn note(cluster: &Cluster, by: String, what: String) {
    note_why(cluster, by, what, "").await;
}

/// The same, with why he has done it.
pub(super) async fn note_why(cluster: &Cluster, by: String, what: String, why: &str) {
    let action = cluster.action(by, what, reason(why));
    tell(&action, 1);
    if let Err(error) = cluster.note(action).await {
        warn!(target: "audit", %error, "the line above is not in the audit log");
    }
}

/// Notes what somebody is about to do, who may not do it unnoted.
///
/// # Errors
/// It could not be noted.
pub(super) async fn note_first(cluster: &Cluster, by: String, what: String) -> Result<(), Status> {
    let action = cluster.action(by, what, String::new());
    tell(&action, 1);
    cluster.note(action).await.map_err(refused)
}

/// What was changed since a moment, page by page.
pub(super) fn list(
    cluster: &Cluster,
    request: &AuditListRequest,
) -> impl Stream<Item = Result<AuditEntry, Status>> + Send + use<> {
    let since = Timestamp(request.since_ms);
    let cluster = cluster.clone();
    let pages = stream::try_unfold(0, move |after| {
        let cluster = cluster.clone();
        async move {
            let page = cluster.actions(since, after, PAGE_ROWS).await;
            let page = page.map_err(refused)?;
            let last = page.last().map(|row| row.action.id);
            Ok::<_, Status>(last.map(|last| (page, last)))
        }
    });
    pages
        .map_ok(|page| stream::iter(page).map(|row| Ok(entry(row))))
        .try_flatten()
}

fn entry(row: Audited) -> AuditEntry {
    AuditEntry {
        at_ms: row.action.at.0,
        by: row.action.by,
        what: row.action.what,
        reason: row.action.reason,
        changed: row.changed,
    }
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataValue;

    use super::*;

    #[test]
    fn who_asks_is_one_line_and_not_too_long() {
        let asked_by = |words: &str| {
            let mut request = Request::new(());
            let value = MetadataValue::from_bytes(words.as_bytes());
            request.metadata_mut().insert_bin(BY, value);
            asker(&request)
        };
        assert_eq!(asker(&Request::new(())), "somebody");
        assert_eq!(asked_by("Jörg"), "Jörg");
        assert!(!asked_by("a\nb").contains('\n'));
        assert_eq!(asked_by(&"x".repeat(1000)).len(), BY_CHARS_MAX);
    }
}
