//! The thread that writes the log.
//!
//! Group commit: while one fsync runs, and for a moment behind it, jobs gather; what has gathered goes into the
//! next. Jobs are written in the order in which they were given, so a vote is on the disk before
//! the entries of its term.

mod rest;

use std::{io, sync::Arc, thread, time::Instant};

use openraft::storage::IOFlushed;
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};

use rest::Rest;

use super::{
    cache::LogCache,
    entries,
    job::Job,
    keys,
    mark::{Acknowledged, Mark},
    noted::Note,
    open::{Batch, Column, Database},
    present::Store,
    raft_state,
    received::{self, Received},
    rows,
};
use crate::{
    codec,
    limits::{LOG_BATCH_BYTES_MAX, PURGE_PIECES_MORE},
    raft::{Entry, LogId, Types},
};

/// What is told when a batch is on the disk.
enum Waiting {
    Append {
        flushed: IOFlushed<Types>,
        since: Instant,
    },
    Done(oneshot::Sender<io::Result<()>>),
}

/// Writes jobs until the last sender is gone or a write fails.
///
/// After a failure nothing is ever written again: the kernel may have dropped the pages that it
/// could not write and would report a second fsync as done.
pub(super) fn write_jobs(
    store: &Store,
    cache: &std::sync::Mutex<LogCache>,
    mut mark: Mark,
    mut noted: Note,
    mut jobs: mpsc::Receiver<Job>,
) {
    let mut rest = Rest::none();
    while let Some(first) = jobs.blocking_recv() {
        thread::sleep(rest.left());
        let began = Instant::now();
        let mut gathered = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        let mut installed = None;
        let mut tidies = false;
        while let Some(job) = next.take() {
            bytes += job.cost();
            let goes_on = bytes < LOG_BATCH_BYTES_MAX && !job.ends_batch();
            match job {
                Job::Install { received, done } => installed = Some((received, done)),
                Job::Tidy => tidies = true,
                job => gathered.push(job),
            }
            if goes_on {
                next = jobs.try_recv().ok();
            }
        }
        let shared_by = gathered.len();
        let written = if gathered.is_empty() {
            Ok(())
        } else {
            write(&store.now(), cache, &mut mark, &mut noted, gathered)
        };
        let written = written.and_then(|()| match installed {
            Some((received, done)) => install(store, &mut mark, &mut noted, received, done),
            None => Ok(()),
        });
        let written = written.and_then(|()| match tidies {
            true => store.now().move_pieces(),
            false => Ok(()),
        });
        if let Err(error) = written {
            tracing::error!(%error, "writing the log failed; this node writes nothing any more");
            if let Ok(mut cache) = cache.lock() {
                cache.failed(error.to_string());
            }
            refuse_all(&mut jobs, &error);
            return;
        }
        rest = Rest::after(began.elapsed(), shared_by, bytes);
    }
    // So that the next start has nothing to write again. It can do without.
    if let Err(error) = store.now().batch().write_synced() {
        tracing::warn!(%error, "the end was not noted in the database");
    }
}

/// Runs between two writes of the log, so that no vote and no entry falls between the databases.
fn install(
    store: &Store,
    mark: &mut Mark,
    noted: &mut Note,
    received: Received,
    done: oneshot::Sender<io::Result<Arc<Database>>>,
) -> io::Result<()> {
    let last = received.last();
    let database = received.into_database();
    let switched = received::carry_over(&store.now(), &database, last)
        .and_then(|()| store.switch_to(database));
    let switched = switched.and_then(|former| {
        let before = mark.now();
        mark.write(Acknowledged {
            last: before.last.max(Some(last)),
            ..before
        })?;
        *noted = Note::open(store.now().path())?;
        Ok(former)
    });
    let result = switched.as_ref().map(|_| ()).map_err(copy_of);
    drop(done.send(switched));
    result
}

