//! The way to a sender's own hosts, for reports.
//!
//! It may be any domain that anybody has named, so nothing is kept of it here; the node's resolver remembers what
//! it was told.

use spool::policy::in_ascii;

use crate::dns::LookupError;
use crate::outbound::connection::{Connection, Terms};
use crate::route::known::{Found, Known};
use crate::route::limits::SENDERS_HOSTS_MAX;
use crate::route::lookups::{self, Untold};
use crate::route::met::Met;
use crate::route::ourselves::Ourselves;
use crate::route::{NoRoute, Route, Routes};

/// Why none of a sender's hosts is of use; the words begin with an enhanced code where it is for good.
#[derive(Debug)]
pub(crate) enum Unreached {
    /// The DNS says with authority that there is no such domain, that it takes no mail, or that its hosts are
    /// nowhere. An address that can not be resolved is given up (RFC 5321 section 5.1).
    Never(String),
    /// It may be otherwise later.
    NotNow(String),
}

impl Routes {
    /// Opens a connection to the first MX host of a sender's domain that talks to us and is not this cluster.
    ///
    /// # Errors
    /// In words, why none does.
    pub(crate) async fn connect_to_sender(
        &self,
        domain: &str,
        terms: Terms<'_>,
    ) -> Result<Connection, Unreached> {
        let mut route = self.find_sender(domain).await?;
        // Anybody may name as many as he likes, and have them say nothing.
        route.hosts.truncate(SENDERS_HOSTS_MAX);
        let opened = route.open_first(terms, &mut Met::default()).await;
        opened.map_err(|unopened| Unreached::NotNow(unopened.reasons.join("; ")))
    }

    async fn find_sender(&self, domain: &str) -> Result<Route, Unreached> {
        if domain.starts_with('[') {
            return Err(Unreached::Never(format!(
                "5.1.8 {domain} is an address and no domain: nothing tells that it takes mail"
            )));
        }
        let Some(domain) = in_ascii(domain) else {
            return Err(Unreached::Never(format!(
                "5.1.2 there can be no domain {domain}"
            )));
        };
        let domain = &*domain;
        lookups::first_answer(&self.dns).await;
        let members = self.members.members();
        let (records, of_members) = tokio::join!(
            lookups::records(&self.dns, domain, false),
            lookups::addresses_of(&self.dns, Ourselves::names_of(&members)),
        );
        let records = records.map_err(|untold| match untold {
            Untold::Lookup(LookupError::NotAName(_)) => {
                Unreached::Never(format!("5.1.2 there can be no domain {domain}"))
            }
            untold => Unreached::NotNow(format!("looking up who takes its mail: {untold}")),
        })?;
        let found = Found {
            records,
            of_members,
        };
        let known = Known {
            found: Some(found),
            ..Known::default()
        };
        // Strangers' hosts are not connected to only to be met: a report that comes back is one message.
        known
            .route(domain, &*self.members, |_| false)
            .map_err(|none| match none {
                NoRoute::NoDomain(domain) => {
                    Unreached::Never(format!("5.1.2 there is no domain {domain}"))
                }
                // RFC 7505 section 4.2.
                NoRoute::Null(domain) => Unreached::Never(format!("5.1.10 {domain} takes no mail")),
                NoRoute::Unanswered(domain) => Unreached::NotNow(format!(
                    "the DNS does not tell who takes the mail of {domain}"
                )),
                // RFC 3463 section 3.5: a lookup that finds no host for mail is what this code is for.
                NoRoute::Nowhere(_) => Unreached::Never(format!(
                    "5.4.4 no host that would take the mail of {domain} has an address"
                )),
                NoRoute::NoneLeft(why) => Unreached::NotNow(why),
            })
    }
}
