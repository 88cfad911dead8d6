//! What is known of the recipients of a domain with `recipients = "verify"`, and what follows from it.
//!
//! ```text
//!   (none) ─Learn─▶ valid ◀──Learn──▶ unknown ─── 3 days ──▶ (none)
//!                     │ └─ 31 days in which its primary was up ─▶ (none)
//!                     └─ an operator's: until he takes it back
//! ```
//!
//! It is taken from what primaries say anyway when mail is delivered, and from questions that nodes
//! ask them. The times are Postfix's (`address_verify_*`); that an outage stops the ones and not the
//! others is the purpose of a backup MX: who was known stays known until he can be asked again.

use core::time::Duration;
use std::borrow::Cow;

use smtp::{ForwardPath, Mailbox};

use crate::{Destination, Timestamp, policy::in_ascii};

#[cfg(test)]
mod tests;

/// For so long a recipient is known to be valid, unless his primary is down.
pub const VALID_AGE_MAX: Duration = Duration::from_secs(31 * DAY);

/// After this the primary is asked again about a recipient who is known to be valid.
pub const VALID_FRESH: Duration = Duration::from_secs(7 * DAY);

/// For so long a recipient is known to be unknown, also while his primary is down: somebody who
/// begins to work there in an outage must not be refused to its end.
pub const UNKNOWN_AGE_MAX: Duration = Duration::from_secs(3 * DAY);

/// After this the primary is asked again about a recipient who is known to be unknown.
pub const UNKNOWN_FRESH: Duration = Duration::from_secs(3 * 3600);

/// After this the primary is asked again whether it takes an address that nobody has.
pub const NONSENSE_FRESH: Duration = Duration::from_secs(DAY);

/// For so long after a primary's return what had outlived its age in the outage still counts, so that
/// it can be asked about all of it first, and a primary that fails again is no worse off.
pub const RETURN_GRACE: Duration = Duration::from_secs(DAY);

/// Where it was not noted under which policy something was learned, what was learned for so long after a
/// domain got another primary may still have been said by the former one: it was asked before, or the clock
/// of the node that asked was ahead.
pub const MOVE_GRACE: Duration = Duration::from_secs(60);

/// Valid recipients that are remembered of one domain, some 30 MB on the disk. Those beyond are asked
/// about each time, as if nothing was known.
pub const VALID_MAX: u64 = 200_000;

/// Unknown recipients that are remembered of one domain. Strangers make them up, so there are fewer.
pub const UNKNOWN_MAX: u64 = 20_000;

const DAY: u64 = 24 * 3600;

/// Where knowledge comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// What the primary said when mail was delivered.
    Delivery,
    /// What it said when it was asked.
    Probe,
    /// An operator's word. It counts until he takes it back.
    Operator,
}

/// What is known of one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learned {
    /// Whether he exists.
    pub is_valid: bool,
    /// When that was learned, or last confirmed.
    pub at: Timestamp,
    /// From where.
    pub from: Source,
    /// The version of the policy by which its domain's primary was known; 0 when that was not noted.
    pub policy_version: u64,
}

/// What is known of a domain's recipients, in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// How many are known to be valid.
    pub valid: u64,
    /// How many are known to be unknown.
    pub unknown: u64,
    /// What became of an address that nobody has: valid when the primary takes everybody, so that
    /// nothing it says of anyone proves that he exists.
    pub nonsense: Option<Learned>,
}

/// One thing to be learned, of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The policy's domain.
    pub domain: String,
    /// The recipient as [`address_of`] writes him; empty for an address that nobody has.
    pub address: String,
    /// What to know of him.
    pub news: News,
}

impl Fact {
    /// Whether a primary has said it, and not an operator.
    pub(crate) const fn is_of_primary(&self) -> bool {
        match self.news {
            News::Valid(from) | News::Unknown(from) => !matches!(from, Source::Operator),
            News::Nothing => false,
        }
    }
}

/// What is to be known of a recipient from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// He exists.
    Valid(Source),
    /// There is no such recipient.
    Unknown(Source),
    /// Nothing: an operator has forgotten him.
    Nothing,
}

/// What becomes of a recipient by what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// He is valid.
    Take,
    /// He is valid, as far as is known; it is time to ask the primary again.
    TakeAndAsk,
    /// There is no such recipient.
    Refuse,
    /// The primary is to be asked; when it can not be, there is no such recipient.
    AskOrRefuse,
    /// The primary is to be asked.
    Ask,
    /// Nothing is known and the primary is down: the policy decides.
    Unknowable,
}

/// A recipient with his domain as the DNS has it ([`in_ascii`]): whoever is addressed under `bücher.example`
/// and under `xn--bcher-kva.example` is one. What can be no domain's name stays as it is written.
#[must_use]
pub fn in_dns_form(path: &ForwardPath) -> Cow<'_, ForwardPath> {
    let ForwardPath::Mailbox(mailbox) = path else {
        return Cow::Borrowed(path);
    };
    match in_ascii(&mailbox.domain) {
        Some(Cow::Owned(domain)) => Cow::Owned(ForwardPath::Mailbox(Mailbox {
            local_part: mailbox.local_part.clone(),
            domain,
        })),
        Some(Cow::Borrowed(_)) | None => Cow::Borrowed(path),
    }
}

