//! Which of a domain's MX hosts its mail goes to (RFC 5321 section 5.1).
//!
//! A backup MX is an MX host itself, so what the rule is about is not to send mail back: every member of
//! the cluster counts as ourselves, and hosts that are not more preferred than all of them are left out,
//! whoever they are.

use core::fmt;
use std::net::IpAddr;

use crate::route::ourselves::Ourselves;

/// What the DNS says of who takes a domain's mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Records {
    /// There is no such domain.
    NoDomain,
    /// It takes no mail (RFC 7505).
    Null,
    /// Its MX hosts.
    Exchanges(Vec<Exchange>),
    /// The domain itself, which has none (RFC 5321 section 5.1, the implicit MX).
    Implicit(Exchange),
}

impl Records {
    /// The hosts, if there are any.
    pub(crate) const fn exchanges(&self) -> &[Exchange] {
        match self {
            Self::NoDomain | Self::Null => &[],
            Self::Exchanges(exchanges) => exchanges.as_slice(),
            Self::Implicit(itself) => core::slice::from_ref(itself),
        }
    }

    /// The same, to be changed.
    pub(crate) const fn exchanges_mut(&mut self) -> &mut [Exchange] {
        match self {
            Self::NoDomain | Self::Null => &mut [],
            Self::Exchanges(exchanges) => exchanges.as_mut_slice(),
            Self::Implicit(itself) => core::slice::from_mut(itself),
        }
    }
}

/// A host that takes a domain's mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    /// Lower ones come first.
    pub(crate) preference: u16,
    /// In lower case, without a trailing dot.
    pub(crate) name: String,
    pub(crate) addresses: Addresses,
}

/// Where a host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// There, in the order in which they are tried. Empty: the DNS says that it has none.
    Known(Vec<IpAddr>),
    /// The DNS did not tell; why, in words.
    Untold(String),
}

impl Exchange {
    /// Takes over from an earlier answer what this one lacks.
    pub(crate) fn keep(&mut self, before: &[Self]) {
        if let Addresses::Untold(_) = self.addresses
            && let Some(same) = before.iter().find(|host| host.name == self.name)
        {
            self.addresses = same.addresses.clone();
        }
    }
}

/// What becomes of an MX host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Mail may go to these addresses.
    Used(Vec<IpAddr>),
    /// It is that member of the cluster.
    Ourselves(u64),
    /// It is as far away as a host that is ourselves, or may be, or further.
    Behind,
    /// It has no address.
    Nowhere,
    /// Its addresses are not known; why, in words.
    Untold(String),
}

/// An MX host and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Weighed {
    pub(crate) preference: u16,
    pub(crate) name: String,
    pub(crate) fate: Fate,
}

/// Decides on each MX host; in order of preference, and of name where that is equal.
///
/// A host whose addresses are not known may be ourselves under another name, so none behind it is used.
pub(crate) fn weigh(exchanges: &[Exchange], ourselves: &Ourselves) -> Vec<Weighed> {
    let mut weighed: Vec<Weighed> = exchanges
        .iter()
        .map(|exchange| Weighed {
            preference: exchange.preference,
            name: exchange.name.clone(),
            fate: fate_alone(exchange, ourselves),
        })
        .collect();
    weighed.sort_by(|a, b| (a.preference, &a.name).cmp(&(b.preference, &b.name)));
    let first = |is_such: fn(&Fate) -> bool| {
        let such = weighed.iter().find(|host| is_such(&host.fate));
        such.map(|host| host.preference)
    };
    let ours = first(|fate| matches!(fate, Fate::Ourselves(_)));
    let unknown = first(|fate| matches!(fate, Fate::Untold(_)));
    for host in &mut weighed {
        let is_behind = ours.is_some_and(|ours| host.preference >= ours)
            || unknown.is_some_and(|unknown| host.preference > unknown);
        if is_behind && matches!(host.fate, Fate::Used(_)) {
            host.fate = Fate::Behind;
        }
    }
    weighed
}

fn fate_alone(exchange: &Exchange, ourselves: &Ourselves) -> Fate {
    let known = match &exchange.addresses {
        Addresses::Known(addresses) => addresses.as_slice(),
        Addresses::Untold(_) => &[],
    };
    if let Some(id) = ourselves.member_at(&exchange.name, known) {
        return Fate::Ourselves(id);
    }
    match &exchange.addresses {
        Addresses::Known(addresses) if addresses.is_empty() => Fate::Nowhere,
        Addresses::Known(addresses) => Fate::Used(addresses.clone()),
        Addresses::Untold(why) => Fate::Untold(why.clone()),
    }
}

/// Whether the DNS says that none of the hosts has an address, and none is ourselves.
pub(crate) fn is_nowhere(weighed: &[Weighed]) -> bool {
    !weighed.is_empty() && weighed.iter().all(|host| host.fate == Fate::Nowhere)
}

/// An MX host that mail may go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) preference: u16,
    pub(crate) name: String,
    pub(crate) addresses: Vec<IpAddr>,
    /// It is doubted, and as preferred as the one before it.
    pub(crate) is_met_first: bool,
}

/// The hosts that mail may go to, in the order in which they are to be tried: those of one preference in
/// any order, so that they share the load, but those first that `is_doubted` names: if one of them is ourselves, no
/// equal one may be used. `draw` gives any number below the one that it is given.
pub(crate) fn in_turn(
    weighed: &[Weighed],
    is_doubted: impl Fn(&str) -> bool,
    mut draw: impl FnMut(usize) -> usize,
) -> Vec<Turn> {
    let mut hosts: Vec<&Weighed> = weighed.iter().collect();
    for equals in hosts.chunk_by_mut(|a, b| a.preference == b.preference) {
        for last in (1..equals.len()).rev() {
            equals.swap(last, draw(last + 1).min(last));
        }
        equals.sort_by_key(|host| !is_doubted(&host.name));
    }
    let mut before: Option<u16> = None;
    let used = hosts.into_iter().filter_map(|host| match &host.fate {
        Fate::Used(addresses) => {
            let before = before.replace(host.preference);
            Some(Turn {
                preference: host.preference,
                name: host.name.clone(),
                addresses: addresses.clone(),
                is_met_first: before == Some(host.preference) && is_doubted(&host.name),
            })
        }
        _ => None,
    });
    used.collect()
}

impl fmt::Display for Weighed {
    /// `mail.example.com (10) -> 192.0.2.10, [2001:db8::10]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) ", self.name, self.preference)?;
        match &self.fate {
            Fate::Used(addresses) => {
                // Name servers turn their order round; nothing else has changed then.
                let mut addresses = addresses.clone();
                addresses.sort_unstable();
                let addresses: Vec<String> = addresses.iter().map(written).collect();
                write!(f, "-> {}", addresses.join(", "))
            }
            Fate::Ourselves(id) => write!(f, "is this cluster itself (node {id})"),
            Fate::Behind => {
                f.write_str("is not more preferred than what is, or may be, this cluster")
            }
            Fate::Nowhere => f.write_str("has no address"),
            Fate::Untold(why) => write!(f, "has an address that is not known: {why}"),
        }
    }
}

/// An address as it stands in front of a port.
fn written(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests;
