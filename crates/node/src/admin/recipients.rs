//! What is known of recipients, as operators see and change it.

use std::{collections::BTreeSet, future, sync::Arc};

use api::admin::v1::{
    KnownRecipient, RecipientsAddRequest, RecipientsChangeResponse, RecipientsForgetRequest, Roster,
};
use cluster::Cluster;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use smtp::{ForwardPath, Mailbox};
use spool::{
    Destination, Fact, Learned, Policy, Timestamp,
    policy::{Domain, List, Recipients, domain_named},
    recipients::{News, Source, VALID_MAX, address_of},
};
use tonic::Status;

use super::{audit, refused};

/// Recipients read at once.
const PAGE_RECIPIENTS: usize = 1000;

/// So many pages are forgotten at once: one after the other, all that one domain may have would take longer
/// than `layover` waits.
const PAGES_FORGOTTEN_AT_ONCE: usize = 8;

/// Recipients that one request may name: their addresses stay well below a message's limit.
const ADDRESSES_MAX: usize = 10_000;

/// Notes what an operator has changed.
pub(super) async fn note(
    cluster: &Cluster,
    by: String,
    verb: &str,
    domain: &str,
    response: &RecipientsChangeResponse,
) {
    if response.changed > 0 {
        let what = format!("recipients {verb} {domain}: {} of them", response.changed);
        audit::note(cluster, by, what).await;
    }
}

/// The policy, and its domain of that name.
pub(super) fn policy_with(cluster: &Cluster, name: &str) -> Result<Arc<Policy>, Status> {
    let Some(policy) = cluster.policy() else {
        return Err(Status::unavailable("the cluster is not founded yet"));
    };
    if policy.domain(name).is_some() {
        return Ok(policy);
    }
    let known: Vec<&str> = policy.domains.iter().map(|d| d.name.as_str()).collect();
    let known = known.join(", ");
    Err(Status::not_found(format!(
        "no domain {name:?} is in the policy; its domains are {known}"
    )))
}

/// The policy, once it is sure that something may be known of a domain: it is in the policy, or has left it.
pub(super) fn policy_beside(cluster: &Cluster, name: &str) -> Result<Arc<Policy>, Status> {
    let destinations = cluster.destinations();
    let has_figures = destinations.iter().any(|(known, _)| known == name);
    match cluster.policy() {
        Some(policy) if has_figures => Ok(policy),
        _ => policy_with(cluster, name),
    }
}

/// Everybody of whom something is known, page by page.
pub(super) fn list(
    cluster: &Cluster,
    domain: &str,
) -> Result<impl Stream<Item = Result<KnownRecipient, Status>> + Send + use<>, Status> {
    let domain = domain_named(domain);
    policy_beside(cluster, &domain)?;
    let recipients = |page: Vec<(String, Learned)>| {
        stream::iter(page).map(|(address, learned)| Ok(recipient(address, learned)))
    };
    Ok(pages(cluster, domain).map_ok(recipients).try_flatten())
}

/// What is known of a domain's recipients, page by page.
fn pages(
    cluster: &Cluster,
    domain: String,
) -> impl Stream<Item = Result<Vec<(String, Learned)>, Status>> + Send + use<> {
    let cluster = cluster.clone();
    stream::try_unfold(String::new(), move |after| {
        let (cluster, domain) = (cluster.clone(), domain.clone());
        async move {
            let page = cluster.recipients(&domain, &after, PAGE_RECIPIENTS).await;
            let page = page.map_err(refused)?;
            let last = page.last().map(|(address, _)| address.clone());
            Ok::<_, Status>(last.map(|last| (page, last)))
        }
    })
}

fn recipient(address: String, learned: Learned) -> KnownRecipient {
    let state = if learned.is_valid { "valid" } else { "unknown" };
    let from = match learned.from {
        Source::Delivery => "delivery",
        Source::Probe => "probe",
        Source::Operator => "operator",
    };
    KnownRecipient {
        address,
        state: state.to_owned(),
        since_ms: learned.at.0,
        from: from.to_owned(),
    }
}

