//! A host that mail may go to, and where it is.

use std::net::{IpAddr, SocketAddr};

use tokio::net::lookup_host;

/// A host that mail may go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// `mail.example.com:25`.
    pub(crate) name: String,
    /// Empty: the system knows where the name leads.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Of its MX record, or 0: lower ones come first, but for those that rest.
    pub(crate) preference: u16,
    /// The domain whose MX records name it; `None` where the policy does, or it is the domain itself.
    pub(crate) exchange_of: Option<String>,
    /// It may be this cluster, and is as preferred as the host before it: that gets no mail before this one has
    /// introduced itself.
    pub(crate) is_met_first: bool,
}

impl Host {
    /// Where it can be reached now.
    ///
    /// # Errors
    /// The system does not know where its name leads.
    pub(crate) async fn addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        if self.addresses.is_empty() {
            return Ok(lookup_host(&self.name).await?.collect());
        }
        Ok(self.addresses.clone())
    }

    /// Whether it has an address.
    pub(crate) async fn is_at(&self, peer: IpAddr) -> bool {
        match self.addresses().await {
            Ok(addresses) => {
                let mut addresses = addresses.iter();
                addresses.any(|address| address.ip().to_canonical() == peer)
            }
            Err(error) => {
                tracing::debug!(host = self.name, %error, "no address of the primary found");
                false
            }
        }
    }
}
