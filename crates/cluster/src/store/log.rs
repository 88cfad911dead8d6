//! The Raft log and vote, as openraft uses them.

use std::{
    fmt::Debug,
    io,
    ops::{Bound, RangeBounds, RangeInclusive},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use futures::Stream;
use openraft::{
    LogState, OptionalSend, RaftLogReader,
    storage::{IOFlushed, RaftLogStorage},
};
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use super::{
    cache::{self, LogCache},
    entries::{self, Damaged},
    extent::Extent,
    job::Job,
    lost::{Lost, LostPieces},
    mark::{Acknowledged, Mark},
    mending::Mending,
    noted::Note,
    open::Database,
    present::Store,
    raft_state,
    received::Received,
    tables::Tables,
    tidying::Tidying,
    writer::{self, LogWriter},
};
use crate::{
    limits::{APPEND_BYTES_MAX, LOG_JOBS_MAX},
    raft::{Entry, LogId, Types, Vote},
    rebuilding::{EMPTY, Rebuilding},
};

/// The log of this node. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct LogStore {
    store: Arc<Store>,
    cache: Arc<Mutex<LogCache>>,
    ends: Arc<Mutex<Ends>>,
    jobs: mpsc::Sender<Job>,
    lost: LostPieces,
}

/// What is asked for so often that it is not read from the disk.
#[derive(Clone, Debug)]
struct Ends {
    vote: Option<Vote>,
    /// Index of the first entry that is there; behind the last while there is none.
    first: u64,
    purged: Option<LogId>,
    last: Option<LogId>,
    extent: Extent,
}

/// How much room the log takes. Whoever holds this does not keep the log's writer waiting.
#[derive(Clone, Debug)]
pub(crate) struct LogSize(Arc<Mutex<Ends>>);

impl LogSize {
    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Octets of the entries in the log, with the pieces they carried.
    pub(crate) fn bytes(&self) -> u64 {
        self.ends().extent.bytes()
    }

    /// The index up to which the log must be purged so that it has no more than `bytes_max` octets.
    pub(crate) fn excess(&self, bytes_max: u64) -> Option<u64> {
        self.ends().extent.excess(bytes_max)
    }
}

/// A log that was opened.
pub(crate) struct OpenedLog {
    pub(crate) log: LogStore,
    pub(crate) writer: LogWriter,
    /// What is wanted of other nodes.
    pub(crate) lost: mpsc::Receiver<Lost>,
    /// Whether what this node has promised is all there.
    pub(crate) rebuilding: Rebuilding,
}

impl LogStore {
    /// Reads where the log stands and starts its writer.
    pub(crate) fn open(store: Arc<Store>) -> io::Result<OpenedLog> {
        let database = store.now();
        let purged = raft_state::purged(&database)?;
        let (first, extent) = entries::measure(&database, purged)?;
        let found = found(&database)?;
        let Acknowledged { vote, last } = found;
        let ends = Arc::new(Mutex::new(Ends {
            vote,
            first: first.unwrap_or(u64::MAX),
            purged,
            last,
            extent,
        }));
        let flushed = last.map_or(0, |last| last.index);
        let cache = Arc::new(Mutex::new(LogCache::new(flushed)));
        // The mark lies beside the databases, whichever is the present one.
        let data_dir = store.directory().path();
        let mut mark = Mark::open(data_dir)?;
        let empty = last.is_none().then(|| EMPTY.to_owned());
        let reason = reason(&database, mark.now(), found).or(empty);
        let rebuilding = Rebuilding::open(data_dir, reason)?;
        // The note says it from now on.
        mark.write(found)?;
        database.forget_damage()?;
        let noted = Note::open(database.path())?;
        let (jobs, queue) = mpsc::channel(LOG_JOBS_MAX);
        let writer = writer::spawn(Arc::clone(&store), Arc::clone(&cache), mark, noted, queue)?;
        let (lost, asked) = LostPieces::new();
        let log = Self {
            store,
            cache,
            ends,
            jobs,
            lost,
        };
        Ok(OpenedLog {
            log,
            writer,
            lost: asked,
            rebuilding,
        })
    }

