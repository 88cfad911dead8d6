//! How the way to a domain comes about, step by step, for an operator who wonders.

use std::sync::Arc;

use spool::policy::Domain;
use spool::ports::Members;
use tokio::task::JoinSet;

use crate::dns::Answer;
use crate::route::exchanges::{Fate, Records, Weighed};
use crate::route::known::Known;
use crate::route::met::Met;
use crate::route::{Route, Routes};

impl Routes {
    /// Tells in words where a domain's mail goes now, and why there: which hosts were found, which of them are
    /// left out and for what reason, and what is left. One sentence each; names of the DNS are in them as they
    /// are. Takes as long as the DNS does where its last answer is old.
    pub async fn explain(&self, domain: &Domain) -> Vec<String> {
        let name = &domain.name;
        let route = self.find(domain).await;
        let known = self.known(name);
        if !domain.primary.is_empty() {
            let hosts = domain.primary.join(", then ");
            let mut words = vec![format!("as the policy says, mail goes to {hosts}")];
            let known = known.lock().await;
            words.extend(route.iter().flat_map(|route| resting(route, &known.met)));
            return words;
        }
        let (mut words, names) = {
            let known = known.lock().await;
            // Name servers that do not answer are not waited for once more.
            let is_told = known.untold.is_none();
            let names = is_told.then(|| names_of(name, &known));
            (records_of(name, &known), names.unwrap_or_default())
        };
        words.extend(self.aliases(names).await);
        {
            let known = known.lock().await;
            words.extend(hosts_of(&known, &*self.members));
            words.extend(route.iter().flat_map(|route| resting(route, &known.met)));
        }
        words.push(match route {
            Ok(route) => {
                let hosts = route.hosts().iter().map(|host| host.name.as_str());
                let hosts: Vec<&str> = hosts.collect();
                format!("mail goes to {}", hosts.join(", then "))
            }
            Err(none) => format!("{none}; until then its mail waits, and none is returned for it"),
        });
        words
    }

    /// Which of these names are aliases, as far as the DNS tells.
    async fn aliases(&self, names: Vec<String>) -> Vec<String> {
        let mut lookups = JoinSet::new();
        for (place, name) in names.into_iter().enumerate() {
            let dns = Arc::clone(&self.dns);
            lookups.spawn(async move {
                let target = dns.alias(&name).await;
                (place, name, target)
            });
        }
        let mut found = lookups.join_all().await;
        found.sort_by_key(|(place, ..)| *place);
        let aliases = found
            .into_iter()
            .filter_map(|(_, name, target)| match target {
                Ok(Answer::Records(targets)) => {
                    let target = targets.into_iter().next()?;
                    Some(format!("{name} is an alias (CNAME) of {target}"))
                }
                Ok(Answer::NoData | Answer::NoSuchName) | Err(_) => None,
            });
        aliases.collect()
    }
}

/// Which hosts come last for now.
fn resting(route: &Route, met: &Met) -> Vec<String> {
    if route.hosts().len() < 2 {
        return Vec::new();
    }
    let hosts = route.hosts().iter();
    let resting = hosts.filter(|host| met.is_resting(&host.name));
    let words = resting.map(|host| {
        let name = &host.name;
        format!("{name} was waited for in vain just now, so the others come before it")
    });
    words.collect()
}

/// What the DNS says of who takes a domain's mail, and whether it says so now.
fn records_of(domain: &str, known: &Known) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(why) = &known.untold {
        words.push(match known.told_at {
            Some(at) => format!(
                "the DNS does not tell now who takes the mail of {domain} ({why}): its last answer counts, which \
                 is {} s old",
                at.elapsed().as_secs()
            ),
            None => format!("the DNS does not tell who takes the mail of {domain}: {why}"),
        });
    }
    let found = known.found.as_ref();
    words.extend(found.map(|found| match &found.records {
        Records::NoDomain => format!("there is no domain {domain} in the DNS"),
        Records::Null => {
            format!("{domain} has a null MX record, by which it takes no mail (RFC 7505)")
        }
        Records::Exchanges(hosts) if hosts.len() == 1 => format!("{domain} has 1 MX host"),
        Records::Exchanges(hosts) => format!("{domain} has {} MX hosts", hosts.len()),
        Records::Implicit(_) => {
            format!("{domain} has no MX record, so it is its own host (RFC 5321 section 5.1)")
        }
    }));
    words
}

/// What may be an alias: the domain, and its hosts.
fn names_of(domain: &str, known: &Known) -> Vec<String> {
    let found = known.found.as_ref();
    let hosts = found.map_or(&[][..], |found| found.records.exchanges());
    let mut names = vec![domain.to_owned()];
    names.extend(hosts.iter().map(|host| host.name.clone()));
    names.dedup();
    names
}

/// What becomes of each host, and which of them are equal.
fn hosts_of(known: &Known, members: &dyn Members) -> Vec<String> {
    let weighed = known.found.as_ref().map(|found| found.weighed(members));
    let weighed = weighed.unwrap_or_default();
    let mut words: Vec<String> = weighed.iter().map(ToString::to_string).collect();
    let is_used = |host: &&Weighed| matches!(host.fate, Fate::Used(_));
    for equals in weighed.chunk_by(|a, b| a.preference == b.preference) {
        let used = equals.iter().filter(is_used);
        let names: Vec<&str> = used.map(|host| host.name.as_str()).collect();
        if names.len() > 1 {
            let names = names.join(" and ");
            words.push(format!(
                "{names} are equal: which of them comes first is drawn for each connection"
            ));
        }
    }
    words
}
