//! What a session has staged of a body that is not complete.

use std::sync::Arc;

use super::admission::Guest;

/// Octets that are set aside of what a client may have staged. They are given back when this is
/// dropped.
#[derive(Debug)]
pub(super) struct Unfinished {
    guest: Arc<Guest>,
    octets: u64,
}

impl Unfinished {
    pub(super) const fn new(guest: Arc<Guest>) -> Self {
        Self { guest, octets: 0 }
    }

    /// Adds so many octets; says whether the client may have as many.
    pub(super) fn add(&mut self, octets: usize) -> bool {
        let fits = self.guest.set_aside(octets as u64);
        if fits {
            self.octets += octets as u64;
        }
        fits
    }

    /// Nothing is staged any more, or all of it belongs to a message.
    pub(super) fn clear(&mut self) {
        self.guest.give_back(core::mem::take(&mut self.octets));
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.clear();
    }
}