fn write(
    store: &Database,
    cache: &std::sync::Mutex<LogCache>,
    mark: &mut Mark,
    noted: &mut Note,
    jobs: Vec<Job>,
) -> io::Result<()> {
    let purges = jobs.iter().any(|job| matches!(job, Job::Purge { .. }));
    let last_index = jobs.iter().filter_map(Job::last_index).next_back();
    let before = mark.now();
    let (kept, after) = jobs.iter().fold((before, before), promised);
    let mut batch = store.batch();
    let mut waiting = Vec::with_capacity(jobs.len());
    let mut prepared = Ok(());
    for job in jobs {
        let added = add(store, &mut batch, &mut waiting, job);
        prepared = prepared.and(added);
    }
    // Entries that are cut off must leave the mark first, and new ones come to it last, so that it
    // never claims what is not on the disk.
    let written = prepared.and_then(|()| {
        mark.write(kept)?;
        // Without these entries, the log does not tell any more what else is missing.
        if purges {
            noted.write()?;
        }
        batch.write_synced()?;
        mark.write(after)?;
        noted.keep_up()
    });
    if written.is_ok()
        && let Some(index) = last_index
        && let Ok(mut cache) = cache.lock()
    {
        cache.flushed(index);
    }
    tell(store, waiting, &written);
    written
}

/// Adds what a job writes to a batch, and whoever waits for it to those who are told.
fn add(
    store: &Database,
    batch: &mut Batch<'_>,
    waiting: &mut Vec<Waiting>,
    job: Job,
) -> io::Result<()> {
    match job {
        Job::Append {
            entries,
            flushed,
            since,
        } => {
            waiting.push(Waiting::Append { flushed, since });
            entries
                .into_iter()
                .for_each(|entry| put_entry(batch, entry));
        }
        Job::SaveVote { vote, done } => {
            let vote = codec::vote_to(&vote).encode_to_vec();
            batch.put(Column::Raft, keys::raft(raft_state::VOTE), vote);
            waiting.push(Waiting::Done(done));
        }
        Job::TruncateAfter { last, done } => {
            let first = last.map_or(0, |last| last.index + 1);
            batch.delete_entries(first..u64::MAX);
            batch.delete_pieces(first..u64::MAX)?;
            waiting.push(Waiting::Done(done));
        }
        Job::Purge { upto, done } => {
            waiting.push(Waiting::Done(done));
            purge(store, batch, upto)?;
        }
        Job::Mend {
            sequence,
            index,
            piece,
            done,
        } => match is_needed(store, sequence, index) {
            Ok(needed) => {
                if needed {
                    batch.delete_piece(index)?;
                    batch.put_piece(index, piece);
                }
                waiting.push(Waiting::Done(done));
            }
            // The log can do without it.
            Err(error) => drop(done.send(Err(error))),
        },
        // Come behind a batch, never into one.
        Job::Install { .. } | Job::Tidy => {}
    }
    Ok(())
}

/// What a job leaves of what was acknowledged before it, and what is acknowledged after it.
fn promised(
    (mut kept, mut after): (Acknowledged, Acknowledged),
    job: &Job,
) -> (Acknowledged, Acknowledged) {
    match job {
        Job::Append { entries, .. } => {
            after.last = entries.last().map(|entry| entry.log_id).or(after.last);
        }
        Job::SaveVote { vote, .. } => after.vote = Some(*vote),
        Job::TruncateAfter { last, .. } => {
            kept.last = kept.last.min(*last);
            after.last = *last;
        }
        Job::Purge { upto, .. } => after.last = after.last.max(Some(*upto)),
        Job::Mend { .. } | Job::Install { .. } | Job::Tidy => {}
    }
    (kept, after)
}

fn put_entry(batch: &mut Batch<'_>, entry: Entry) {
    let index = entry.log_id.index;
    let mut stored = codec::entry_to(entry);
    let piece = entries::take_piece(&mut stored);
    stored.carries_piece = !piece.is_empty();
    stored.piece_bytes = u32::try_from(piece.len()).unwrap_or(u32::MAX);
    batch.put_entry(index, stored.encode_to_vec(), piece);
}