    /// The last entry; `None` when nothing was ever written.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.ends().last
    }

    /// The last entry that is not in the log any more.
    pub(super) fn purged(&self) -> Option<LogId> {
        self.ends().purged
    }

    /// Puts a received database in the place of the present one; returns that. This node's own votes
    /// and its log behind the snapshot go with it.
    pub(super) async fn install(&self, received: Received) -> io::Result<Arc<Database>> {
        let last = received.last();
        let (done, installed) = oneshot::channel();
        self.give(Job::Install { received, done }).await?;
        let former = installed.await.map_err(|_| writer_gone())??;
        self.note_purged(last);
        Ok(former)
    }

    /// Measures the log, without keeping it open.
    pub(crate) fn size(&self) -> LogSize {
        LogSize(Arc::clone(&self.ends))
    }

    /// Mends bodies, without keeping the log open.
    pub(crate) fn mending(&self, tables: Arc<Tables>) -> Mending {
        Mending::new(tables, self.jobs.downgrade())
    }

    /// Keeps the files of bodies few, without keeping the log open.
    pub(crate) fn tidying(&self) -> Tidying {
        Tidying::new(self.jobs.downgrade())
    }

    fn note_purged(&self, upto: LogId) {
        self.cache().purge(upto.index);
        let mut ends = self.ends();
        ends.purged = ends.purged.max(Some(upto));
        ends.first = match ends.last {
            Some(last) if last.index > upto.index => ends.first.max(upto.index + 1),
            _ => u64::MAX,
        };
        ends.last = ends.last.max(Some(upto));
        ends.extent.purge(upto.index);
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cache(&self) -> MutexGuard<'_, LogCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn give(&self, job: Job) -> io::Result<()> {
        self.jobs.send(job).await.map_err(|_| writer_gone())
    }

    async fn give_and_wait(
        &self,
        job: impl FnOnce(oneshot::Sender<io::Result<()>>) -> Job,
    ) -> io::Result<()> {
        let (done, written) = oneshot::channel();
        self.give(job(done)).await?;
        written.await.map_err(|_| writer_gone())?
    }

    /// Waits until the entry `index` is on this node's disk.
    async fn flushed(&self, index: u64) -> io::Result<()> {
        let mut flushed = self.cache().watch_flushed();
        let reached = flushed.wait_for(|flushed| flushed.is_none_or(|flushed| flushed >= index));
        if reached.await.map_err(|_| writer_gone())?.is_some() {
            return Ok(());
        }
        // Whoever hears of it first must be able to tell the operator what failed.
        let cache = self.cache();
        Err(cache.failure().map_or_else(writer_gone, io::Error::other))
    }

    /// Entries from `start` up to `end` until their octets exceed `bytes_max`, at least one if
    /// there is one.
    async fn read(
        &self,
        start: u64,
        end: u64,
        bytes_max: usize,
        damaged: Damaged,
    ) -> io::Result<Vec<Entry>> {
        if start >= end {
            return Ok(Vec::new());
        }
        if let Some(entries) = self.cache().range(start, end, bytes_max) {
            return Ok(entries);
        }
        let database = self.store.now();
        let read = move || entries::read_entries(&database, start, end, bytes_max, damaged);
        tokio::task::spawn_blocking(read)
            .await
            .map_err(io::Error::other)?
    }
}

fn writer_gone() -> io::Error {
    io::Error::other("the log's writer has stopped")
}

/// Why something that was acknowledged is not there, if that is so; for one that no node runs on.
pub(crate) fn lacking(store: &Store) -> io::Result<Option<String>> {
    let (database, data_dir) = (store.now(), store.directory().path());
    let noted = Rebuilding::read(data_dir)?;
    let found = found(&database)?;
    Ok(noted.or(reason(&database, Mark::read(data_dir)?, found)))
}

