//! What a person must look at, because the cluster does not go on by itself.
//!
//! An alarm is a state, not an event: it is there for as long as its cause is, on every node that knows
//! of the cause, and goes with it. Whoever notices that one begins or ends says so in the log, with the
//! target `alarm`.
//!
//! Where the policy names a webhook, the leader posts each change there and then has it recorded what the
//! webhook knows ([`Posted`]). What is still to be posted is the difference between that and the alarms that
//! there are, so every leader finds it by itself, and an alarm that ends before it was posted never is.

use crate::{Destination, Timestamp};

/// The recovery guard holds a domain's mail back.
pub const RECOVERY_GUARD: &str = "recovery-guard";

/// There is no way to a domain's primary.
pub const NO_ROUTE: &str = "no-route";

/// A primary that offered TLS does not any more.
pub const TLS_GONE: &str = "tls-gone";

/// All that [`of_destination`] may tell of.
pub const OF_DESTINATIONS: [&str; 3] = [RECOVERY_GUARD, NO_ROUTE, TLS_GONE];

/// One alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Which kind: the same word in the log, in the metric and in the status.
    pub name: &'static str,
    /// The policy's domain that it is about.
    pub domain: String,
    /// Since when.
    pub since: Timestamp,
    /// What is wrong and what to do, in plain sentences.
    pub words: String,
}

/// The alarms about a domain that the webhook knows to be raised: of each kind one at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Posted {
    /// In the order in which they were posted.
    pub raised: Vec<Raised>,
}

/// An alarm that the webhook knows to be raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// Which kind, as in [`Alarm::name`]; perhaps one that only another version knows.
    pub name: String,
    /// Since when it is raised.
    pub since: Timestamp,
}

/// What has happened to an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// It has begun.
    Raised,
    /// It has ended.
    Cleared,
}

impl Turn {
    /// The word in what is posted.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Cleared => "cleared",
        }
    }
}

/// One change of one alarm: what the webhook is told, and what is recorded once it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// The policy's domain that the alarm is about.
    pub domain: String,
    /// Which kind of alarm.
    pub name: String,
    /// Since when it is, or was, raised.
    pub since: Timestamp,
    /// What has happened to it.
    pub turn: Turn,
}

impl Posted {
    /// What the webhook does not know yet of a domain's alarms, given those that there are: first what has
    /// ended.
    #[must_use]
    pub fn lacking(&self, domain: &str, alarms: &[Alarm]) -> Vec<Notice> {
        let notice = |name: &str, since, turn| Notice {
            domain: domain.to_owned(),
            name: name.to_owned(),
            since,
            turn,
        };
        let is_same =
            |known: &Raised, alarm: &Alarm| known.name == alarm.name && known.since == alarm.since;
        let ended = self
            .raised
            .iter()
            .filter(|known| !alarms.iter().any(|alarm| is_same(known, alarm)))
            .map(|known| notice(&known.name, known.since, Turn::Cleared));
        let begun = alarms
            .iter()
            .filter(|alarm| !self.raised.iter().any(|known| is_same(known, alarm)))
            .map(|alarm| notice(alarm.name, alarm.since, Turn::Raised));
        ended.chain(begun).collect()
    }

    /// Notes that the webhook was told.
    pub fn note(&mut self, notice: Notice) {
        match notice.turn {
            Turn::Raised => {
                self.raised.retain(|known| known.name != notice.name);
                self.raised.push(Raised {
                    name: notice.name,
                    since: notice.since,
                });
            }
            Turn::Cleared => {
                let is_it =
                    |known: &Raised| known.name == notice.name && known.since == notice.since;
                self.raised.retain(|known| !is_it(known));
            }
        }
    }
}

