//! Which domain of a policy an address falls under: what is found by name is what is found by looking at each.

use proptest::{
    collection::{btree_set, vec},
    prelude::*,
    sample::select,
};
use smtp::{ForwardPath, Mailbox};
use spool::{Policy, policy::Domain};

/// Few labels, so that names meet.
fn name() -> impl Strategy<Value = String> {
    vec(select(vec!["a", "b", "ab", "com", "a-b"]), 1..5).prop_map(|labels| labels.join("."))
}

fn policy() -> impl Strategy<Value = Policy> {
    let own = (any::<bool>(), name()).prop_map(|(is_wildcard, name)| {
        if is_wildcard {
            format!("*.{name}")
        } else {
            name
        }
    });
    let text = btree_set(own, 1..40).prop_map(|names| {
        let domains = names.into_iter().rev();
        let domains = domains.map(|name| {
            format!("[[domain]]\nname = \"{name}\"\nprimary = [\"mail.example.com\"]\n")
        });
        domains.collect::<String>()
    });
    text.prop_map(|text| Policy::parse(&text).expect("the policy is sound"))
}

/// A name, or what is none for what stands in front of it, in some case.
fn domain() -> impl Strategy<Value = String> {
    let front = select(vec!["", "", "", "x.", "*.", ".", "a..", "[", "[a.", "b"]);
    (front, name(), any::<bool>()).prop_map(|(front, name, is_upper)| {
        let domain = format!("{front}{name}");
        if is_upper {
            domain.to_ascii_uppercase()
        } else {
            domain
        }
    })
}

fn covers(own: &Domain, domain: &str) -> bool {
    let Some(parent) = own.name.strip_prefix("*.") else {
        return own.name == domain;
    };
    let front = domain.strip_suffix(&format!(".{parent}"));
    front.is_some_and(|front| !front.is_empty() && !front.starts_with(['.', '[']))
}

/// Looks at each: an exact name wins over a wildcard, a longer wildcard over a shorter one.
fn found_among_all<'p>(policy: &'p Policy, domain: &str) -> Option<&'p Domain> {
    let domain = domain.to_ascii_lowercase();
    let covering = policy.domains.iter().filter(|own| covers(own, &domain));
    covering.max_by_key(|own| (!own.name.starts_with('*'), own.name.len()))
}

proptest! {
    #[test]
    fn a_domain_is_found_by_name_as_by_looking_at_each(
        policy in policy(),
        domains in vec(domain(), 1..40),
    ) {
        for domain in domains {
            let expected = found_among_all(&policy, &domain);
            prop_assert_eq!(policy.domain_covering(&domain), expected);
            let path = ForwardPath::Mailbox(Mailbox {
                local_part: "user".to_owned(),
                domain: domain.clone(),
            });
            prop_assert_eq!(policy.domain_of(&path).ok(), expected);
            let named = policy.domains.iter().find(|own| own.name == domain);
            prop_assert_eq!(policy.domain(&domain), named);
        }
        for own in &policy.domains {
            prop_assert_eq!(policy.domain(&own.name), Some(own));
        }
    }
}
