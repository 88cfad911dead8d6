//! A message that goes the whole way to find out whether there is one: through an MX host that is a node of this
//! cluster, as any stranger's would.
//!
//! ```text
//!   canary's domain ─▶ listing: its MX hosts that are nodes ─▶ send ─▶ 250, with the message's id
//! ```
//!
//! What becomes of it behind the 250, whoever knows the spool follows.

mod letter;
pub mod limits;
mod listed;

use std::net::SocketAddr;

use smtp::client::Verdict;
use smtp::{Mailbox, Reply};
use spool::policy::{DEFAULT_SMTP_PORT, Tls};
use spool::{MessageId, Timestamp};

use crate::dns::Dns;
use crate::outbound::Step;
use crate::outbound::connection::Terms;
use crate::outbound::probe::{Account, opened};
use crate::outbound::tls::Connectors;
use crate::route::exchanges::Addresses;
use crate::route::host::Host;

use letter::Letter;
pub use listed::{Entrance, Listing, listing};

/// Who sends a message, and to whom.
#[derive(Debug)]
pub struct Sending<'a> {
    /// The node that sends, as it greets.
    pub hostname: &'a str,
    /// The mailbox that it is for.
    pub canary: &'a Mailbox,
    /// Whether the policy sends clients to the primary while that is up.
    pub is_sentry: bool,
    /// What makes it unlike any other message.
    pub id: MessageId,
    /// Now.
    pub at: Timestamp,
}

/// A message was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotTaken {
    /// Why. What the host said is in it as it is: whoever shows it escapes it.
    pub words: String,
    /// What to do.
    pub advice: String,
    /// Whether that is as the policy wants it.
    pub is_meant: bool,
}

/// Sends a message through an MX host, and tells of each step as it is done. Returns the id by which the cluster
/// knows the message. The last step, which says so or why not, is left to the caller.
///
/// # Errors
/// It was not taken, and why.
pub async fn send(
    dns: &Dns,
    entrance: &Entrance,
    sending: &Sending<'_>,
    tell: impl FnMut(Step),
) -> Result<(MessageId, Reply), NotTaken> {
    let exchange = &entrance.exchange.name;
    let host = host(&entrance.exchange.addresses, exchange)?;
    let connectors = Connectors::new();
    let terms = Terms {
        hostname: sending.hostname,
        // As a sender that knows nothing of this cluster.
        tls: Tls::Opportunistic,
        connectors: &connectors,
        dns,
        timeouts: limits::TIMEOUTS,
        share: None,
    };
    let mut account = Account::new(tell);
    let Some(mut connection) = opened(&host, terms, &mut account).await else {
        return Err(not_taken(
            "there is no session that mail could go over",
            format!(
                "see that the node runs and takes mail, and that port {DEFAULT_SMTP_PORT} of {exchange} is open, to \
                 this node as well"
            ),
        ));
    };
    let session = &connection.session;
    let said = [session.greeting(), session.hello()].into_iter().flatten();
    let lines = said.filter_map(|reply| reply.lines.first().map(String::as_str));
    let Some(who) = entrance.ourselves.recognise(lines) else {
        connection.quit().await;
        return Err(not_taken(
            "it does not greet as a node of this cluster, so nothing was sent",
            format!("see what answers at {exchange}, and put its address right"),
        ));
    };
    account.sound(format!("{}: {who}", host.name));
    let letter = Letter {
        canary: sending.canary,
        exchange,
        hostname: sending.hostname,
        id: sending.id,
        at: sending.at,
    };
    match connection
        .hand_in(letter.envelope(), &letter.octets())
        .await
    {
        Ok(verdict) => {
            connection.quit().await;
            judge(verdict, sending)
        }
        Err(broken) => Err(not_taken(
            broken.to_string(),
            "see the node's log, and whether it sees a quorum: `layover status`",
        )),
    }
}

/// Where the DNS says that a host is.
fn host(addresses: &Addresses, exchange: &str) -> Result<Host, NotTaken> {
    let advice = || format!("give {exchange} its address; `layover doctor` writes the line");
    let addresses = match addresses {
        Addresses::Known(addresses) if addresses.is_empty() => {
            return Err(not_taken("it has no address in the DNS", advice()));
        }
        Addresses::Known(addresses) => addresses,
        Addresses::Untold(why) => {
            let words = format!("its addresses are not known: {why}");
            return Err(not_taken(words, "look after the name servers"));
        }
    };
    let at_port = |address: &_| SocketAddr::new(*address, DEFAULT_SMTP_PORT);
    Ok(Host {
        name: format!("{exchange}:{DEFAULT_SMTP_PORT}"),
        addresses: addresses.iter().map(at_port).collect(),
        preference: 0,
        exchange_of: None,
        is_met_first: false,
    })
}

/// What a verdict comes to: the id, or what to do.
fn judge(verdict: Verdict, sending: &Sending<'_>) -> Result<(MessageId, Reply), NotTaken> {
    let canary = sending.canary;
    let reply = match verdict {
        Verdict::Delivered(reply) => reply,
        Verdict::Deferred(reply) if sending.is_sentry => {
            return Err(NotTaken {
                is_meant: true,
                ..not_taken(
                    format!("it sends clients to the primary: {reply}"),
                    "that is what `sentry = true` is for; a drill goes through only while the primary is down",
                )
            });
        }
        Verdict::Deferred(reply) => {
            return Err(not_taken(
                format!("it says later: {reply}"),
                "the reply says why: see `layover status` for quorum and disks, and the policy for quotas and block \
                 lists",
            ));
        }
        Verdict::Unknown(reply) | Verdict::Refused(reply) | Verdict::Rejected(reply) => {
            return Err(not_taken(
                format!("it refuses: {reply}"),
                format!(
                    "see that {canary} is a recipient by the policy, and known to the primary; else name another \
                     canary"
                ),
            ));
        }
    };
    let id = reply.lines.last().and_then(|line| {
        let word = line.split_whitespace().last()?;
        word.parse::<MessageId>().ok()
    });
    id.map(|id| (id, reply.clone())).ok_or_else(|| {
        not_taken(
            format!("it has taken the message and named no id: {reply}"),
            "see what stands between this node and that host: a filter that answers in its place?",
        )
    })
}

fn not_taken(words: impl Into<String>, advice: impl Into<String>) -> NotTaken {
    NotTaken {
        words: words.into(),
        advice: advice.into(),
        is_meant: false,
    }
}

#[cfg(test)]
mod tests;
