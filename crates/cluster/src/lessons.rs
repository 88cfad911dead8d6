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
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use spool::{
    Clock, Command, Fact, Learned, Lessons as Batch, Timestamp,
    recipients::{News, is_news},
};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{limits, propose::Proposer, store::Tables};

/// What was found out and is not told yet: by domain and address.
#[derive(Debug, Default)]
pub(crate) struct Lessons {
    waiting: Mutex<BTreeMap<(String, String), News>>,
    came: Notify,
}

impl Lessons {
    /// Takes a fact, if there is room. What was found out last about a recipient counts.
    pub(crate) fn add(&self, fact: Fact) {
        let most = match fact.news {
            News::Unknown(_) => limits::UNKNOWN_WAITING_MAX,
            News::Valid(_) | News::Nothing => limits::LESSONS_WAITING_MAX,
        };
        let key = (fact.domain, fact.address);
        let mut waiting = self.waiting();
        if waiting.len() < most || waiting.contains_key(&key) {
            waiting.insert(key, fact.news);
            self.came.notify_one();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<(String, String), News>> {
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
        let mut waiting = self.waiting();
        let mut unknown = 0;
        let mut is_next = |news: &News| {
            let is_unknown = matches!(news, News::Unknown(_));
            unknown += usize::from(is_unknown);
            !is_unknown || unknown <= limits::UNKNOWN_PER_LESSON_MAX
        };
        let keys: Vec<(String, String)> = waiting
            .iter()
            .filter(|(_, news)| is_next(news))
            .map(|(key, _)| key.clone())
            .take(limits::FACTS_PER_LESSON_MAX)
            .collect();
        let taken = keys.into_iter().filter_map(|key| {
            let news = waiting.remove(&key)?;
            let (domain, address) = key;
            Some(Fact {
                domain,
                address,
                news,
            })
        });
        taken.collect()
    }
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
    fn so_much_waits_and_so_much_is_told_at_once() {
        let lessons = Lessons::default();
        for number in 0..limits::LESSONS_WAITING_MAX {
            lessons.add(fact(number, NO));
        }
        assert_eq!(lessons.waiting().len(), limits::UNKNOWN_WAITING_MAX);
        for number in 0..limits::LESSONS_WAITING_MAX {
            lessons.add(fact(number + limits::UNKNOWN_WAITING_MAX, YES));
        }
        assert_eq!(lessons.waiting().len(), limits::LESSONS_WAITING_MAX);
        let told = lessons.take();
        assert_eq!(told.len(), limits::FACTS_PER_LESSON_MAX);
        let unknown = told.iter().filter(|fact| fact.news == NO).count();
        assert_eq!(unknown, limits::UNKNOWN_PER_LESSON_MAX);
    }
}
