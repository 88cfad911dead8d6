//! What this node has found out about recipients, on its way to all nodes.
//!
//! ```text
//!   AddressBook::learn ──▶ waiting ──▶ once a second: what is news ──▶ Command::Learn
//! ```
//!
//! Strangers make up recipients at will, so what is learned of them is bounded here, before it is
//! written anywhere: so many wait, so many of them are written a second. What is lost is found out again
//! when somebody asks.

use std::{
    collections::BTreeMap,
    io,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use spool::{
    Clock, Command, Fact, Learned, Lessons as Batch, Timestamp,
    recipients::{News, is_news},
};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{limits, propose::Proposer, store::Tables};

/// What was found out and is not told yet.
#[derive(Debug, Default)]
pub(crate) struct Lessons {
    waiting: Mutex<Waiting>,
    came: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// By domain and address.
    news: BTreeMap<Key, News>,
    /// The earliest policy under which one of them was found out, by its version.
    policy_version: u64,
    /// Behind this one it goes on, so that everybody's turn comes, whatever is found out again.
    last: Key,
}

/// Domain and address.
type Key = (String, String);

impl Lessons {
    /// Takes a fact that was found out under a policy, if there is room. What was found out last about a
    /// recipient counts.
    pub(crate) fn add(&self, fact: Fact, policy_version: u64) {
        let key = (fact.domain, fact.address);
        let most = if is_unknown(&key, fact.news) {
            limits::UNKNOWN_WAITING_MAX
        } else {
            limits::LESSONS_WAITING_MAX
        };
        let mut waiting = self.waiting();
        if waiting.news.len() < most || waiting.news.contains_key(&key) {
            waiting.policy_version = if waiting.news.is_empty() {
                policy_version
            } else {
                waiting.policy_version.min(policy_version)
            };
            waiting.news.insert(key, fact.news);
            self.came.notify_one();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something was found out, and takes as much of it as one command may tell, with the
    /// policy under which it was.
    async fn gather(&self) -> (Vec<Fact>, u64) {
        loop {
            let (facts, policy_version) = self.take();
            if !facts.is_empty() {
                return (facts, policy_version);
            }
            self.came.notified().await;
        }
    }

    fn take(&self) -> (Vec<Fact>, u64) {
        let mut waiting = self.waiting();
        (waiting.take(), waiting.policy_version)
    }
}

impl Waiting {
    fn take(&mut self) -> Vec<Fact> {
        let mut unknown = 0;
        let mut is_next = |key: &Key, news: News| {
            let is_unknown = is_unknown(key, news);
            unknown += usize::from(is_unknown);
            !is_unknown || unknown <= limits::UNKNOWN_PER_LESSON_MAX
        };
        let behind = (Bound::Excluded(&self.last), Bound::Unbounded);
        let behind = self.news.range::<Key, _>(behind);
        let others = self.news.range::<Key, _>(..=&self.last);
        let taken: Vec<(Key, News)> = behind
            .chain(others)
            .filter(|(key, news)| is_next(key, **news))
            .map(|(key, news)| (key.clone(), *news))
            .take(limits::FACTS_PER_LESSON_MAX)
            .collect();
        // Where unknown ones were left out, the next turn is theirs.
        let left_out = unknown > limits::UNKNOWN_PER_LESSON_MAX;
        let mut from_behind = taken.iter().rev();
        let last = from_behind.find(|(key, news)| !left_out || is_unknown(key, *news));
        if let Some((last, _)) = last {
            self.last.clone_from(last);
        }
        let taken = taken.into_iter().map(|(key, news)| {
            self.news.remove(&key);
            let (domain, address) = key;
            Fact {
                domain,
                address,
                news,
            }
        });
        taken.collect()
    }
}

/// Whether it is about a recipient whom a primary does not know: a stranger may have made him up. Nobody
/// makes up the address that nobody has.
const fn is_unknown((_, address): &Key, news: News) -> bool {
    matches!(news, News::Unknown(_)) && !address.is_empty()
}

/// Tells all nodes what was found out here, until stopped.
pub(crate) async fn tell(
    lessons: Arc<Lessons>,
    tables: Arc<Tables>,
    proposer: Proposer,
    clock: Clock,
    stop: CancellationToken,
) {
    let telling = async {
        loop {
            let (facts, policy_version) = lessons.gather().await;
            let at = clock.now();
            let tables = Arc::clone(&tables);
            let chosen = tokio::task::spawn_blocking(move || choose(&tables, facts, at)).await;
            match chosen.map_err(io::Error::other).flatten() {
                Ok(facts) if facts.is_empty() => {}
                Ok(facts) => {
                    let count = facts.len();
                    let batch = Batch {
                        at,
                        policy_version,
                        facts,
                    };
                    let told = proposer.propose(Command::Learn(batch)).await;
                    if let Err(refusal) = told {
                        tracing::debug!(%refusal, count, "lessons about recipients are lost");
                    }
                }
                Err(error) => tracing::error!(%error, "the recipients could not be read"),
            }
            sleep(limits::LESSON_INTERVAL).await;
        }
    };
    stop.run_until_cancelled(telling).await;
}

/// Leaves out what all nodes know already.
fn choose(tables: &Tables, mut facts: Vec<Fact>, at: Timestamp) -> io::Result<Vec<Fact>> {
    let mut failed = None;
    facts.retain(|fact| match is_worth_telling(tables, fact, at) {
        Ok(is_worth) => is_worth,
        Err(error) => {
            failed = Some(error);
            false
        }
    });
    failed.map_or(Ok(facts), Err)
}

fn is_worth_telling(tables: &Tables, fact: &Fact, at: Timestamp) -> io::Result<bool> {
    // The figures are not held while the disk is read: whoever applies entries waits for them.
    let destination = tables.figures().destinations.get(&fact.domain).cloned();
    let destination = destination.unwrap_or_default();
    let known: Option<Learned> = if fact.address.is_empty() {
        destination.roster.nonsense
    } else {
        tables.recipient(&fact.domain, &fact.address)?
    };
    Ok(is_news(fact, known, &destination, at))
}

#[cfg(test)]
mod tests {
    use spool::recipients::Source;

    use super::*;

    fn fact(number: usize, news: News) -> Fact {
        Fact {
            domain: "example.com".to_owned(),
            address: format!("{number:06}@example.com"),
            news,
        }
    }

    fn add(lessons: &Lessons, fact: Fact) {
        lessons.add(fact, 1);
    }

    const YES: News = News::Valid(Source::Delivery);
    const NO: News = News::Unknown(Source::Probe);

    #[tokio::test]
    async fn what_was_found_out_last_is_told_once() {
        let lessons = Lessons::default();
        add(&lessons, fact(1, YES));
        add(&lessons, fact(1, NO));
        add(&lessons, fact(2, YES));
        let told = vec![fact(1, NO), fact(2, YES)];
        assert_eq!(lessons.gather().await, (told, 1));
        assert_eq!(lessons.take().0, []);
    }

    #[test]
    fn what_is_told_at_once_was_found_out_under_the_earliest_of_its_policies() {
        let lessons = Lessons::default();
        for policy_version in [2, 1, 3] {
            let number = usize::try_from(policy_version).unwrap();
            lessons.add(fact(number, YES), policy_version);
        }
        assert_eq!(lessons.take().1, 1);
        lessons.add(fact(1, YES), 3);
        assert_eq!(lessons.take().1, 3);
    }

    #[test]
    fn everybodys_turn_comes_also_when_the_first_ones_come_again() {
        let lessons = Lessons::default();
        let nobody = |news| Fact {
            address: String::new(),
            ..fact(0, news)
        };
        let all = 0..2 * limits::UNKNOWN_PER_LESSON_MAX;
        all.clone()
            .for_each(|number| add(&lessons, fact(number, NO)));
        add(&lessons, nobody(NO));
        let mut told = lessons.take().0;
        assert_eq!(told.len(), limits::UNKNOWN_PER_LESSON_MAX + 1);
        assert_eq!(
            told.remove(0),
            nobody(NO),
            "it is not counted with the unknown"
        );
        told.iter().cloned().for_each(|fact| add(&lessons, fact));
        told.extend(lessons.take().0);
        assert_eq!(told, all.map(|number| fact(number, NO)).collect::<Vec<_>>());
    }

    #[test]
    fn so_much_waits_and_so_much_is_told_at_once() {
        let lessons = Lessons::default();
        for number in 0..limits::LESSONS_WAITING_MAX {
            add(&lessons, fact(number, NO));
        }
        assert_eq!(lessons.waiting().news.len(), limits::UNKNOWN_WAITING_MAX);
        for number in 0..limits::LESSONS_WAITING_MAX {
            add(&lessons, fact(number + limits::UNKNOWN_WAITING_MAX, YES));
        }
        assert_eq!(lessons.waiting().news.len(), limits::LESSONS_WAITING_MAX);
        let told = lessons.take().0;
        assert_eq!(told.len(), limits::FACTS_PER_LESSON_MAX);
        let unknown = told.iter().filter(|fact| fact.news == NO).count();
        assert_eq!(unknown, limits::UNKNOWN_PER_LESSON_MAX);
    }
}
