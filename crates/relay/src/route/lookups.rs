//! What the DNS is asked for a route.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::dns::{Answer, Dns, LookupError};
use crate::route::exchanges::{Addresses, Exchange, Records};
use crate::route::limits::{
    ADDRESSES_MAX, EXCHANGES_MAX, FIRST_ANSWER_LOOK, FIRST_ANSWER_PATIENCE,
};

/// Waits a moment for the name servers' first sign of life, where there was none yet.
pub(crate) async fn first_answer(dns: &Dns) {
    dns.wanted();
    let answering = async {
        while !dns.is_answering() {
            sleep(FIRST_ANSWER_LOOK).await;
        }
    };
    // Whether there was one, the lookups find out.
    timeout(FIRST_ANSWER_PATIENCE, answering).await.ok();
}

/// Whatever a name may be asked for.
const FORGOTTEN: [RecordType; 7] = [
    RecordType::MX,
    RecordType::A,
    RecordType::AAAA,
    RecordType::CNAME,
    RecordType::PTR,
    RecordType::TXT,
    RecordType::TLSA,
];

/// Has the next lookups of these names ask the name servers, whatever the resolver remembers.
pub(crate) fn forget<'n>(dns: &Dns, names: impl IntoIterator<Item = &'n str>) {
    let resolvers = dns.caches();
    for name in names {
        let Ok(mut name) = Name::from_str_relaxed(name) else {
            continue;
        };
        name.set_fqdn(true);
        for kind in FORGOTTEN {
            for resolver in &resolvers {
                resolver.clear_lookup_cache(name.clone(), kind);
            }
        }
    }
}

/// Why it is not known who takes a domain's mail.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Untold {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// Its zone is half loaded, or the name server is lame: what the domain's own address takes is not its mail.
    #[error(
        "there are none where there were some; mend the zone, or name the domain's primary in the policy"
    )]
    Vanished,
}

/// Who takes a domain's mail, and where they are. `had_exchanges` tells whether it has had MX records.
///
/// # Errors
/// The DNS does not tell who does.
pub(crate) async fn records(
    dns: &Arc<Dns>,
    domain: &str,
    had_exchanges: bool,
) -> Result<Records, Untold> {
    let named = match dns.mx(domain).await? {
        Answer::NoSuchName => return Ok(Records::NoDomain),
        Answer::NoData if had_exchanges => return Err(Untold::Vanished),
        Answer::NoData => {
            let itself = exchange(dns, 0, domain.to_owned()).await;
            return Ok(Records::Implicit(itself));
        }
        Answer::Records(records) => {
            let named = records.into_iter().filter(|mx| !mx.exchange.is_empty());
            let named: Vec<(u16, String)> = named.map(|mx| (mx.preference, mx.exchange)).collect();
            if named.is_empty() {
                return Ok(Records::Null);
            }
            most_preferred(named)
        }
    };
    let mut lookups = JoinSet::new();
    for (preference, name) in named {
        let dns = Arc::clone(dns);
        lookups.spawn(async move { exchange(&dns, preference, name).await });
    }
    Ok(Records::Exchanges(lookups.join_all().await))
}

async fn exchange(dns: &Dns, preference: u16, name: String) -> Exchange {
    let addresses = addresses(dns, &name).await;
    Exchange {
        preference,
        name,
        addresses,
    }
}

/// As many as are looked at. One that is left out may be ourselves, so those of its preference are, too.
fn most_preferred(mut named: Vec<(u16, String)>) -> Vec<(u16, String)> {
    named.sort_unstable();
    named.dedup();
    if let Some((left_out, _)) = named.get(EXCHANGES_MAX) {
        let left_out = *left_out;
        named.retain(|(preference, _)| *preference < left_out);
    }
    named
}

/// The addresses of names, as far as the DNS tells them.
pub(crate) async fn addresses_of(
    dns: &Arc<Dns>,
    names: Vec<String>,
) -> HashMap<String, Vec<IpAddr>> {
    let mut lookups = JoinSet::new();
    for name in names {
        let dns = Arc::clone(dns);
        lookups.spawn(async move {
            let addresses = addresses(&dns, &name).await;
            (name, addresses)
        });
    }
    let found = lookups.join_all().await.into_iter();
    let told = found.filter_map(|(name, addresses)| match addresses {
        Addresses::Known(addresses) => Some((name, addresses)),
        Addresses::Untold(_) => None,
    });
    told.collect()
}

/// Where a host is.
pub(crate) async fn addresses(dns: &Dns, name: &str) -> Addresses {
    let (v4, v6) = tokio::join!(dns.ipv4(name), dns.ipv6(name));
    let (v4, v6) = match (v4, v6) {
        (Ok(v4), Ok(v6)) => (v4.into_records(), v6.into_records()),
        (Ok(Answer::Records(v4)), Err(_)) => (v4, Vec::new()),
        (Err(_), Ok(Answer::Records(v6))) => (Vec::new(), v6),
        (Err(error), _) | (_, Err(error)) => return Addresses::Untold(error.to_string()),
    };
    let v6 = v6.into_iter().map(IpAddr::V6);
    let mut addresses: Vec<IpAddr> = v4.into_iter().map(IpAddr::V4).chain(v6).collect();
    addresses.truncate(ADDRESSES_MAX);
    Addresses::Known(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_are_left_out_leave_none_of_their_preference() {
        let host = |preference, number| (preference, format!("mx{number}.example.com"));
        let few = vec![host(20, 2), host(10, 1), host(20, 2)];
        assert_eq!(most_preferred(few), [host(10, 1), host(20, 2)]);
        let mut many: Vec<_> = (0..EXCHANGES_MAX + 5)
            .map(|number| host(20, number))
            .collect();
        many.push(host(10, 0));
        assert_eq!(most_preferred(many), [host(10, 0)]);
    }
}