/// Forgets entries, and the pieces they carried as far as the spool has dropped them. As long as an
/// entry is in the log its piece stays, so that a follower which lags gets whole entries.
///
/// Bodies that were kept may be dropped all at once, and millions of deletions in one batch would hold up
/// everyone who waits for the log. What is too much for one purge goes with the next ones: each takes more than
/// can have been dropped of the entries that it forgets.
fn purge(store: &Database, batch: &mut Batch<'_>, upto: LogId) -> io::Result<()> {
    let purged = raft_state::purged(store)?.map_or(0, |purged| purged.index);
    let forgotten = usize::try_from(upto.index.saturating_sub(purged)).unwrap_or(usize::MAX);
    let pieces_max = forgotten.saturating_add(PURGE_PIECES_MORE);
    raft_state::put_log_id(batch, raft_state::PURGED, upto);
    batch.delete_entries(0..upto.index + 1);
    let dropped = store.range(
        Column::Raft,
        &keys::dropped(0),
        keys::dropped(upto.index + 1),
    );
    for row in dropped.take(pieces_max) {
        let (key, _) = row?;
        if let Some(index) = keys::dropped_index(&key) {
            batch.delete_piece(index)?;
        }
        batch.delete(Column::Raft, key);
    }
    Ok(())
}

/// Whether a message that is in the spool has a piece. One that has left may have been purged with
/// its pieces, and what was written then would stay for ever. If it leaves behind this look, it marks
/// its pieces, and the next purge finds them.
fn is_needed(store: &Database, sequence: u64, index: u64) -> io::Result<bool> {
    let message = rows::message(store, sequence)?;
    Ok(message.is_some_and(|message| message.body.pieces.contains(&index)))
}

/// The last first: all of the batch is on the disk by now, and openraft takes what it hears of the last append as said of
/// those before it. So it commits and applies a batch at once, and not its first entries by themselves.
fn tell(store: &Database, waiting: Vec<Waiting>, written: &io::Result<()>) {
    for waiting in waiting.into_iter().rev() {
        match waiting {
            Waiting::Append { flushed, since } => {
                store
                    .metrics()
                    .raft_append_seconds
                    .observe(since.elapsed().as_secs_f64());
                flushed.io_completed(again(written));
            }
            Waiting::Done(done) => drop(done.send(again(written))),
        }
    }
}

fn again(result: &io::Result<()>) -> io::Result<()> {
    result.as_ref().map(|&()| ()).map_err(copy_of)
}

fn copy_of(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

fn refuse_all(jobs: &mut mpsc::Receiver<Job>, error: &io::Error) {
    let refusal = || Err(copy_of(error));
    while let Some(job) = jobs.blocking_recv() {
        match job {
            Job::Append { flushed, .. } => flushed.io_completed(refusal()),
            Job::SaveVote { done, .. }
            | Job::TruncateAfter { done, .. }
            | Job::Purge { done, .. }
            | Job::Mend { done, .. } => drop(done.send(refusal())),
            Job::Install { done, .. } => drop(done.send(Err(copy_of(error)))),
            Job::Tidy => {}
        }
    }
}

/// The writer's thread. Dropping this waits until it has ended, which it does when the last sender
/// is gone and everything is written: the process must not end while it closes the database.
#[derive(Debug)]
pub(crate) struct LogWriter(Option<thread::JoinHandle<()>>);

impl Drop for LogWriter {
    fn drop(&mut self) {
        if self.0.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the log's writer has panicked");
        }
    }
}

/// Starts the writer.
pub(super) fn spawn(
    store: Arc<Store>,
    cache: Arc<std::sync::Mutex<LogCache>>,
    mark: Mark,
    noted: Note,
    jobs: mpsc::Receiver<Job>,
) -> io::Result<LogWriter> {
    let thread = thread::Builder::new()
        .name("log-writer".to_owned())
        .spawn(move || write_jobs(&store, &cache, mark, noted, jobs))?;
    Ok(LogWriter(Some(thread)))
}
