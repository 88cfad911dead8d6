//! Whether a domain's primary takes mail, from what the cluster knows and from where this node is.

use std::time::{Duration, UNIX_EPOCH};

use api::admin::v1::DomainStatus;
use relay::{
    doctor::{Check, Finding},
    outbound::{self, Step},
    route::Routes,
};
use spool::policy::Domain;

use super::outbound::Dials;
use crate::admin::trouble::FAR_MS;

/// What came of looking at a primary from here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Probed {
    /// Whether mail could go there.
    is_ready: bool,
    /// What went wrong last.
    words: Option<String>,
    /// Why mail goes there otherwise than it should.
    warning: Option<String>,
}

/// Talks to the primary up to where it would get mail, and notes whom it could connect to.
pub(super) async fn probe(
    domain: &Domain,
    routes: &Routes,
    hostname: &str,
    dials: &Dials,
) -> Probed {
    let (mut words, mut warning) = (None, None);
    let note = |step: Step| {
        if let Some(address) = step.dialled {
            dials.note(address, step.is_sound);
        }
        if !step.is_sound {
            words = Some(step.words);
        } else if step.is_warning {
            warning = Some(step.words);
        }
    };
    let is_ready = outbound::probe(domain, routes, hostname, note).await;
    Probed {
        is_ready,
        words,
        warning,
    }
}

pub(super) fn judge(check: &Check, status: Option<&DomainStatus>, probed: &Probed) -> Finding {
    let down = status.filter(|status| status.primary_state == "down");
    let words = probed.words.as_deref().unwrap_or("it gives no reason");
    match (probed.is_ready, down) {
        (true, None) => match &probed.warning {
            None => check.fine("its primary is ready for mail, seen from this node"),
            Some(warning) => check.warning(format!(
                "its primary takes mail, seen from this node, but {warning}; mend TLS there; tls = \"require\" in \
                 the policy keeps it from going in clear"
            )),
        },
        (true, Some(down)) => check.warning(format!(
            "its primary is ready for mail, seen from this node, but counts as down{}: if that stays so, see whether \
             the node that leads reaches it",
            known(down)
        )),
        (false, None) => check.problem(format!(
            "its primary is not ready for mail, seen from this node: {words}; see whether the way is barred, and ask \
             the other nodes"
        )),
        (false, Some(down)) => check.problem(format!(
            "its primary is down{}; seen from this node: {words}",
            known(down)
        )),
    }
}

/// ` since 2026-01-31T12:00:00Z (connection refused)`.
fn known(down: &DomainStatus) -> String {
    let since = down.since_ms.map_or_else(String::new, |since| {
        let since = UNIX_EPOCH + Duration::from_millis(since.min(FAR_MS));
        format!(" since {}", humantime::format_rfc3339_seconds(since))
    });
    let reason = down.reason.as_ref();
    let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
    format!("{since}{reason}")
}

#[cfg(test)]
mod tests {
    use relay::doctor::Verdict;

    use super::*;

    #[test]
    fn what_the_cluster_knows_and_what_this_node_sees_are_held_together() {
        let up = DomainStatus {
            primary_state: "up".to_owned(),
            ..DomainStatus::default()
        };
        let down = DomainStatus {
            primary_state: "down".to_owned(),
            since_ms: Some(1_700_000_000_000),
            reason: Some("connection refused".to_owned()),
            ..DomainStatus::default()
        };
        let ready = Probed {
            is_ready: true,
            words: Some("the first host is silent".to_owned()),
            warning: None,
        };
        let in_clear = Probed {
            warning: Some("mail goes in clear".to_owned()),
            ..ready.clone()
        };
        let barred = Probed {
            is_ready: false,
            words: Some("no connection".to_owned()),
            warning: None,
        };
        let check = Check::of("primary", "example.com");
        for (status, probed, expected) in [
            (Some(&up), &ready, Verdict::Fine),
            (None, &ready, Verdict::Fine),
            (Some(&up), &in_clear, Verdict::Warning),
            (Some(&down), &ready, Verdict::Warning),
            (Some(&up), &barred, Verdict::Problem),
            (Some(&down), &barred, Verdict::Problem),
        ] {
            assert_eq!(judge(&check, status, probed).verdict, expected);
        }
        assert_eq!(
            judge(&check, Some(&down), &barred).text,
            "its primary is down since 2023-11-14T22:13:20Z (connection refused); seen from this node: no connection"
        );
    }
}
