//! What is learned of recipients, and forgotten again.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::{
    Change, Destination, Learned, Lessons, Outcome, Roster, Timestamp, View,
    policy::Recipients,
    recipients::{Fact, News, Source, UNKNOWN_AGE_MAX, VALID_AGE_MAX, is_news},
};

/// How many recipients one sweep forgets at most, of all domains, so that a sweep is never a long entry to
/// apply. More can be learned between two sweeps; those that are too old do not count while they wait, and
/// of each domain there are only so many.
const SWEEP_RECIPIENTS_MAX: usize = 2000;

pub(super) fn learn<V: View>(
    view: &V,
    lessons: Lessons,
) -> Result<(Outcome, Vec<Change>), V::Error> {
    let (at, policy_version) = (lessons.at, lessons.policy_version);
    // Of two facts about one recipient the last counts. An address that nobody has stands in front of a
    // domain's others, since what is known of it decides on what is learned of them.
    let news: BTreeMap<(String, String), News> = lessons
        .facts
        .into_iter()
        .map(|fact| ((fact.domain, fact.address), fact.news))
        .collect();
    let mut book = Book::new(view);
    for ((domain, address), news) in news {
        let fact = Fact {
            domain,
            address,
            news,
        };
        let destination = book.destination(&fact.domain);
        let known = if fact.address.is_empty() {
            destination.roster.nonsense
        } else {
            view.recipient(&fact.domain, &fact.address)?
        };
        let is_former = fact.is_of_primary() && policy_version < destination.moved_by;
        if is_former || !is_news(&fact, known, &destination, at) {
            continue;
        }
        let learned = |is_valid, from| Learned {
            is_valid,
            at,
            from,
            policy_version,
        };
        let after = match news {
            News::Valid(from) => Some(learned(true, from)),
            News::Unknown(from) => Some(learned(false, from)),
            News::Nothing => None,
        };
        book.note(fact.domain, fact.address, known, after);
    }
    Ok((Outcome::Done, book.into_changes()))
}

/// Forgets who is known for too long, domain by domain, and what a clock has noted that was ahead by as
/// much: nothing of that would come of age. A sweep whose own clock stands before the policy in force leaves
/// what seems to be ahead.
pub(super) fn sweep<V: View>(view: &V, at: Timestamp) -> Result<Vec<Change>, V::Error> {
    let is_behind = view.policy().is_some_and(|policy| at < policy.since);
    let mut book = Book::new(view);
    let mut room = SWEEP_RECIPIENTS_MAX;
    for domain in view.domains() {
        let destination = ageing(view, &domain);
        let kinds: [(bool, Duration); 2] = [(true, VALID_AGE_MAX), (false, UNKNOWN_AGE_MAX)];
        for (is_valid, age) in kinds {
            let oldest = Learned {
                is_valid,
                at: Timestamp(0),
                from: Source::Probe,
                policy_version: 0,
            };
            if oldest.counts(&destination, at) {
                continue;
            }
            let latest = if is_behind {
                Timestamp(u64::MAX)
            } else {
                at.after(age)
            };
            let span = at.before(age)..=latest;
            let old = view.recipients_outside(&domain, is_valid, span, room)?;
            room = room.saturating_sub(old.len());
            for address in old {
                let known = view.recipient(&domain, &address)?;
                book.note(domain.clone(), address, known, None);
            }
        }
    }
    Ok(book.into_changes())
}

/// A domain's figures as far as its recipients' ages depend on them. The primary of a domain that is
/// not verified any more is not watched either: its being down must not keep them for ever.
fn ageing<V: View>(view: &V, domain: &str) -> Destination {
    let policy = view.policy();
    let is_verified = policy
        .as_ref()
        .and_then(|policy| policy.policy.domain(domain))
        .is_some_and(|domain| matches!(domain.recipients, Recipients::Verify { .. }));
    if is_verified {
        view.destination(domain)
    } else {
        Destination::default()
    }
}

/// What a command does to what is known, and to the domains' figures. It notes each recipient once.
struct Book<'v, V> {
    view: &'v V,
    destinations: BTreeMap<String, Destination>,
    notes: Vec<Change>,
}

impl<'v, V: View> Book<'v, V> {
    const fn new(view: &'v V) -> Self {
        Self {
            view,
            destinations: BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    fn destination(&self, domain: &str) -> Destination {
        let noted = self.destinations.get(domain).cloned();
        noted.unwrap_or_else(|| self.view.destination(domain))
    }

    fn note(
        &mut self,
        domain: String,
        address: String,
        before: Option<Learned>,
        after: Option<Learned>,
    ) {
        let mut destination = self.destination(&domain);
        if address.is_empty() {
            destination.roster.nonsense = after;
            self.destinations.insert(domain, destination);
            return;
        }
        count(&mut destination.roster, before, u64::saturating_sub);
        count(&mut destination.roster, after, u64::saturating_add);
        self.destinations.insert(domain.clone(), destination);
        self.notes.push(Change::Recipient {
            domain,
            address,
            before,
            after,
        });
    }

    fn into_changes(mut self) -> Vec<Change> {
        let destinations = self.destinations.into_iter();
        self.notes
            .extend(destinations.map(|(domain, after)| Change::Destination { domain, after }));
        self.notes
    }
}

fn count(roster: &mut Roster, learned: Option<Learned>, add: fn(u64, u64) -> u64) {
    match learned {
        Some(Learned { is_valid: true, .. }) => roster.valid = add(roster.valid, 1),
        Some(_) => roster.unknown = add(roster.unknown, 1),
        None => {}
    }
}