/// What is known of a domain's recipients in figures, where it matters.
pub(super) fn roster(domain: &Domain, destination: &Destination, now: Timestamp) -> Option<Roster> {
    let is_verified = matches!(domain.recipients, Recipients::Verify { .. });
    is_verified.then(|| Roster {
        valid: destination.roster.valid,
        unknown: destination.roster.unknown,
        takes_everybody: destination.roster.takes_everybody(destination, now),
    })
}

/// How many recipients the policy lists of a domain; `None` where it has no list of them.
pub(super) fn listed(cluster: &Cluster, domain: &str) -> Option<u64> {
    let policy = cluster.policy()?;
    list_of(&policy, &domain_named(domain)).map(|list| list.len() as u64)
}

fn list_of<'p>(policy: &'p Policy, domain: &str) -> Option<&'p List> {
    match &policy.domain(domain)?.recipients {
        Recipients::List(list) => Some(list),
        Recipients::Any | Recipients::Verify { .. } => None,
    }
}

/// Adds recipients. With `recipients = "any"` they matter, too: when a primary is back and refuses one of them,
/// that is not believed.
pub(super) async fn add(
    cluster: &Cluster,
    request: RecipientsAddRequest,
) -> Result<RecipientsChangeResponse, Status> {
    let domain = domain_named(&request.domain);
    let policy = policy_with(cluster, &domain)?;
    if list_of(&policy, &domain).is_some() {
        return Err(Status::failed_precondition(format!(
            "{domain} has recipients = \"list\" in the policy, and nobody is taken who is not in its \
             recipients_file: add them there, then layover policy apply"
        )));
    }
    let addresses = addresses(&policy, &domain, &request.addresses)?;
    let mut facts = Vec::with_capacity(addresses.len());
    let mut new: u64 = 0;
    for address in addresses {
        let known = cluster.recipient(&domain, &address).await;
        let known = known.map_err(refused)?;
        let is_word = known.is_some_and(|known| known.is_valid && known.from == Source::Operator);
        new += u64::from(known.is_none());
        if !is_word {
            facts.push(fact(&domain, address, News::Valid(Source::Operator)));
        }
    }
    let valid = cluster
        .destinations()
        .into_iter()
        .find(|(name, _)| *name == domain)
        .map_or(0, |(_, destination)| destination.roster.valid);
    if valid.saturating_add(new) > VALID_MAX {
        return Err(Status::failed_precondition(format!(
            "{domain} would have more than {VALID_MAX} recipients that are known; \
             layover recipients forget makes room"
        )));
    }
    teach(cluster, facts).await
}

/// Forgets recipients.
pub(super) async fn forget(
    cluster: &Cluster,
    request: RecipientsForgetRequest,
) -> Result<RecipientsChangeResponse, Status> {
    let domain = domain_named(&request.domain);
    let policy = policy_beside(cluster, &domain)?;
    if request.all {
        return forget_all(cluster, &domain).await;
    }
    let mut facts = Vec::new();
    for address in addresses(&policy, &domain, &request.addresses)? {
        let known = cluster.recipient(&domain, &address).await;
        if known.map_err(refused)?.is_some() {
            facts.push(fact(&domain, address, News::Nothing));
        }
    }
    teach(cluster, facts).await
}