/// A recipient as he is known by: lower case, as nearly every server ignores the case of a local part,
/// with the domain that he was addressed under, [as the DNS has it](in_dns_form). `None` for the postmaster,
/// who always exists (RFC 5321 section 4.5.1).
#[must_use]
pub fn address_of(path: &ForwardPath) -> Option<String> {
    (!path.is_postmaster()).then(|| in_dns_form(path).to_string().to_ascii_lowercase())
}

impl Learned {
    /// Whether it still counts at a moment. `destination` is the domain's.
    #[must_use]
    pub fn counts(&self, destination: &Destination, now: Timestamp) -> bool {
        let age = self.age(now);
        match self {
            Self {
                from: Source::Operator,
                ..
            } => true,
            Self { is_valid: true, .. } => {
                age <= VALID_AGE_MAX
                    || is_silent(destination)
                    || now.since(destination.since) <= RETURN_GRACE
            }
            Self {
                is_valid: false, ..
            } => age <= UNKNOWN_AGE_MAX && !self.is_of_former_primary(destination),
        }
    }

    /// Whether a primary may have said it that is the domain's no more.
    fn is_of_former_primary(&self, destination: &Destination) -> bool {
        let came_before = |moved_at: Timestamp| self.at <= moved_at.after(MOVE_GRACE);
        self.policy_version < destination.moved_by
            || (self.policy_version == 0 && destination.moved_at.is_some_and(came_before))
    }

    /// Whether it is too early to ask again.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        let age = self.age(now);
        match self {
            Self {
                from: Source::Operator,
                ..
            } => true,
            Self { is_valid: true, .. } => age <= VALID_FRESH,
            Self {
                is_valid: false, ..
            } => age <= UNKNOWN_FRESH,
        }
    }

    /// How far its moment is from another. Clocks of nodes differ: what one that is far ahead has
    /// learned must not count for longer than what others have.
    const fn age(&self, now: Timestamp) -> Duration {
        Duration::from_millis(now.0.abs_diff(self.at.0))
    }
}

impl Roster {
    /// Whether the primary is known to take everybody.
    #[must_use]
    pub fn takes_everybody(&self, destination: &Destination, now: Timestamp) -> bool {
        self.nonsense.is_some_and(|nonsense| {
            nonsense.is_valid
                && nonsense.counts(destination, now)
                && !nonsense.is_of_former_primary(destination)
        })
    }

    /// Whether the primary is to be asked about an address that nobody has before it is believed.
    #[must_use]
    pub fn wants_nonsense(&self, destination: &Destination, now: Timestamp) -> bool {
        self.nonsense.is_none_or(|nonsense| {
            nonsense.age(now) > NONSENSE_FRESH || nonsense.is_of_former_primary(destination)
        })
    }
}

/// Decides on a recipient by what is known of him.
#[must_use]
pub fn judge(learned: Option<Learned>, destination: &Destination, now: Timestamp) -> Judgement {
    let is_silent = is_silent(destination);
    match learned.filter(|learned| learned.counts(destination, now)) {
        Some(learned) if learned.is_valid => {
            if is_silent || learned.is_fresh(now) {
                Judgement::Take
            } else {
                Judgement::TakeAndAsk
            }
        }
        Some(learned) if is_silent || learned.is_fresh(now) => Judgement::Refuse,
        Some(_) => Judgement::AskOrRefuse,
        None if destination.roster.takes_everybody(destination, now) => {
            if is_silent || !destination.roster.wants_nonsense(destination, now) {
                Judgement::Take
            } else {
                Judgement::TakeAndAsk
            }
        }
        None if is_silent => Judgement::Unknowable,
        None => Judgement::Ask,
    }
}

/// Whether a fact that comes at a moment says more than is known. What is known and fresh is not
/// written again, so that a thousand messages to one recipient cost one entry; and what is learned is
/// bounded.
#[must_use]
pub fn is_news(
    fact: &Fact,
    known: Option<Learned>,
    destination: &Destination,
    at: Timestamp,
) -> bool {
    let (is_valid, from) = match fact.news {
        News::Nothing => return known.is_some(),
        News::Valid(from) => (true, from),
        News::Unknown(from) => (false, from),
    };
    if let Some(known) = known {
        let changes = known.is_valid != is_valid || known.from != from;
        if from == Source::Operator {
            return changes;
        }
        // An operator knows better. A late copy of what has been learned before is none; what a former
        // primary has said is never the later one, whatever clock it was noted by.
        let is_late = at.is_late(known.at) && !known.is_of_former_primary(destination);
        if known.from == Source::Operator || is_late {
            return false;
        }
    }
    // Who speaks for a primary that is down speaks for another, or late; one that is back from an outage may
    // have lost its directory.
    if !is_valid && from != Source::Operator && is_silent(destination) {
        return false;
    }
    if fact.address.is_empty() {
        return known.is_none_or(|known| {
            known.is_valid != is_valid || destination.roster.wants_nonsense(destination, at)
        });
    }
    let roster = &destination.roster;
    if is_valid && from != Source::Operator && roster.takes_everybody(destination, at) {
        return false;
    }
    match known {
        Some(known) => {
            known.is_valid != is_valid || !known.is_fresh(at) || !known.counts(destination, at)
        }
        None if is_valid => roster.valid < VALID_MAX,
        None => roster.unknown < UNKNOWN_MAX,
    }
}

/// Whether the primary can not be asked, or not be believed.
const fn is_silent(destination: &Destination) -> bool {
    !destination.is_believed()
}
