//! Tells the log when a member is lost and when it is back: once each, not at every try.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// Whether each member answers, over all connections to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Contacts {
    lost: Arc<Mutex<HashMap<u64, Arc<AtomicBool>>>>,
}

/// Whether one member answers.
#[derive(Clone, Debug)]
pub(super) struct Contact {
    member: u64,
    address: String,
    lost: Arc<AtomicBool>,
}

impl Contacts {
    pub(super) fn with(&self, member: u64, address: &str) -> Contact {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = Arc::clone(lost.entry(member).or_default());
        Contact {
            member,
            address: address.to_owned(),
            lost,
        }
    }
}

impl Contact {
    pub(super) fn answered(&self) {
        if self.lost.load(Ordering::Relaxed) && self.lost.swap(false, Ordering::Relaxed) {
            tracing::info!(member = self.member, address = %self.address, "member answers again");
        }
    }

    /// It answers, and wants nothing from this node.
    pub(super) fn refused(&self, reason: impl fmt::Display) {
        if !self.lost.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                member = self.member,
                address = %self.address,
                %reason,
                "member refuses this node"
            );
        }
    }

    pub(super) fn failed(&self, reason: impl fmt::Display) {
        if !self.lost.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                member = self.member,
                address = %self.address,
                %reason,
                "member does not answer"
            );
        }
    }
}
