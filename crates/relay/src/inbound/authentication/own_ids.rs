//! Under which names results of evaluations are ours.

use std::sync::Arc;

use smtp::forged::{self, Claim};

use crate::route::Routes;

/// The names under which this node, or all nodes, tell what they found out.
#[derive(Clone, Debug)]
pub(in crate::inbound) struct OwnIds {
    /// This node's name.
    pub(in crate::inbound) hostname: Arc<str>,
    /// The policy's, when it has one.
    pub(in crate::inbound) shared: Option<Arc<str>>,
    /// Who knows the names of the others.
    pub(in crate::inbound) routes: Arc<Routes>,
}

impl forged::OwnIds for OwnIds {
    fn include(&self, claim: &Claim) -> bool {
        let is_of = |id: &str| claim.is_of(id);
        is_of(&self.hostname)
            || self.shared.as_deref().is_some_and(is_of)
            || self
                .routes
                .names_of_members()
                .iter()
                .any(|name| is_of(name))
    }
}
