//! Whom the hosts that MX records name turned out to be.
//!
//! A host that is this cluster under a name and an address of which no member knows is recognised when it
//! introduces itself, and no sooner. So as long as it has not done that, it is doubted.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::route::limits::SILENCE_KEEP;

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
            Some(Meeting::Silent(since)) => since.elapsed() >= SILENCE_KEEP,
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
}
