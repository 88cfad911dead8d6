//! Larger appends: while one is under way, what comes gathers for the next.
//!
//! An append costs its wake-ups, frames and an answer on both ends however many entries it has. A follower writes
//! one batch after the other, so what came while it fsyncs would wait there instead of here.

use futures::{Stream, StreamExt as _, stream};
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use tokio::{sync::watch, time::timeout};

use crate::{
    limits::{APPEND_GATHER, APPEND_GATHERED_BYTES},
    raft::{Payload, Types},
};

/// Index of the last entry that a follower has acknowledged on a stream.
#[derive(Debug)]
pub(super) struct Acknowledged(watch::Sender<u64>);

impl Acknowledged {
    /// Notes an answer. After any but an acknowledgement the stream ends.
    pub(super) fn note(&self, answer: &StreamAppendResult<Types>) {
        if let Ok(Some(matched)) = answer {
            self.0.send_replace(matched.index);
        }
    }
}

/// The appends of a stream, each asked for only when the one before is answered: openraft reads the entries at that
/// moment. One that is large enough is not waited for, nor is any for longer than [`APPEND_GATHER`]. They end when
/// nobody listens to the answers any more.
pub(super) fn gathered(
    requests: impl Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
) -> (
    Acknowledged,
    impl Stream<Item = AppendEntriesRequest<Types>> + Send + 'static,
) {
    let (acknowledged, answers) = watch::channel(0);
    let appends = Appends {
        requests,
        answers,
        awaited: 0,
    };
    let gathered = stream::unfold(appends, |mut appends| async {
        Some((appends.next().await?, appends))
    });
    (Acknowledged(acknowledged), gathered)
}

struct Appends<S> {
    requests: S,
    answers: watch::Receiver<u64>,
    /// Index of the entry whose answer the next append waits for; 0 for none.
    awaited: u64,
}

impl<S: Stream<Item = AppendEntriesRequest<Types>> + Unpin> Appends<S> {
    async fn next(&mut self) -> Option<AppendEntriesRequest<Types>> {
        let awaited = self.awaited;
        let answered = self.answers.wait_for(|index| *index >= awaited);
        drop(timeout(APPEND_GATHER, answered).await);
        // What is left goes into the next stream.
        self.answers.has_changed().ok()?;
        let request = self.requests.next().await?;
        self.awaited = awaited_for(&request);
        Some(request)
    }
}

/// One without entries is not waited for: nothing is written for it.
fn awaited_for(request: &AppendEntriesRequest<Types>) -> u64 {
    let octets = request.entries.iter().map(|entry| match &entry.payload {
        Payload::Normal(proposal) => proposal.0.octets(),
        _ => 0,
    });
    if octets.sum::<usize>() >= APPEND_GATHERED_BYTES {
        return 0;
    }
    request.entries.last().map_or(0, |last| last.log_id.index)
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, channel::mpsc};
    use openraft::entry::{RaftEntry as _, RaftPayload as _};
    use spool::{Command, MessageId};
    use tokio::time::Instant;

    use super::*;
    use crate::raft::{Entry, LogId, Proposal, Vote};

    fn log_id(index: u64) -> LogId {
        LogId::new(1.into(), index)
    }

    /// One entry, or none when `octets` is 0.
    fn append(index: u64, octets: usize) -> AppendEntriesRequest<Types> {
        let command = Command::Confirm {
            ids: vec![MessageId(1); octets / size_of::<MessageId>()],
        };
        let entry = Entry::new(log_id(index), Payload::normal(Proposal(command)));
        AppendEntriesRequest {
            vote: Vote::new_committed(1, 1),
            prev_log_id: None,
            entries: Vec::from_iter((octets > 0).then_some(entry)),
            leader_commit: None,
        }
    }

    type Sender = mpsc::UnboundedSender<AppendEntriesRequest<Types>>;

    fn stream() -> (
        Sender,
        Acknowledged,
        impl Stream<Item = AppendEntriesRequest<Types>> + Unpin,
    ) {
        let (sender, requests) = mpsc::unbounded();
        let (acknowledged, gathered) = gathered(requests);
        (sender, acknowledged, Box::pin(gathered))
    }

    #[tokio::test(start_paused = true)]
    async fn an_append_waits_for_the_answer_to_the_one_before() {
        let (sender, acknowledged, mut requests) = stream();
        for index in 1..=3 {
            sender.unbounded_send(append(index, 1000)).unwrap();
        }
        assert!(requests.next().now_or_never().is_some());
        assert!(requests.next().now_or_never().is_none());
        acknowledged.note(&Ok(None));
        assert!(requests.next().now_or_never().is_none());
        acknowledged.note(&Ok(Some(log_id(1))));
        assert!(requests.next().now_or_never().is_some());
        assert!(requests.next().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_wait_for_ever() {
        let (sender, _acknowledged, mut requests) = stream();
        for index in 1..=2 {
            sender.unbounded_send(append(index, 1000)).unwrap();
        }
        requests.next().await.unwrap();
        let began = Instant::now();
        requests.next().await.unwrap();
        assert_eq!(began.elapsed(), APPEND_GATHER);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_large_append_or_one_without_entries() {
        let (sender, _acknowledged, mut requests) = stream();
        for octets in [APPEND_GATHERED_BYTES, 0, 1000] {
            sender.unbounded_send(append(1, octets)).unwrap();
            assert!(requests.next().now_or_never().is_some(), "{octets}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_to_whose_answers_nobody_listens_takes_nothing_more() {
        let (sender, acknowledged, mut requests) = stream();
        for index in 1..=2 {
            sender.unbounded_send(append(index, 1000)).unwrap();
        }
        requests.next().await.unwrap();
        drop(acknowledged);
        assert!(requests.next().await.is_none());
    }
}
