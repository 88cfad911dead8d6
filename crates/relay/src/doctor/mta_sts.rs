//! A domain's MTA-STS policy names every node (RFC 8461).
//!
//! ```text
//!   TXT of _mta-sts.DOMAIN ─ none ─▶ nothing to look at
//!        │ v=STSv1
//!   https://mta-sts.DOMAIN/.well-known/mta-sts.txt (fetch) ─▶ Policy ─▶ covers each node?
//! ```
//!
//! Senders that go by it send nothing to an MX host that it does not name, and those are the large ones.

mod fetch;
mod policy;

use std::sync::Arc;

use crate::dns::{Dns, LookupError};
use crate::doctor::mta_sts::policy::{Mode, Policy};
use crate::doctor::{Check, Finding, Node};
use crate::route::lookups;

/// What a record of it begins with (RFC 8461 section 3.1).
const VERSION: &[u8] = b"v=STSv1";

/// Whether a domain's MTA-STS policy names the nodes; `None` where it has none.
pub(super) async fn look(dns: &Arc<Dns>, domain: &str, nodes: &[Node]) -> Option<Finding> {
    let check = Check::of("mta-sts", domain);
    match is_announced(dns, domain).await {
        Ok(false) => return None,
        Ok(true) => {}
        Err(error) => {
            return Some(check.skipped(format!("whether it has a policy is not known: {error}")));
        }
    }
    Some(match fetch::policy(dns, domain).await {
        Ok(text) => judge(&check, nodes, &text),
        Err(error) => check.skipped(format!(
            "its policy could not be fetched ({error}): see for yourself that it has {}",
            mx_lines(nodes.iter())
        )),
    })
}

async fn is_announced(dns: &Dns, domain: &str) -> Result<bool, LookupError> {
    let owner = format!("_mta-sts.{domain}");
    lookups::forget(dns, [owner.as_str()]);
    let texts = dns.txt(&owner).await?.into_records();
    Ok(texts.iter().any(|text| text.starts_with(VERSION)))
}

fn judge(check: &Check, nodes: &[Node], text: &str) -> Finding {
    let policy = match Policy::parse(text) {
        Ok(policy) => policy,
        Err(error) => {
            return check.problem(format!(
                "its policy is malformed, so that senders do without it: {error}"
            ));
        }
    };
    if policy.mode == Mode::None {
        return check.fine("its policy is none");
    }
    let missing = nodes.iter().filter(|node| !policy.covers(&node.hostname));
    let missing: Vec<&Node> = missing.collect();
    if missing.is_empty() {
        return check.fine("its policy names every node");
    }
    let lines = mx_lines(missing.into_iter());
    if policy.mode == Mode::Enforce {
        check.problem(format!(
            "its policy does not name every node, so that senders who go by it send nothing to the others: add {lines} \
             to it, and then change the id of its TXT record"
        ))
    } else {
        check.warning(format!(
            "its policy, which is on trial, does not name every node: add {lines} to it before it is enforced"
        ))
    }
}

/// `mx: mx1.example.net, mx: mx2.example.net`, as they stand in a policy.
fn mx_lines<'n>(nodes: impl Iterator<Item = &'n Node>) -> String {
    let lines: Vec<String> = nodes.map(|node| format!("mx: {}", node.hostname)).collect();
    lines.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn judged(text: &str) -> Finding {
        let node = |id: u64| Node {
            id,
            hostname: format!("mx{id}.example.net"),
            addresses: Vec::new(),
        };
        judge(
            &Check::of("mta-sts", "example.com"),
            &[node(1), node(2)],
            text,
        )
    }

    #[test]
    fn every_node_must_be_named() {
        let head = "version: STSv1\r\nmax_age: 86400\r\nmx: mail.example.com\r\n";
        for (rest, expected) in [
            ("mode: enforce\r\nmx: *.example.net\r\n", Verdict::Fine),
            ("mode: enforce\r\nmx: mx1.example.net\r\n", Verdict::Problem),
            ("mode: testing\r\nmx: mx1.example.net\r\n", Verdict::Warning),
            ("mode: none\r\n", Verdict::Fine),
            ("mode: perhaps\r\n", Verdict::Problem),
        ] {
            assert_eq!(judged(&format!("{head}{rest}")).verdict, expected, "{rest}");
        }
        let missing = judged(&format!("{head}mode: enforce\r\nmx: MX1.example.net"));
        assert!(
            missing.text.contains("add mx: mx2.example.net to it"),
            "{missing:?}"
        );
    }
}
