//! Whom the hosts of a route turned out to be, and which of them are only waited for.
//!
//! A host that is this cluster under a name and an address of which no member knows is recognised when it
//! introduces itself, and no sooner. So as long as it has not done that, it is doubted.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::route::limits::{REST, SILENCE_KEEP, WAIT_MIN};

/// What came of it when each host was last connected to.
#[derive(Debug, Default)]
pub(crate) struct Met(HashMap<String, Meeting>);

/// What came of it when a host was connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meeting {
    /// It has introduced itself as this cluster, or may be.
    Ourselves,
    /// It has introduced itself as somebody else.
    Stranger,
    /// It has not introduced itself, at that moment. It would be waited for each time if that counted for nothing.
    Silent(Instant),
    /// Nor that, and it was waited for, up to that moment.
    Mute(Instant),
}

impl Meeting {
    /// With a host that was connected to in vain since then.
    pub(crate) fn of_silence(since: Instant) -> Self {
        let now = Instant::now();
        if now - since >= WAIT_MIN {
            Self::Mute(now)
        } else {
            Self::Silent(now)
        }
    }
}

impl Met {
    pub(crate) fn note(&mut self, host: &str, meeting: Meeting) {
        self.0.insert(host.to_owned(), meeting);
    }

    /// Takes over what is newer.
    pub(crate) fn learn(&mut self, newer: Self) {
        self.0.extend(newer.0);
    }

    /// Forgets the other hosts.
    pub(crate) fn keep(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.0.retain(|host, _| is_kept(host));
    }

    /// Whether a host may be this cluster, as far as it was met.
    pub(crate) fn is_doubted(&self, host: &str) -> bool {
        match self.0.get(host) {
            None | Some(Meeting::Ourselves) => true,
            Some(Meeting::Stranger) => false,
            Some(Meeting::Silent(since) | Meeting::Mute(since)) => since.elapsed() >= SILENCE_KEEP,
        }
    }

    /// Whether a host was waited for in vain just now, so that others come before it.
    pub(crate) fn is_resting(&self, host: &str) -> bool {
        matches!(self.0.get(host), Some(Meeting::Mute(since)) if since.elapsed() < REST)
    }

    /// Somebody tries a host again that has rested: until he knows more, it rests for the others.
    pub(crate) fn try_again(&mut self, host: &str) {
        if let Some(Meeting::Mute(since)) = self.0.get_mut(host)
            && since.elapsed() >= REST
        {
            *since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_host_is_doubted_until_it_was_met_and_again_when_its_silence_is_old() {
        let mut met = Met::default();
        assert!(met.is_doubted("mail.test:25"));
        met.note("mail.test:25", Meeting::Silent(Instant::now()));
        assert!(!met.is_doubted("mail.test:25"));
        tokio::time::advance(SILENCE_KEEP - Duration::from_millis(1)).await;
        assert!(!met.is_doubted("mail.test:25"));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(met.is_doubted("mail.test:25"));
        let mut newer = Met::default();
        newer.note("mail.test:25", Meeting::Stranger);
        met.learn(newer);
        assert!(!met.is_doubted("mail.test:25"));
        met.note("mail.test:25", Meeting::Ourselves);
        assert!(met.is_doubted("mail.test:25"));
        met.note("mail.test:25", Meeting::Stranger);
        met.keep(|host| host != "mail.test:25");
        assert!(met.is_doubted("mail.test:25"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_was_waited_for_rests_and_is_tried_by_one_at_a_time_then() {
        let mut met = Met::default();
        let began = Instant::now();
        met.note("quick.test:25", Meeting::of_silence(began));
        tokio::time::advance(WAIT_MIN).await;
        met.note("mute.test:25", Meeting::of_silence(began));
        assert!(!met.is_resting("quick.test:25"));
        assert!(met.is_resting("mute.test:25") && !met.is_doubted("mute.test:25"));
        met.try_again("mute.test:25");
        tokio::time::advance(REST).await;
        assert!(!met.is_resting("mute.test:25"));
        met.try_again("mute.test:25");
        assert!(met.is_resting("mute.test:25"));
        met.note("mute.test:25", Meeting::Stranger);
        assert!(!met.is_resting("mute.test:25"));
    }
}
