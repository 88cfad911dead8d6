//! What a leader that hands leadership over waits for: that its forwarder has ended, and none begins.

use tokio::sync::watch;

/// The turns of this node.
#[derive(Debug)]
pub(crate) struct Turns {
    /// How many forwarders have begun and not ended.
    taken: watch::Sender<usize>,
    /// How many hand-overs are under way.
    hand_overs: watch::Sender<usize>,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self {
            taken: watch::Sender::new(0),
            hand_overs: watch::Sender::new(0),
        }
    }

    /// Ends the turn that is, and lets none begin until the pause is dropped.
    pub(crate) fn pause(&self) -> Pause<'_> {
        self.hand_overs.send_modify(|count| *count += 1);
        Pause(self)
    }

    /// Whether leadership is being handed over.
    pub(crate) fn are_paused(&self) -> bool {
        *self.hand_overs.borrow() > 0
    }

    /// How many hand-overs are under way, and each change of it.
    pub(crate) fn hand_overs(&self) -> watch::Receiver<usize> {
        self.hand_overs.subscribe()
    }

    /// Counts a forwarder that begins.
    pub(crate) fn begin(&self) {
        self.taken.send_modify(|count| *count += 1);
    }

    /// Counts a forwarder that has ended.
    pub(crate) fn end(&self) {
        self.taken.send_modify(|count| *count -= 1);
    }
}

/// No turn begins while this is held.
#[derive(Debug)]
pub(crate) struct Pause<'a>(&'a Turns);

impl Pause<'_> {
    /// Waits until nothing is under way any more.
    pub(crate) async fn drained(&self) {
        let mut taken = self.0.taken.subscribe();
        // It does not end before: this holds the other end.
        drop(taken.wait_for(|count| *count == 0).await);
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.0.hand_overs.send_modify(|count| *count -= 1);
    }
}