/// The alarms about a domain that follow from what all nodes know of it.
#[must_use]
pub fn of_destination(domain: &str, destination: &Destination) -> Vec<Alarm> {
    let guard = destination.held_back().map(|tripped| Alarm {
        name: RECOVERY_GUARD,
        domain: domain.to_owned(),
        since: tripped.at,
        words: format!(
            "The primary of {domain} is back and not itself: {}. Its mail waits and nothing is bounced: \
             mend the primary, then layover domain resume {domain}.",
            tripped.why
        ),
    });
    let no_route = destination.no_route().map(|reason| Alarm {
        name: NO_ROUTE,
        domain: domain.to_owned(),
        since: destination.since,
        words: format!("The mail of {domain} waits: {reason}."),
    });
    let starttls = destination.starttls.as_ref();
    let tls_gone = starttls.filter(|known| !known.is_offered).map(|known| Alarm {
        name: TLS_GONE,
        domain: domain.to_owned(),
        since: known.since,
        words: format!(
            "The primary of {domain} offered TLS and does not any more ({} says no STARTTLS): its mail goes in \
             clear, or waits where the policy requires TLS. Mend the primary or what stands before it; if it \
             is to be so, apply a policy with tls = \"off\" for it.",
            known.host
        ),
    });
    guard.into_iter().chain(no_route).chain(tls_gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Starttls;

    #[test]
    fn only_tls_that_is_gone_is_an_alarm() {
        let raised = |starttls| {
            let destination = Destination {
                starttls,
                ..Destination::default()
            };
            of_destination("example.com", &destination)
        };
        let known = |is_offered| {
            raised(Some(Box::new(Starttls {
                is_offered,
                since: Timestamp(7),
                host: "mail.example.com:25".into(),
            })))
        };
        assert_eq!(raised(None), []);
        assert_eq!(known(true), []);
        let [gone] = &known(false)[..] else {
            panic!("one alarm");
        };
        assert_eq!((gone.name, gone.since), (TLS_GONE, Timestamp(7)));
        assert!(gone.words.contains("mail.example.com:25"), "{}", gone.words);
    }

    fn alarm(name: &'static str, since: u64) -> Alarm {
        Alarm {
            name,
            domain: "example.com".to_owned(),
            since: Timestamp(since),
            words: "wrong".to_owned(),
        }
    }

    /// What is posted in turn until there is nothing more to post.
    fn posts(posted: &mut Posted, alarms: &[Alarm]) -> Vec<(String, u64, &'static str)> {
        let mut told = Vec::new();
        while let Some(notice) = posted.lacking("example.com", alarms).into_iter().next() {
            told.push((notice.name.clone(), notice.since.0, notice.turn.word()));
            posted.note(notice);
        }
        told
    }

    fn told(name: &str, since: u64, turn: Turn) -> (String, u64, &'static str) {
        (name.to_owned(), since, turn.word())
    }

    #[test]
    fn each_change_is_posted_once() {
        let mut posted = Posted::default();
        let guard = [alarm(RECOVERY_GUARD, 1)];
        let raised = told(RECOVERY_GUARD, 1, Turn::Raised);
        assert_eq!(posts(&mut posted, &guard), [raised]);
        assert_eq!(posts(&mut posted, &guard), []);
        let both = [alarm(RECOVERY_GUARD, 1), alarm(NO_ROUTE, 2)];
        let raised = told(NO_ROUTE, 2, Turn::Raised);
        assert_eq!(posts(&mut posted, &both), [raised]);
        let cleared = told(RECOVERY_GUARD, 1, Turn::Cleared);
        assert_eq!(posts(&mut posted, &both[1..]), [cleared]);
        let cleared = told(NO_ROUTE, 2, Turn::Cleared);
        assert_eq!(posts(&mut posted, &[]), [cleared]);
        assert_eq!(posted, Posted::default());
    }

    #[test]
    fn one_that_ended_and_began_again_before_the_post_is_cleared_and_raised() {
        let mut posted = Posted::default();
        posts(&mut posted, &[alarm(NO_ROUTE, 1)]);
        let both = [
            told(NO_ROUTE, 1, Turn::Cleared),
            told(NO_ROUTE, 5, Turn::Raised),
        ];
        assert_eq!(posts(&mut posted, &[alarm(NO_ROUTE, 5)]), both);
    }

    #[test]
    fn a_late_copy_of_what_was_cleared_clears_no_other() {
        let mut posted = Posted::default();
        posts(&mut posted, &[alarm(NO_ROUTE, 5)]);
        posted.note(Notice {
            domain: "example.com".to_owned(),
            name: NO_ROUTE.to_owned(),
            since: Timestamp(1),
            turn: Turn::Cleared,
        });
        assert_eq!(posts(&mut posted, &[alarm(NO_ROUTE, 5)]), []);
    }
}
