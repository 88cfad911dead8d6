//! What is done about TLS on one connection: as the policy says, or with `dane` as the DNS says of the host.

use core::fmt;
use std::sync::Arc;

use smtp::client;
use spool::policy::Tls;

use crate::dns::Dns;
use crate::outbound::dane::{self, Associations, DaneError, Finding};
use crate::route::host::Host;

/// How a connection is protected.
#[derive(Clone, Debug)]
pub(crate) enum Protection {
    /// Not at all.
    Off,
    /// By TLS with any certificate, where the host offers it.
    Opportunistic,
    /// By TLS with any certificate.
    Require,
    /// By TLS with a certificate that a public authority issued for the host's name.
    Verify,
    /// By TLS with a certificate that the DNS names.
    Dane(Arc<Associations>),
}

impl Protection {
    /// What a host's connections get. With `dane` the DNS is asked.
    ///
    /// # Errors
    /// It does not tell what it must tell: nothing may be sent there now.
    pub(crate) async fn of(host: &Host, tls: Tls, dns: &Dns) -> Result<Self, DaneError> {
        Ok(match tls {
            Tls::Off => Self::Off,
            Tls::Opportunistic => Self::Opportunistic,
            Tls::Require => Self::Require,
            Tls::Verify => Self::Verify,
            Tls::Dane => match dane::find(dns, host).await? {
                Finding::Nothing => Self::Opportunistic,
                Finding::Unusable => Self::Require,
                Finding::Associations(associations) => Self::Dane(Arc::new(associations)),
            },
        })
    }

    /// The same in the session's terms.
    pub(super) const fn in_session(&self) -> client::Tls {
        match self {
            Self::Off => client::Tls::Off,
            Self::Opportunistic => client::Tls::Opportunistic,
            Self::Require | Self::Verify | Self::Dane(_) => client::Tls::Require,
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("no TLS"),
            Self::Opportunistic => f.write_str("TLS where it is offered, with any certificate"),
            Self::Require => f.write_str("TLS with any certificate"),
            Self::Verify => f.write_str("TLS with a public authority's certificate"),
            Self::Dane(associations) => write!(f, "TLS with a certificate as {associations}"),
        }
    }
}
