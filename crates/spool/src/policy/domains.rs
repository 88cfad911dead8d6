//! The domains of a policy, in the order of its file, and found by name without looking at each.

use core::{ops::Deref, slice};

use super::Domain;

/// A policy's domains in the order of its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domains {
    in_order: Vec<Domain>,
    /// Their places, sorted by [`key`].
    by_name: Vec<usize>,
}

/// What a policy's name stands for: whether it is a wildcard, and the name, or how the names that it covers end.
fn key(name: &str) -> (bool, &str) {
    name.strip_prefix('*')
        .map_or((false, name), |end| (true, end))
}

impl Domains {
    /// The domain that has this very name in the policy.
    pub(super) fn named(&self, name: &str) -> Option<&Domain> {
        self.find(key(name))
    }

    /// The domain that an address's domain, in ASCII and any case, falls under: an exact name wins over a
    /// wildcard, a longer wildcard over a shorter one.
    pub(super) fn covering(&self, domain: &str) -> Option<&Domain> {
        let domain = domain.to_ascii_lowercase();
        if let Some(exact) = self.find((false, &domain)) {
            return Some(exact);
        }
        // `*.example.com` covers what ends in `.example.com` and has something before it.
        if domain.starts_with(['[', '.']) {
            return None;
        }
        let mut ends = domain.match_indices('.').map(|(dot, _)| &domain[dot..]);
        ends.find_map(|end| self.find((true, end)))
    }

    fn find(&self, wanted: (bool, &str)) -> Option<&Domain> {
        let name_of = |place: &usize| key(&self.in_order[*place].name);
        let found = self
            .by_name
            .binary_search_by(|place| name_of(place).cmp(&wanted))
            .ok()?;
        Some(&self.in_order[self.by_name[found]])
    }
}

impl From<Vec<Domain>> for Domains {
    fn from(in_order: Vec<Domain>) -> Self {
        let mut by_name: Vec<usize> = (0..in_order.len()).collect();
        by_name.sort_by_key(|place| key(&in_order[*place].name));
        Self { in_order, by_name }
    }
}

impl Deref for Domains {
    type Target = [Domain];

    fn deref(&self) -> &[Domain] {
        &self.in_order
    }
}

impl<'d> IntoIterator for &'d Domains {
    type Item = &'d Domain;
    type IntoIter = slice::Iter<'d, Domain>;

    fn into_iter(self) -> Self::IntoIter {
        self.in_order.iter()
    }
}