/// Forgets everybody of whom this node knows, and what the primary does with an address that nobody has.
async fn forget_all(cluster: &Cluster, domain: &str) -> Result<RecipientsChangeResponse, Status> {
    let nonsense = [fact(domain, String::new(), News::Nothing)];
    cluster.teach(&nonsense).await.map_err(refused)?;
    let forget = |page: Vec<(String, Learned)>| {
        let facts = page.into_iter();
        let facts = facts.map(|(address, _)| fact(domain, address, News::Nothing));
        teach(cluster, facts.collect())
    };
    let pages = pages(cluster, domain.to_owned()).map_ok(forget);
    let forgotten = pages.try_buffer_unordered(PAGES_FORGOTTEN_AT_ONCE);
    let sum = |before: RecipientsChangeResponse, page: RecipientsChangeResponse| {
        let changed = before.changed.saturating_add(page.changed);
        future::ready(Ok(RecipientsChangeResponse { changed }))
    };
    forgotten
        .try_fold(RecipientsChangeResponse::default(), sum)
        .await
}

async fn teach(cluster: &Cluster, facts: Vec<Fact>) -> Result<RecipientsChangeResponse, Status> {
    cluster.teach(&facts).await.map_err(refused)?;
    Ok(RecipientsChangeResponse {
        changed: facts.len() as u64,
    })
}

fn fact(domain: &str, address: String, news: News) -> Fact {
    Fact {
        domain: domain.to_owned(),
        address,
        news,
    }
}

/// The addresses as they are known by, each once.
fn addresses(policy: &Policy, domain: &str, words: &[String]) -> Result<BTreeSet<String>, Status> {
    if words.is_empty() || words.len() > ADDRESSES_MAX {
        return Err(Status::invalid_argument(format!(
            "{} addresses are named; 1 to {ADDRESSES_MAX} at a time are possible",
            words.len()
        )));
    }
    let address = |word: &String| address(policy, domain, word).map_err(Status::invalid_argument);
    words.iter().map(address).collect()
}

fn address(policy: &Policy, domain: &str, word: &str) -> Result<String, String> {
    let whole = if word.contains('@') || domain.starts_with('*') {
        word.to_owned()
    } else {
        format!("{word}@{domain}")
    };
    let mailbox: Mailbox = whole
        .parse()
        .map_err(|error| format!("{word:?} is no address of {domain}: {error}"))?;
    let path = ForwardPath::Mailbox(mailbox);
    // Of a domain that has left the policy nothing can be added, and forgotten only what is known.
    let is_theirs = policy
        .domain_of(&path)
        .is_ok_and(|theirs| theirs.name == domain);
    if !is_theirs && policy.domain(domain).is_some() {
        return Err(format!("{word:?} is no address of {domain}"));
    }
    address_of(&path).ok_or_else(|| format!("{word:?} is always valid, as every postmaster is"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        let domain = |name| format!("[[domain]]\nname = \"{name}\"\nprimary = [\"mx\"]\n");
        Policy::parse(&["example.com", "*.example.org"].map(domain).concat()).unwrap()
    }

    #[test]
    fn an_address_may_be_a_local_part_where_that_says_enough() {
        for (domain, word, expected) in [
            ("example.com", "Ann", "ann@example.com"),
            ("example.com", "ann@Example.COM", "ann@example.com"),
            ("*.example.org", "b@a.example.org", "b@a.example.org"),
        ] {
            assert_eq!(address(&policy(), domain, word).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn who_is_known_of_a_domain_that_has_left_the_policy_can_be_named() {
        let named = address(&policy(), "left.example", "Ann");
        assert_eq!(named.as_deref(), Ok("ann@left.example"));
    }

    #[test]
    fn what_is_no_address_of_the_domain_is_refused() {
        for (domain, word) in [
            ("example.com", ""),
            ("example.com", "a b"),
            ("example.com", "a@example.org"),
            ("example.com", "a%example.org"),
            ("example.com", "Postmaster"),
            ("*.example.org", "b"),
            ("*.example.org", "b@example.org"),
        ] {
            assert!(address(&policy(), domain, word).is_err(), "{domain} {word}");
        }
        let none = addresses(&policy(), "example.com", &[]).unwrap_err();
        assert_eq!(none.code(), tonic::Code::InvalidArgument);
    }
}
