//! Which certificate a host must have, as signed records in the DNS say (DANE for SMTP, RFC 7672).
//!
//! ```text
//!   MX of the domain, where they led to the host ─ not signed ─▶ Nothing: as `opportunistic`
//!        │ signed, and name it
//!   its addresses ─ not signed ────────────────────────────────▶ Nothing
//!        │ signed: at the end of its aliases, then at its own name
//!   TLSA of _25._tcp.NAME ─ none, or not signed ───────────────▶ Nothing
//!        │ signed ─ none that is of use ───────────────────────▶ Unusable: as `require`
//!        ▼
//!   Associations: TLS, with a certificate that one of them fits
//!
//!   any answer that is missing or forged: nothing is sent there now
//! ```

mod associations;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use crate::dns::{Dns, LookupError};
use crate::route::host::Host;
use crate::route::lookups;

pub(crate) use associations::Associations;

/// Aliases that are followed, one to the next.
const ALIASES_MAX: usize = 8;

/// What the DNS says of a host's TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nothing that is signed.
    Nothing,
    /// It has TLS, and no record tells of its certificate what can be checked.
    Unusable,
    /// It has TLS, and a certificate that one of these fits.
    Associations(Associations),
}

/// Why nothing may be sent to a host now: to send without its records is what somebody who forges answers
/// would want (RFC 7672 section 2.1.2).
#[derive(Debug, thiserror::Error)]
pub(crate) enum DaneError {
    /// There is no answer, or a forged one.
    #[error("dane: {kind} of {name} not known: {error}")]
    Untold {
        kind: &'static str,
        name: String,
        error: Box<LookupError>,
    },
    /// Where its name is from, nobody knows.
    #[error("dane: the MX records of {domain}, checked by their signatures, do not name {host}")]
    NotAnExchange { domain: String, host: String },
}

/// Asks what the DNS says of a host's TLS.
///
/// # Errors
/// It does not tell.
pub(crate) async fn find(dns: &Dns, host: &Host) -> Result<Finding, DaneError> {
    let Some((name, port)) = host.name.rsplit_once(':') else {
        return Ok(Finding::Nothing);
    };
    // Records stand at names; the policy lets no address be a primary.
    if name.starts_with('[') || name.parse::<IpAddr>().is_ok() {
        return Ok(Finding::Nothing);
    }
    lookups::first_answer(dns).await;
    if let Some(domain) = &host.exchange_of {
        let found = dns.validated_mx(domain).await;
        let found = found.map_err(untold("MX records", domain))?;
        if !found.records.iter().any(|mx| mx.exchange == name) {
            return Err(DaneError::NotAnExchange {
                domain: domain.clone(),
                host: name.to_owned(),
            });
        }
        if !found.is_secure {
            return Ok(Finding::Nothing);
        }
    }
    for base in bases(dns, name).await? {
        let (owner, is_secure) = follow(dns, format!("_{port}._tcp.{base}")).await?;
        if !is_secure {
            continue;
        }
        let found = dns.validated_tlsa(&owner).await;
        let found = found.map_err(untold("TLSA records", &owner))?;
        if found.is_secure {
            let names = names(dns, name, host.exchange_of.as_deref()).await?;
            let names = names.iter().map(String::as_str);
            let associations = Associations::new(&base, names, &found.records);
            return Ok(associations.map_or(Finding::Unusable, Finding::Associations));
        }
    }
    Ok(Finding::Nothing)
}

/// The names beside its records' own that a host may go by in a certificate: those which led to it (RFC 7672
/// section 3.2.2).
async fn names(dns: &Dns, name: &str, exchange_of: Option<&str>) -> Result<Vec<String>, DaneError> {
    let mut names = vec![name.to_owned()];
    if let Some(domain) = exchange_of {
        let (target, _) = follow(dns, domain.to_owned()).await?;
        names.extend([domain.to_owned(), target]);
    }
    Ok(names)
}

/// The names that TLSA records may stand at, in turn (RFC 7672 section 2.2.2). None where the host's addresses
/// are not signed: its records would not be, either, and name servers of old fail when asked for them.
async fn bases(dns: &Dns, name: &str) -> Result<Vec<String>, DaneError> {
    let (owner, mut is_secure) = follow(dns, name.to_owned()).await?;
    if is_secure {
        let (v4, v6) = tokio::join!(dns.validated_ipv4(&owner), dns.validated_ipv6(&owner));
        let v4 = v4.map_err(untold("IPv4 addresses", &owner))?;
        let v6 = v6.map_err(untold("IPv6 addresses", &owner))?;
        is_secure = v4.is_sound() && v6.is_sound();
    }
    // Of an alias that is signed the target may not be; the records then stand beside the alias.
    let is_alias = owner != name;
    let beside = is_alias.then(|| name.to_owned());
    let at_end = is_secure.then_some(owner);
    Ok(at_end.into_iter().chain(beside).collect())
}

/// Where a name's aliases lead as far as they are signed, and whether that is all the way. One by one: hickory
/// takes an answer for forged in which an alias leads to nothing, as it does to a host without an IPv6 address.
async fn follow(dns: &Dns, mut name: String) -> Result<(String, bool), DaneError> {
    for _ in 0..ALIASES_MAX {
        let found = dns.validated_alias(&name).await;
        let found = found.map_err(untold("alias", &name))?;
        if !found.is_sound() {
            return Ok((name, false));
        }
        match found.records.into_iter().next() {
            Some(target) => name = target,
            None => break,
        }
    }
    Ok((name, true))
}

fn untold(kind: &'static str, name: &str) -> impl FnOnce(LookupError) -> DaneError {
    move |error| DaneError::Untold {
        kind,
        name: name.to_owned(),
        error: Box::new(error),
    }
}
