//! Whether the client may send for the domain of the reverse-path, and for the name that it gave
//! (RFC 7208).

use std::net::IpAddr;

use mail_auth::{
    MessageAuthenticator, SpfOutput, SpfResult, common::to_a_label, spf::verify::SpfParameters,
};
use smtp::{Mailbox, ReversePath};
use spool::Finding;
use tokio::join;

use super::findings::of_spf;

/// Who wants to have sent a message.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    client: IpAddr,
    /// The argument of EHLO or HELO.
    pub(super) helo: String,
    /// The reverse-path with its domain in the form of the DNS; `None` for the null one.
    sender: Option<String>,
    /// This node, for records that mention who asks.
    hostname: String,
}

/// What became of both identities.
#[derive(Clone, Debug)]
pub(super) struct Spf {
    /// The domain of the reverse-path, or with a null one the name of EHLO (section 2.4).
    pub(super) sender: SpfOutput,
    pub(super) helo: SpfOutput,
}

impl Claim {
    pub(super) fn new(client: IpAddr, helo: &str, path: &ReversePath, hostname: &str) -> Self {
        let sender = match path {
            ReversePath::Null => None,
            ReversePath::Mailbox(Mailbox { local_part, domain }) => {
                Some(format!("{local_part}@{}", to_a_label(domain)))
            }
        };
        Self {
            client: client.to_canonical(),
            helo: to_a_label(helo).into_owned(),
            sender,
            hostname: hostname.to_owned(),
        }
    }

    /// The domain that is claimed.
    pub(super) fn domain(&self) -> &str {
        let sender = self.sender.as_deref();
        let domain = sender.and_then(|sender| Some(sender.rsplit_once('@')?.1));
        domain.unwrap_or(&self.helo)
    }

    /// Asks the DNS.
    pub(super) async fn check(&self, authenticator: &MessageAuthenticator) -> Spf {
        let Self {
            client,
            helo,
            sender,
            hostname,
        } = self;
        let of_helo = authenticator.verify_spf(SpfParameters::verify_ehlo(*client, helo, hostname));
        let Some(sender) = sender else {
            let helo = of_helo.await;
            return Spf {
                sender: helo.clone(),
                helo,
            };
        };
        let parameters = SpfParameters::verify_mail_from(*client, helo, hostname, sender);
        let (sender, helo) = join!(authenticator.verify_spf(parameters), of_helo);
        Spf { sender, helo }
    }

    /// What became of the reverse-path; [`Finding::None`] of a null one.
    pub(super) fn finding(&self, spf: &Spf) -> Finding {
        if self.sender.is_some() {
            of_spf(&spf.sender)
        } else {
            Finding::None
        }
    }

    /// What there is to say when the answers did not come in time.
    pub(super) fn unanswered(&self) -> Spf {
        let output =
            |domain: &str| SpfOutput::new(domain.to_owned()).with_result(SpfResult::TempError);
        Spf {
            sender: output(self.domain()),
            helo: output(&self.helo),
        }
    }
}
