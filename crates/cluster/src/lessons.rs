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
    /// Behind this one it goes on, so that everybody's turn comes, whatever is found out again.
    last: Key,
}

/// Domain and address.
type Key = (String, String);

impl Lessons {
    /// Takes a fact, if there is room. What was found out last about a recipient counts.
    pub(crate) fn add(&self, fact: Fact) {
        let key = (fact.domain, fact.address);
        let most = if is_unknown(&key, fact.news) {
            limits::UNKNOWN_WAITING_MAX
        } else {
            limits::LESSONS_WAITING_MAX
        };
        let mut waiting = self.waiting();
        if waiting.news.len() < most || waiting.news.contains_key(&key) {
            waiting.news.insert(key, fact.news);
            self.came.notify_one();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something was found out, and takes as much of it as one command may tell.
    async fn gather(&self) -> Vec<Fact> {
        loop {
            let facts = self.take();
            if !facts.is_empty() {
                return facts;
            }
            self.came.notified().await;
        }
    }

    fn take(&self) -> Vec<Fact> {
        self.waiting().take()
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
            let facts = lessons.gather().await;
            let at = clock.now();
            let tables = Arc::clone(&tables);
            let chosen = tokio::task::spawn_blocking(move || choose(&tables, facts, at)).await;
            match chosen.map_err(io::Error::other).flatten() {
                Ok(facts) if facts.is_empty() => {}
                Ok(facts) => {
                    let count = facts.len();
                    let told = proposer.propose(Command::Learn(Batch { at, facts })).await;
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

    const YES: News = News::Valid(Source::Delivery);
    const NO: News = News::Unknown(Source::Probe);

    #[tokio::test]
    async fn what_was_found_out_last_is_told_once() {
        let lessons = Lessons::default();
        lessons.add(fact(1, YES));
        lessons.add(fact(1, NO));
        lessons.add(fact(2, YES));
        assert_eq!(lessons.gather().await, [fact(1, NO), fact(2, YES)]);
        assert_eq!(lessons.take(), []);
    }

    #[test]
    fn everybodys_turn_comes_also_when_the_first_ones_come_again() {
        let lessons = Lessons::default();
        let nobody = |news| Fact {
            address: String::new(),
            ..fact(0, news)
        };
        let all = 0..2 * limits::UNKNOWN_PER_LESSON_MAX;
        all.clone().for_each(|number| lessons.add(fact(number, NO)));
        lessons.add(nobody(NO));
        let mut told = lessons.take();
        assert_eq!(told.len(), limits::UNKNOWN_PER_LESSON_MAX + 1);
        assert_eq!(
            told.remove(0),
            nobody(NO),
            "it is not counted with the unknown"
        );
        told.iter().cloned().for_each(|fact| lessons.add(fact));
        told.extend(lessons.take());
        assert_eq!(told, all.map(|number| fact(number, NO)).collect::<Vec<_>>());
    }

    #[test]
    fn so_much_waits_and_so_much_is_told_at_once() {
        let lessons = Lessons::default();
        for number in 0..limits::LESSONS_WAITING_MAX {
            lessons.add(fact(number, NO));
        }
        assert_eq!(lessons.waiting().news.len(), limits::UNKNOWN_WAITING_MAX);
        for number in 0..limits::LESSONS_WAITING_MAX {
            lessons.add(fact(number + limits::UNKNOWN_WAITING_MAX, YES));
        }
        assert_eq!(lessons.waiting().news.len(), limits::LESSONS_WAITING_MAX);
        let told = lessons.take();
        assert_eq!(told.len(), limits::FACTS_PER_LESSON_MAX);
        let unknown = told.iter().filter(|fact| fact.news == NO).count();
        assert_eq!(unknown, limits::UNKNOWN_PER_LESSON_MAX);
    }
}
