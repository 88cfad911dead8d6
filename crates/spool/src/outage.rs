//! When no mail of a domain could leave, and how old it counts as therefore: that time is not its fault.

use core::time::Duration;

use crate::{Destination, Message, Reachability, Status, Timestamp, policy::Keeping};

/// Outages that are remembered of each domain. When there are more, the two earliest become one, and the
/// time between them counts as one too: mail is never given up earlier for it.
pub const OUTAGES_MAX: usize = 1000;

/// How long before mail expires it is warned of that.
pub const EXPIRY_NOTICE: Duration = Duration::from_secs(72 * 3600);

/// What a leader has claimed may be given up when no mail could leave for so long: longer than the reply to a
/// final dot may take (RFC 5321 section 4.5.3.2.6), and than anyone goes on telling of it.
const CLAIMED_DOWN_MIN: Duration = Duration::from_secs(15 * 60);

/// A time in which a domain's primary was down, or its mail was kept back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outage {
    /// Its beginning.
    pub since: Timestamp,
    /// Its end.
    pub until: Timestamp,
}

impl Destination {
    /// The outages that last until now: each reason why none of the domain's mail can leave.
    pub fn outages_at(&self, now: Timestamp) -> impl Iterator<Item = Outage> + use<> {
        let down = match self.reachability {
            Reachability::Up => None,
            Reachability::Down(_) => Some(self.since),
        };
        let paused = self.pause_at(now).map(|pause| pause.since);
        let held_back = self.held_back().map(|tripped| tripped.at);
        let outage = move |since: Timestamp| Outage {
            since,
            until: now.max(since),
        };
        down.into_iter().chain(paused).chain(held_back).map(outage)
    }
}

/// The outage that a domain's pause was which has ended by itself.
pub(crate) fn ended_pause(destination: &Destination, now: Timestamp) -> Option<Outage> {
    let pause = destination.paused.as_ref()?;
    let until = pause.until.filter(|until| *until <= now)?;
    Some(Outage {
        since: pause.since,
        until: until.max(pause.since),
    })
}

/// How old the mail of one domain counts as, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ageing {
    now: Timestamp,
    keeping: Keeping,
    /// In order, and apart from each other.
    outages: Vec<Outage>,
    /// Since when no mail can leave; `None` while it can.
    suspended_since: Option<Timestamp>,
}

/// When a message is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// How old it counts as.
    pub counted: Duration,
    /// The moment, if mail can leave until then.
    pub at: Timestamp,
    /// Whether its primary is down, or its domain paused or held back, so that this moment moves away.
    pub is_suspended: bool,
}

impl Ageing {
    /// Of a domain with these outages, ended ones, in any order.
    #[must_use]
    pub fn new(
        keeping: Keeping,
        destination: &Destination,
        mut outages: Vec<Outage>,
        now: Timestamp,
    ) -> Self {
        outages.extend(ended_pause(destination, now));
        let ended = outages.len();
        outages.extend(destination.outages_at(now));
        let present = outages.get(ended..).unwrap_or_default().iter();
        let suspended_since = present.map(|outage| outage.since).min();
        outages.sort_unstable();
        let mut apart: Vec<Outage> = Vec::with_capacity(outages.len());
        for outage in outages {
            match apart.last_mut() {
                Some(last) if outage.since <= last.until => {
                    last.until = last.until.max(outage.until);
                }
                _ => apart.push(outage),
            }
        }
        Self {
            now,
            keeping,
            outages: apart,
            suspended_since,
        }
    }

    /// Whether nothing is on its way to the primary, nor a word of what was: a leader claims ahead what it
    /// will deliver once the primary is up.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let since = self.suspended_since;
        since.is_some_and(|since| self.now.since(since) >= CLAIMED_DOWN_MIN)
    }

    /// Mail whose age counts from this moment, or from before, is too old.
    #[must_use]
    pub fn expired(&self) -> Timestamp {
        self.expiring(Duration::ZERO)
    }

    /// Mail whose age counts from this moment, or from before, will be too old in a while, if mail can leave
    /// until then.
    #[must_use]
    pub fn expiring(&self, within: Duration) -> Timestamp {
        let counted = self.keeping.max_age.saturating_sub(within);
        let real = self.keeping.max_age_total.saturating_sub(within);
        self.counting_back(counted).max(self.now.before(real))
    }

    /// How much of the time since a moment counts.
    #[must_use]
    pub fn counted(&self, since: Timestamp) -> Duration {
        let down = self.outages.iter().map(|outage| {
            let until = outage.until.min(self.now);
            until.since(outage.since.max(since))
        });
        self.now.since(since).saturating_sub(down.sum())
    }

    /// When mail expires whose age counts from a moment.
    #[must_use]
    pub fn expiry(&self, counts_from: Timestamp) -> Expiry {
        let counted = self.counted(counts_from);
        let left = self.keeping.max_age.saturating_sub(counted);
        let last = counts_from.after(self.keeping.max_age_total);
        Expiry {
            counted,
            at: self.now.after(left).min(last),
            is_suspended: self.suspended_since.is_some(),
        }
    }

    /// The moment since which so much time counts.
    fn counting_back(&self, span: Duration) -> Timestamp {
        let mut left = span;
        let mut end = self.now;
        for outage in self.outages.iter().rev() {
            let up = end.since(outage.until);
            if up >= left {
                break;
            }
            left -= up;
            end = end.min(outage.since);
        }
        end.before(left)
    }
}

