//! `layover doctor --allow-list`: what lets the nodes pass at a primary, in the primary's own language.
//!
//! Mail that a backup hands over comes from the backup's addresses, many messages at a time. Greylisting and limits
//! on connections only delay it there, and block lists and SPF look at the wrong host.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::{bail, ensure};
use api::admin::v1::{NodeAddressesRequest, NodeHost};
use serde::Serialize;

use crate::{
    arguments::Receiver,
    output::Output,
    servers::{Client, Servers},
    words,
};

/// What a command with `--json` prints.
#[derive(Debug, Serialize)]
struct Document<'a> {
    nodes: &'a [NodeHost],
    snippet: &'a str,
}

/// Prints a snippet with the addresses of all nodes; fails after that when some are not known.
pub(crate) async fn show(
    servers: &Servers,
    output: &mut Output,
    receiver: Receiver,
) -> anyhow::Result<()> {
    let answer = servers
        .ask(async |mut client: Client| {
            let asked = client.node_addresses(NodeAddressesRequest {}).await;
            Ok(asked?.into_inner())
        })
        .await?;
    let nodes = answer.nodes;
    let addresses = addresses(&nodes);
    ensure!(
        !addresses.is_empty(),
        "no address of a node is known: `layover doctor` shows what the DNS says of their names"
    );
    let snippet = snippet(receiver, &addresses);
    if output.is_json() {
        output.document(&Document {
            nodes: &nodes,
            snippet: &snippet,
        })?;
    } else {
        for line in words::escaped_lines(&snippet) {
            output.line(&line)?;
        }
    }
    let unknown: Vec<String> = nodes
        .iter()
        .filter(|node| node.addresses.is_empty())
        .map(|node| node.id.to_string())
        .collect();
    if !unknown.is_empty() {
        bail!(
            "it lacks the nodes whose addresses are not known: {}; `layover doctor` shows why",
            unknown.join(", ")
        );
    }
    Ok(())
}

/// Each once, in order. What is no address is none of a node's.
fn addresses(nodes: &[NodeHost]) -> BTreeSet<IpAddr> {
    let texts = nodes.iter().flat_map(|node| &node.addresses);
    texts.filter_map(|text| text.parse().ok()).collect()
}

fn snippet(receiver: Receiver, addresses: &BTreeSet<IpAddr>) -> String {
    match receiver {
        Receiver::Postfix => postfix(addresses),
        Receiver::Exchange => exchange(addresses),
        Receiver::Rspamd => rspamd(addresses),
        Receiver::Spamassassin => spamassassin(addresses),
    }
}

/// Each address written in some way.
fn joined(
    addresses: &BTreeSet<IpAddr>,
    separator: &str,
    written: impl Fn(&IpAddr) -> String,
) -> String {
    let texts: Vec<String> = addresses.iter().map(written).collect();
    texts.join(separator)
}

/// In the restrictions on clients a `permit` opens no relay: those on recipients still stand behind it.
fn postfix(addresses: &BTreeSet<IpAddr>) -> String {
    let entries = joined(addresses, "\n", |address| format!("{address} permit"));
    let listed = joined(addresses, ", ", |address| match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    });
    format!(
        "# /etc/postfix/layover.cidr\n\
         {entries}\n\
         \n\
         # /etc/postfix/main.cf: add this to what stands there. The table belongs into these two only, never into\n\
         # the restrictions on recipients or relaying: the nodes are not to send anywhere else.\n\
         postscreen_access_list = permit_mynetworks, cidr:/etc/postfix/layover.cidr\n\
         smtpd_client_restrictions = permit_mynetworks, check_client_access cidr:/etc/postfix/layover.cidr\n\
         smtpd_client_event_limit_exceptions = $mynetworks, {listed}\n\
         # Only with xclient = true in Layover's policy:\n\
         smtpd_authorized_xclient_hosts = {listed}\n"
    )
}

