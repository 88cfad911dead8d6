//! A domain's queue in figures, and whether its primary answers.

use crate::{
    KnownOffers, Roster, Starttls, Timestamp,
    alarm::{Alarm, Notice, Posted},
    guard::{Guard, Tripped},
};

/// What the reason begins with why a primary is down, where there is no way to it: what stands in the DNS of
/// the domain leads nowhere, and others are to mend that.
pub const NO_ROUTE: &str = "no route: ";

/// Whether a primary answers, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// It answers, or nothing is known against it.
    Up,
    /// It does not; the words say what went wrong last.
    Down(String),
}

/// How much stands in one domain's queue. A message with recipients in two domains counts in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages that may be tried now.
    pub waiting: u64,
    /// Messages to be tried later.
    pub deferred: u64,
    /// Messages that operators hold.
    pub held: u64,
    /// Messages of which only refused recipients are left.
    pub rejected: u64,
    /// Octets of all their bodies.
    pub bytes: u64,
}

impl Totals {
    /// Whether no message stands there.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.messages() == 0
    }

    /// Messages in all.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.undelivered() + self.held + self.rejected
    }

    /// Messages that are to be delivered, now or later, without anybody's doing.
    #[must_use]
    pub const fn undelivered(&self) -> u64 {
        self.waiting + self.deferred
    }
}

/// An operator keeps a domain's mail back: it is taken, and none is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself; `None` when somebody has to end it.
    pub until: Option<Timestamp>,
    /// Who, in his own words.
    pub by: String,
    /// Why, in his own words; empty when he gave no reason.
    pub reason: String,
}

/// What all nodes know of one domain's primary and queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Whether the primary answers.
    pub reachability: Reachability,
    /// Since when that is so.
    pub since: Timestamp,
    /// Deferred messages tried before this moment are due now.
    pub flushed_at: Timestamp,
    /// The queue in figures.
    pub totals: Totals,
    /// What the primary offers; `None` while it was never talked to.
    pub learned: Option<KnownOffers>,
    /// What is known of its TLS; `None` when it has never offered any, or that was another primary, or another
    /// policy about TLS.
    pub starttls: Option<Box<Starttls>>,
    /// What is known of its recipients, in figures.
    pub roster: Roster,
    /// The version of the policy that named another primary; 0 while it has always been the same.
    pub moved_by: u64,
    /// When that was, by the clock of whoever adopted it: all that older versions have noted.
    pub moved_at: Option<Timestamp>,
    /// Whether its mail is kept back, or was until a moment that has passed.
    pub paused: Option<Box<Pause>>,
    /// How often messages were taken out of its queue, or put back or otherwise into it, by something else
    /// than reports of their deliveries: whoever has read ahead looks again.
    pub revision: u64,
    /// Present while the primary is back from an outage and not believed yet.
    pub guard: Option<Box<Guard>>,
    /// What the webhook knows of its alarms; `None` while it knows of none.
    pub posted: Option<Box<Posted>>,
}

/// How a domain's delivery stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The primary answers, and nothing waits for it.
    Up,
    /// It does not answer.
    Down,
    /// It is down because there is no way to it ([`NO_ROUTE`]).
    NoRoute,
    /// It is back, and its first answers are on trial.
    Recovering,
    /// It takes what waits for it.
    Draining,
    /// It has failed its trial, and nothing is sent until an operator resumes.
    HeldBack,
    /// An operator keeps the mail back, whatever else is so.
    Paused,
}

impl Condition {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Up,
        Self::Down,
        Self::NoRoute,
        Self::Recovering,
        Self::Draining,
        Self::HeldBack,
        Self::Paused,
    ];

    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::NoRoute => "no-route",
            Self::Recovering => "recovering",
            Self::Draining => "draining",
            Self::HeldBack => "held-back",
            Self::Paused => "paused",
        }
    }
}

impl Destination {
    /// The pause that lasts at a moment.
    #[must_use]
    pub fn pause_at(&self, now: Timestamp) -> Option<&Pause> {
        let paused = self.paused.as_deref();
        paused.filter(|pause| pause.until.is_none_or(|until| now < until))
    }

    /// Whether the primary does not answer.
    #[must_use]
    pub const fn is_down(&self) -> bool {
        matches!(self.reachability, Reachability::Down(_))
    }

    /// Why there is no way to the primary, if that is so.
    #[must_use]
    pub fn no_route(&self) -> Option<&str> {
        match &self.reachability {
            Reachability::Down(words) if words.starts_with(NO_ROUTE) => Some(words),
            _ => None,
        }
    }

    /// Whether what the primary says of its recipients counts: it is up, and not on trial.
    #[must_use]
    pub const fn is_believed(&self) -> bool {
        !self.is_down() && self.guard.is_none()
    }

    /// Why nothing is sent although the primary may be up: it has failed its trial.
    #[must_use]
    pub fn held_back(&self) -> Option<&Tripped> {
        self.guard.as_ref()?.tripped.as_ref()
    }

    /// What the webhook does not know yet of the domain's alarms, given those that there are.
    #[must_use]
    pub fn unposted(&self, domain: &str, alarms: &[Alarm]) -> Vec<Notice> {
        let nothing = Posted::default();
        let posted = self.posted.as_deref().unwrap_or(&nothing);
        posted.lacking(domain, alarms)
    }

    /// Notes that the webhook was told.
    pub fn note_posted(&mut self, notice: Notice) {
        let mut posted = self.posted.take().unwrap_or_default();
        posted.note(notice);
        self.posted = Some(posted).filter(|posted| !posted.raised.is_empty());
    }

    /// How delivery stands at a moment. What only a person ends comes first.
    #[must_use]
    pub fn condition(&self, now: Timestamp) -> Condition {
        if self.pause_at(now).is_some() {
            Condition::Paused
        } else if self.held_back().is_some() {
            Condition::HeldBack
        } else if self.no_route().is_some() {
            Condition::NoRoute
        } else if self.is_down() {
            Condition::Down
        } else if self.guard.is_some() {
            Condition::Recovering
        } else if self.totals.waiting > 0 {
            Condition::Draining
        } else {
            Condition::Up
        }
    }
}

impl Default for Destination {
    fn default() -> Self {
        Self {
            reachability: Reachability::Up,
            since: Timestamp(0),
            flushed_at: Timestamp(0),
            totals: Totals::default(),
            learned: None,
            starttls: None,
            roster: Roster::default(),
            moved_by: 0,
            moved_at: None,
            paused: None,
            revision: 0,
            guard: None,
            posted: None,
        }
    }
}