impl Message {
    /// The moment from which its age counts.
    #[must_use]
    pub fn counts_from(&self) -> Timestamp {
        self.renewed_at.unwrap_or(self.received_at)
    }

    /// The domains that it is still to be delivered to.
    pub fn undelivered_domains(&self) -> impl Iterator<Item = &str> {
        let domains = self.domains().into_iter();
        domains.filter(|domain| {
            let mut theirs = self.recipients.iter().filter(|r| r.domain == *domain);
            theirs.any(|recipient| !recipient.status.is_final())
        })
    }
}

/// What is said of a recipient whose time is over.
pub(crate) fn expired_words(status: &Status) -> String {
    const WORDS: &str = "5.4.7 delivery time expired";
    match status {
        Status::Deferred { reason, .. } => format!("{WORDS}; the last words were: {reason}"),
        _ => format!("{WORDS} before the primary could take the message"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Timestamp {
        Timestamp(seconds * 1000)
    }

    const fn span(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn ageing(down_since: Option<u64>, outages: &[(u64, u64)], now: u64) -> Ageing {
        let keeping = Keeping {
            max_age: span(100),
            max_age_total: span(500),
            ..Keeping::default()
        };
        let destination = Destination {
            reachability: down_since
                .map_or(Reachability::Up, |_| Reachability::Down(String::new())),
            since: at(down_since.unwrap_or(0)),
            ..Destination::default()
        };
        let outages = outages.iter().map(|(since, until)| Outage {
            since: at(*since),
            until: at(*until),
        });
        Ageing::new(keeping, &destination, outages.collect(), at(now))
    }

    #[test]
    fn time_in_which_the_primary_was_down_does_not_count() {
        let ageing = ageing(None, &[(1050, 1200)], 1300);
        assert_eq!(ageing.counted(at(1000)), span(150));
        assert_eq!(ageing.counted(at(1100)), span(100));
        assert_eq!(ageing.counted(at(1250)), span(50));
        assert_eq!(ageing.expired(), at(1200));
        assert_eq!(ageing.expiring(span(20)), at(1220));
        assert_eq!(ageing.expiry(at(1250)).at, at(1350));
        assert_eq!(ageing.expiry(at(1000)).at, at(1300), "it is too old");
    }

    #[test]
    fn nothing_ages_while_the_primary_is_down_but_up_to_the_age_in_all() {
        let down = ageing(Some(1010), &[], 1400);
        assert_eq!(down.counted(at(1000)), span(10));
        assert_eq!(down.expired(), at(910));
        let expiry = down.expiry(at(1000));
        assert_eq!((expiry.at, expiry.is_suspended), (at(1490), true));
        assert_eq!(down.expiry(at(910)).at, at(1400));
        let later = ageing(Some(1010), &[], 1500);
        assert_eq!(
            later.expired(),
            at(1000),
            "500 s are over for what came then"
        );
    }

    #[test]
    fn outages_that_overlap_count_once() {
        let ageing = ageing(None, &[(1100, 1200), (1000, 1300), (1300, 1310)], 1400);
        assert_eq!(ageing.counted(at(900)), span(190));
        assert_eq!(ageing.expired(), at(990));
    }

    #[test]
    fn what_is_too_old_is_told_alike_by_both_ways_of_counting() {
        let outages = [(1000, 1040), (1090, 1100), (1180, 1300)];
        for now in (1000..1500).step_by(7) {
            let ageing = ageing((now > 1400).then_some(1400), &outages, now);
            for received in 900..now {
                let by_age = ageing.counted(at(received)) >= span(100)
                    || at(now).since(at(received)) >= span(500);
                assert_eq!(
                    at(received) <= ageing.expired(),
                    by_age,
                    "received at {received}, now {now}"
                );
            }
        }
    }
}