fn exchange(addresses: &BTreeSet<IpAddr>) -> String {
    let ranges = joined(addresses, ",", IpAddr::to_string);
    let quoted = joined(addresses, ",", |address| format!("\"{address}\""));
    format!(
        "# In the Exchange Management Shell, on each server that takes mail from the Internet.\n\
         New-ReceiveConnector -Name \"Layover\" -TransportRole FrontendTransport -Usage Internet `\n  \
         -Bindings 0.0.0.0:25 -RemoteIPRanges {ranges}\n\
         Set-ReceiveConnector \"$env:COMPUTERNAME\\Layover\" -TarpitInterval 00:00:00 `\n  \
         -MaxInboundConnectionPerSource Unlimited -MaxInboundConnectionPercentagePerSource 100\n\
         # Its filters look at the host in front of the nodes then.\n\
         Set-TransportConfig -InternalSMTPServers @{{Add={quoted}}}\n"
    )
}

fn rspamd(addresses: &BTreeSet<IpAddr>) -> String {
    let entries = joined(addresses, "\n", IpAddr::to_string);
    format!(
        "# /etc/rspamd/local.d/maps.d/layover.map\n\
         {entries}\n\
         \n\
         # /etc/rspamd/local.d/external_relay.conf: SPF and block lists look at the host in front of the nodes\n\
         # (ip_map is there since 2023)\n\
         rules {{\n  \
         LAYOVER {{\n    \
         strategy = \"ip_map\";\n    \
         ip_map = \"/etc/rspamd/local.d/maps.d/layover.map\";\n  \
         }}\n\
         }}\n\
         \n\
         # /etc/rspamd/local.d/greylist.conf and /etc/rspamd/local.d/ratelimit.conf\n\
         whitelisted_ip = \"/etc/rspamd/local.d/maps.d/layover.map\";\n"
    )
}

fn spamassassin(addresses: &BTreeSet<IpAddr>) -> String {
    let listed = joined(addresses, " ", IpAddr::to_string);
    format!(
        "# /etc/spamassassin/local.cf: the nodes are MX hosts of yours, so SPF and block lists look at the host in\n\
         # front of them. Where these lists are set, SpamAssassin guesses none: add the primary's own addresses.\n\
         internal_networks {listed}\n\
         trusted_networks {listed}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Vec<NodeHost> {
        let node = |id, addresses: &[&str]| NodeHost {
            id,
            hostname: format!("mx{id}.example.net"),
            addresses: addresses.iter().map(|text| (*text).to_owned()).collect(),
        };
        vec![
            node(2, &["192.0.2.2", "2001:db8::2", "nowhere"]),
            node(1, &["192.0.2.1", "192.0.2.2"]),
        ]
    }

    #[test]
    fn every_address_stands_in_each_snippet_once_a_list() {
        let addresses = addresses(&nodes());
        assert_eq!(addresses.len(), 3);
        for (receiver, line) in [
            (Receiver::Postfix, "2001:db8::2 permit"),
            (
                Receiver::Postfix,
                "smtpd_authorized_xclient_hosts = 192.0.2.1, 192.0.2.2, [2001:db8::2]",
            ),
            (
                Receiver::Exchange,
                "  -Bindings 0.0.0.0:25 -RemoteIPRanges 192.0.2.1,192.0.2.2,2001:db8::2",
            ),
            (
                Receiver::Exchange,
                "Set-TransportConfig -InternalSMTPServers @{Add=\"192.0.2.1\",\"192.0.2.2\",\"2001:db8::2\"}",
            ),
            (Receiver::Rspamd, "2001:db8::2"),
            (
                Receiver::Spamassassin,
                "trusted_networks 192.0.2.1 192.0.2.2 2001:db8::2",
            ),
        ] {
            let snippet = snippet(receiver, &addresses);
            assert!(snippet.lines().any(|one| one == line), "{line}: {snippet}");
        }
    }

    #[test]
    fn nothing_that_postfix_is_told_opens_a_relay() {
        let snippet = snippet(Receiver::Postfix, &addresses(&nodes()));
        for forbidden in ["mynetworks =", "smtpd_recipient", "smtpd_relay"] {
            assert!(!snippet.contains(forbidden), "{snippet}");
        }
    }
}
