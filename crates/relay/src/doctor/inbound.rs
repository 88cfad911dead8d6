//! What answers at port 25 of a node's addresses: that node, as MX records name no other port.
//!
//! Only who is outside knows whether the Internet gets in; the other nodes are as near to that as there is.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use spool::policy::{DEFAULT_SMTP_PORT, Tls};
use tokio::task::JoinSet;

use crate::dns::Dns;
use crate::doctor::{Check, Finding, Node};
use crate::outbound::connection::{Broken, Connection, Terms};
use crate::outbound::limits::PROBE_TIMEOUTS;
use crate::outbound::tls::Connectors;
use crate::route::exchanges::Addresses;
use crate::route::host::Host;
use crate::route::lookups;

/// Whether port 25 of the addresses that a node's name has leads to the node, tried from the node that is called
/// `hostname`. `is_own`: they are one and the same. Nothing where there is no address; that, the check of the name
/// says.
pub async fn inbound(dns: &Arc<Dns>, node: &Node, is_own: bool, hostname: &str) -> Vec<Finding> {
    lookups::forget(dns, [node.hostname.as_str()]);
    let Addresses::Known(addresses) = lookups::addresses(dns, &node.hostname).await else {
        return Vec::new();
    };
    let mut visits = JoinSet::new();
    for (number, address) in addresses.into_iter().enumerate() {
        let (dns, hostname) = (Arc::clone(dns), hostname.to_owned());
        let at = SocketAddr::new(address, DEFAULT_SMTP_PORT);
        visits.spawn(async move { (number, at.ip(), greeting(&dns, at, &hostname).await) });
    }
    let mut visits = visits.join_all().await;
    visits.sort_by_key(|(number, ..)| *number);
    let visits = visits.into_iter();
    visits
        .map(|(_, address, greeted)| judge(node, is_own, address, greeted))
        .collect()
}

/// The name that whoever listens there greets with.
async fn greeting(dns: &Dns, at: SocketAddr, hostname: &str) -> Result<String, Broken> {
    let host = Host {
        name: at.to_string(),
        addresses: vec![at],
        preference: 0,
        exchange_of: None,
        is_met_first: false,
    };
    let connectors = Connectors::new();
    let terms = Terms {
        hostname,
        // A greeting is in clear in any case.
        tls: Tls::Off,
        connectors: &connectors,
        dns,
        timeouts: PROBE_TIMEOUTS,
        share: None,
    };
    let connection = Connection::open(&host, terms).await?;
    let greeting = connection.session.greeting();
    let line = greeting.and_then(|greeting| greeting.lines.first());
    let name = line.and_then(|line| line.split_whitespace().next());
    let name = name.unwrap_or_default().to_owned();
    connection.quit().await;
    Ok(name)
}

fn judge(node: &Node, is_own: bool, address: IpAddr, greeted: Result<String, Broken>) -> Finding {
    let check = Check::of("inbound", node.hostname.as_str());
    let at = SocketAddr::new(address, DEFAULT_SMTP_PORT);
    match greeted {
        Ok(name) if name.eq_ignore_ascii_case(&node.hostname) => {
            check.fine(format!("{at} leads to it, as its greeting says"))
        }
        Ok(name) => check.problem(format!(
            "{at} does not lead to it: {name:?} greets there, so that is where its senders come; correct the address, \
             or what hands the port on"
        )),
        Err(Broken::Connect(error)) if error.kind() == io::ErrorKind::NetworkUnreachable => check
            .skipped(format!(
                "{at} can not be judged from here, as this node has no way there ({error}): ask another node"
            )),
        Err(broken) if is_own => check.skipped(format!(
            "{at} can not be judged from here ({broken}): many a machine does not reach itself by its public address; \
             ask another node"
        )),
        Err(broken) => check.problem(format!(
            "no session at {at}: {broken}; see that the node runs and takes mail, that its firewall lets port \
             {DEFAULT_SMTP_PORT} in, and that of the node that is asked lets it out"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn judged(is_own: bool, greeted: Result<&str, Broken>) -> Verdict {
        let node = Node {
            id: 2,
            hostname: "mx2.example.net".to_owned(),
            addresses: Vec::new(),
        };
        let address = IpAddr::from([192, 0, 2, 2]);
        judge(&node, is_own, address, greeted.map(str::to_owned)).verdict
    }

    #[test]
    fn only_the_node_itself_may_greet() {
        assert_eq!(judged(false, Ok("MX2.example.net")), Verdict::Fine);
        assert_eq!(judged(true, Ok("mx2.example.net")), Verdict::Fine);
        for greeted in ["mx1.example.net", ""] {
            assert_eq!(judged(false, Ok(greeted)), Verdict::Problem);
            assert_eq!(judged(true, Ok(greeted)), Verdict::Problem);
        }
    }

    #[test]
    fn what_this_node_can_not_know_it_does_not_judge() {
        let failed = |kind: io::ErrorKind| Err(Broken::Connect(kind.into()));
        let silent = || Err(Broken::Silent("connection", PROBE_TIMEOUTS.connect));
        for (is_own, greeted, expected) in [
            (
                false,
                failed(io::ErrorKind::ConnectionRefused),
                Verdict::Problem,
            ),
            (false, silent(), Verdict::Problem),
            (
                false,
                failed(io::ErrorKind::NetworkUnreachable),
                Verdict::Skipped,
            ),
            (true, silent(), Verdict::Skipped),
        ] {
            assert_eq!(judged(is_own, greeted), expected);
        }
    }
}