fn reason(database: &Database, acknowledged: Acknowledged, found: Acknowledged) -> Option<String> {
    let damage = database.damage().map(str::to_owned);
    let reasons = [lost(acknowledged, found), damage];
    let reasons: Vec<String> = reasons.into_iter().flatten().collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

fn found(database: &Database) -> io::Result<Acknowledged> {
    let last = entries::last(database)?;
    Ok(Acknowledged {
        vote: raft_state::vote(database)?,
        last: last.map_or_else(|| raft_state::purged(database), |last| Ok(Some(last)))?,
    })
}

/// What was acknowledged and is not there.
fn lost(acknowledged: Acknowledged, found: Acknowledged) -> Option<String> {
    let index = |last: Option<LogId>| last.map_or(0, |last| last.index);
    let entries = (acknowledged.last > found.last).then(|| {
        format!(
            "the log ends at entry {}, and entry {} had been acknowledged",
            index(found.last),
            index(acknowledged.last)
        )
    });
    let term = |vote: Option<Vote>| vote.map_or(0, |vote| vote.leader_id.term);
    let vote = (acknowledged.vote > found.vote).then(|| {
        format!(
            "the vote is of term {}, and one had been cast in term {}",
            term(found.vote),
            term(acknowledged.vote)
        )
    });
    entries.or(vote)
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let (mut start, end) = bounds(&range, self.ends().last);
        start = start.max(self.ends().first);
        let mut entries = Vec::new();
        while start < end {
            let read = self.read(start, end, APPEND_BYTES_MAX, Damaged::IsBlank);
            let read = read.await?;
            let Some(last) = read.last() else { break };
            start = last.log_id.index + 1;
            entries.extend(read);
        }
        Ok(entries)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.ends().vote)
    }

    /// Bounded by octets: openraft itself counts entries only.
    ///
    /// What is cut off from the log may still be read for a follower: by one who leads no more, or that starts anew
    /// with this follower. It finds nothing then, which is no failure: openraft looks who leads before it sends on.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        match self.read(start, end, APPEND_BYTES_MAX, Damaged::Ends).await {
            Ok(entries) => Ok(entries),
            Err(error) if self.ends().purged.is_some_and(|upto| start <= upto.index) => {
                debug!(start, %error, "what was read for a follower is cut off");
                Ok(Vec::new())
            }
            Err(error) => {
                let found = self.lost.find(self.store.now(), start, error).await;
                found.map(|entry| vec![entry])
            }
        }
    }

    /// Without the pieces, which openraft would read with the entries that it looks at: none of them
    /// is worth that a node does not start.
    async fn get_key_log_ids(&mut self, range: RangeInclusive<LogId>) -> io::Result<Vec<LogId>> {
        let (first, last) = (range.start().index, range.end().index);
        let database = self.store.now();
        let read = move || entries::last_by_leader(&database, first, last);
        tokio::task::spawn_blocking(read)
            .await
            .map_err(io::Error::other)?
    }

    /// In runs of bounded size, as they are consumed: a long range never stands in memory whole.
    ///
    /// These are the entries to apply, and a leader may have to apply what only its followers have
    /// on their disks. Were that done, its tables would speak of bodies that are not there yet, and
    /// after a crash never come: an applied entry is not sent to it again.
    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = bounds(&range, self.ends().last);
        let log = self.clone();
        let runs = futures::stream::try_unfold(start, move |start| {
            let log = log.clone();
            async move {
                if start >= end {
                    return Ok::<_, io::Error>(None);
                }
                let run = log.read(start, end, APPEND_BYTES_MAX, Damaged::IsBlank);
                let run = run.await?;
                // What is applied next would follow on a hole that nobody knows of.
                let Some(last) = run.last().map(|last| last.log_id.index) else {
                    return Err(io::Error::other(format!("log entry {start} is missing")));
                };
                log.flushed(last).await?;
                Ok(Some((run, last + 1)))
            }
        });
        Box::pin(futures::TryStreamExt::try_flatten(
            futures::TryStreamExt::map_ok(runs, |run| {
                futures::stream::iter(run.into_iter().map(Ok))
            }),
        ))
    }
}

/// A range of indices as start and end (without end), the end not behind the log's.
fn bounds(range: &impl RangeBounds<u64>, last: Option<LogId>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end.min(last.map_or(0, |last| last.index + 1)))
}

/// How far the log is committed is not saved. After a start, entries that had been committed and are not applied are
/// few, or what one segment has if the power failed, and the leader tells of them as of any others.
impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let ends = self.ends();
        Ok(LogState {
            last_purged_log_id: ends.purged,
            last_log_id: ends.last,
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let vote = *vote;
        self.give_and_wait(|done| Job::SaveVote { vote, done })
            .await?;
        self.ends().vote = Some(vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
            let mut cache = self.cache();
            entries.iter().for_each(|entry| cache.push(entry.clone()));
            drop(cache);
            let mut ends = self.ends();
            ends.first = ends.first.min(first.log_id.index);
            ends.last = Some(last.log_id);
            for entry in &entries {
                let bytes = cache::cost(entry) as u64;
                ends.extent.push(entry.log_id.index, bytes);
            }
        }
        self.give(Job::Append {
            entries,
            flushed,
            since: Instant::now(),
        })
        .await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        // Waits for the writer, so that no append from before the cut is still on its way when the
        // next one refills the cache.
        self.give_and_wait(|done| Job::TruncateAfter { last, done })
            .await?;
        self.cache().truncate_after(last.map(|last| last.index));
        let mut ends = self.ends();
        ends.last = ends.last.min(last).or(ends.purged);
        ends.extent.truncate_after(last.map(|last| last.index));
        if last.is_none_or(|last| last.index < ends.first) {
            ends.first = u64::MAX;
        }
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.note_purged(upto);
        self.give_and_wait(|done| Job::Purge { upto, done }).await
    }
}
