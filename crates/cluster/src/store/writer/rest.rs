//! How long the log's writer rests between two writes.
//!
//! What a small write costs hardly depends on how much is in it: a sync, and waking everybody who waits. Senders whose
//! mail was just taken have their next ready soon, but not all at once, and the first of them would get a write of its own. So
//! the writer rests as long as the write before took, and what comes meanwhile shares the next one. A disk that is fast makes
//! it short, one that is slow does not make it long. Where nobody shares there is none, nor behind a large write, which
//! takes the disk's time for its octets.

use std::time::{Duration, Instant};

use crate::limits::{LOG_REST_BYTES_MAX, LOG_REST_JOBS_MIN, LOG_REST_MAX};

/// The rest behind a write.
#[derive(Debug)]
pub(super) struct Rest {
    ended: Instant,
    whole: Duration,
}

impl Rest {
    /// After nothing.
    pub(super) fn none() -> Self {
        Self::after(Duration::ZERO, 0, 0)
    }

    /// After a write that took so long and has ended now, of so many jobs and octets.
    pub(super) fn after(took: Duration, jobs: usize, bytes: usize) -> Self {
        let is_worth_it = jobs >= LOG_REST_JOBS_MIN && bytes <= LOG_REST_BYTES_MAX;
        Self {
            ended: Instant::now(),
            whole: match is_worth_it {
                true => took.min(LOG_REST_MAX),
                false => Duration::ZERO,
            },
        }
    }

    /// What is left of it.
    pub(super) fn left(&self) -> Duration {
        self.left_at(Instant::now())
    }

    fn left_at(&self, now: Instant) -> Duration {
        self.whole
            .saturating_sub(now.saturating_duration_since(self.ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_micros(300);

    /// What is left of it at the end of the write.
    fn whole(took: Duration, jobs: usize, bytes: usize) -> Duration {
        let rest = Rest::after(took, jobs, bytes);
        rest.left_at(rest.ended)
    }

    #[test]
    fn it_is_as_long_as_the_write_took_and_the_time_since_counts() {
        let rest = Rest::after(TOOK, LOG_REST_JOBS_MIN, 0);
        assert_eq!(rest.left_at(rest.ended), TOOK);
        assert_eq!(rest.left_at(rest.ended + TOOK / 3), TOOK - TOOK / 3);
        assert_eq!(rest.left_at(rest.ended + TOOK * 2), Duration::ZERO);
    }

    #[test]
    fn a_slow_disk_does_not_make_it_long() {
        assert_eq!(whole(Duration::from_secs(2), 50, 0), LOG_REST_MAX);
    }

    #[test]
    fn who_is_alone_does_not_wait() {
        for jobs in 0..LOG_REST_JOBS_MIN {
            assert_eq!(whole(TOOK, jobs, 0), Duration::ZERO);
        }
        assert_eq!(Rest::none().left(), Duration::ZERO);
    }

    #[test]
    fn behind_a_large_write_there_is_none() {
        assert_eq!(whole(TOOK, 50, LOG_REST_BYTES_MAX), TOOK);
        assert_eq!(whole(TOOK, 50, LOG_REST_BYTES_MAX + 1), Duration::ZERO);
    }
}
