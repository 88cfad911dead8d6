//! Answers that DNSSEC vouches for, as DANE needs them (RFC 4033 section 5).
//!
//! The chain of signatures is checked here, up to the root's keys: what a name server says of its own checks is
//! no proof. So the name servers must hand the signatures on, as every resolver of today does when asked.

use core::net::{Ipv4Addr, Ipv6Addr};

use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::answer::{self, Mx};
use super::limits::VALIDATION_TIMEOUT;
use super::{Dns, LookupError};

/// What the DNS says of a name, and whether it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Validated<T> {
    /// None when there are none.
    pub(crate) records: Vec<T>,
    /// Whether there are any, and all of them are signed, with every alias on the way.
    pub(crate) is_secure: bool,
}

impl<T> Validated<T> {
    /// Its name in metrics.
    const fn result(&self) -> &'static str {
        if self.records.is_empty() {
            "no_data"
        } else {
            "records"
        }
    }

    /// Whether none of them is unsigned.
    pub(crate) const fn is_sound(&self) -> bool {
        self.records.is_empty() || self.is_secure
    }
}

/// A record that says which certificate a service has (RFC 6698 section 2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tlsa {
    pub(crate) usage: u8,
    pub(crate) selector: u8,
    pub(crate) matching: u8,
    pub(crate) data: Vec<u8>,
}

impl Tlsa {
    pub(super) fn of(data: &RData) -> Option<Self> {
        match data {
            RData::TLSA(tlsa) => Some(Self {
                usage: tlsa.cert_usage.into(),
                selector: tlsa.selector.into(),
                matching: tlsa.matching.into(),
                data: tlsa.cert_data.clone(),
            }),
            _ => None,
        }
    }
}

impl Dns {
    /// The hosts that take a domain's mail.
    ///
    /// # Errors
    /// Why they are not known, or that they are proven to be forged.
    pub(crate) async fn validated_mx(&self, name: &str) -> Result<Validated<Mx>, LookupError> {
        let exchange = |data: &RData| match data {
            RData::MX(mx) => Some(Mx::new(mx)),
            _ => None,
        };
        self.validated(name, RecordType::MX, exchange).await
    }

    /// The name that a name is an alias of; errors as above.
    pub(crate) async fn validated_alias(
        &self,
        name: &str,
    ) -> Result<Validated<String>, LookupError> {
        let target = |data: &RData| match data {
            RData::CNAME(target) => Some(answer::text(&target.0)),
            _ => None,
        };
        self.validated(name, RecordType::CNAME, target).await
    }

    /// The IPv4 addresses of a host; errors as above.
    pub(crate) async fn validated_ipv4(
        &self,
        name: &str,
    ) -> Result<Validated<Ipv4Addr>, LookupError> {
        let address = |data: &RData| match data {
            RData::A(address) => Some(address.0),
            _ => None,
        };
        self.validated(name, RecordType::A, address).await
    }

    /// The IPv6 addresses of a host; errors as above.
    pub(crate) async fn validated_ipv6(
        &self,
        name: &str,
    ) -> Result<Validated<Ipv6Addr>, LookupError> {
        let address = |data: &RData| match data {
            RData::AAAA(address) => Some(address.0),
            _ => None,
        };
        self.validated(name, RecordType::AAAA, address).await
    }

    /// What is said of the certificate of a service, such as `_25._tcp.mail.example.com`; errors as above.
    pub(crate) async fn validated_tlsa(&self, name: &str) -> Result<Validated<Tlsa>, LookupError> {
        self.validated(name, RecordType::TLSA, Tlsa::of).await
    }

    async fn validated<T>(
        &self,
        name: &str,
        kind: RecordType,
        take: impl Fn(&RData) -> Option<T>,
    ) -> Result<Validated<T>, LookupError> {
        let name = answer::name(name)?;
        let validated = match self.resolver_of(|resolvers| &resolvers.validating) {
            Ok(resolver) => {
                let asked = resolver.lookup(name, kind);
                let found = self.awaited(VALIDATION_TIMEOUT, asked).await;
                read(kind, found, take)
            }
            Err(error) => Err(error),
        };
        self.account(validated.as_ref().map(Validated::result));
        validated
    }
}

fn read<T>(
    kind: RecordType,
    found: Result<Lookup, NetError>,
    take: impl Fn(&RData) -> Option<T>,
) -> Result<Validated<T>, LookupError> {
    let none = Validated {
        records: Vec::new(),
        is_secure: false,
    };
    let lookup = match found {
        Ok(lookup) => lookup,
        // A chain of hashes that is too long to be followed proves nothing, and is no forgery either (RFC 9276).
        Err(NetError::Dns(DnsError::Nsec {
            proof: Proof::Insecure,
            ..
        })) => return Ok(none),
        Err(error) => {
            answer::read(Err(error), |_| None::<T>)?;
            return Ok(none);
        }
    };
    let answers = lookup.answers().iter();
    let led: Vec<_> = answers
        .filter(|record| [kind, RecordType::CNAME].contains(&record.record_type()))
        .collect();
    let records: Vec<T> = led.iter().filter_map(|record| take(&record.data)).collect();
    let is_signed = led.iter().all(|record| record.proof == Proof::Secure);
    Ok(Validated {
        is_secure: is_signed && !records.is_empty(),
        records,
    })
}
