//! Which policy all nodes go by, and how it came to be.

use std::sync::Arc;

use super::{Document, Policy, PolicyErrors};
use crate::Timestamp;

/// The policy that all nodes go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// 1 is the cluster's first one; each that is adopted counts one more.
    pub version: u64,
    /// When it was proposed; `Timestamp(0)` when that was never noted.
    pub since: Timestamp,
    /// Who has adopted it, in his own words; empty of the first one.
    pub by: String,
    /// As it was written.
    pub document: Document,
    /// What that says. Shared, since everyone who answers RCPT looks at it.
    pub policy: Arc<Policy>,
}

impl InForce {
    /// Reads a document.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(
        version: u64,
        since: Timestamp,
        by: String,
        document: Document,
    ) -> Result<Self, PolicyErrors> {
        let policy = Arc::new(document.policy()?);
        Ok(Self {
            version,
            since,
            by,
            document,
            policy,
        })
    }
}
