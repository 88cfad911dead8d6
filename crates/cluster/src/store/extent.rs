//! How much room the log takes.

use std::collections::VecDeque;

/// Entries are counted in runs of about so many octets: the log is cut to that precision.
const RUN_BYTES: u64 = 1 << 20;

/// Octets of the log, by runs of entries.
#[derive(Clone, Debug, Default)]
pub(super) struct Extent {
    runs: VecDeque<Run>,
    bytes: u64,
}

#[derive(Clone, Debug)]
struct Run {
    first: u64,
    last: u64,
    bytes: u64,
}

impl Extent {
    /// Counts an entry behind the last.
    pub(super) fn push(&mut self, index: u64, bytes: u64) {
        self.bytes += bytes;
        match self.runs.back_mut() {
            Some(run) if run.bytes < RUN_BYTES => {
                run.last = index;
                run.bytes += bytes;
            }
            _ => self.runs.push_back(Run {
                first: index,
                last: index,
                bytes,
            }),
        }
    }

    /// Forgets what is behind `index`. A run that is cut keeps its octets, so that the log is rather
    /// thought longer than it is.
    pub(super) fn truncate_after(&mut self, index: Option<u64>) {
        while let Some(run) = self.runs.back_mut() {
            match index {
                Some(index) if run.first <= index => {
                    run.last = run.last.min(index);
                    return;
                }
                _ => {
                    self.bytes -= run.bytes;
                    self.runs.pop_back();
                }
            }
        }
    }

    /// Forgets what is not behind `index`.
    pub(super) fn purge(&mut self, index: u64) {
        while let Some(run) = self.runs.front().filter(|run| run.last <= index) {
            self.bytes -= run.bytes;
            self.runs.pop_front();
        }
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The index up to which entries must go so that no more than `bytes_max` stay; `None` when no
    /// more are there. The last run always stays.
    pub(super) fn excess(&self, bytes_max: u64) -> Option<u64> {
        let mut bytes = self.bytes;
        let mut upto = None;
        let goers = self.runs.len().saturating_sub(1);
        for run in self.runs.iter().take(goers) {
            if bytes <= bytes_max {
                break;
            }
            bytes -= run.bytes;
            upto = Some(run.last);
        }
        upto
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entries: std::ops::Range<u64>) -> Extent {
        let mut extent = Extent::default();
        entries.for_each(|index| extent.push(index, RUN_BYTES / 2));
        extent
    }

    #[test]
    fn what_is_over_the_limit_goes_in_whole_runs() {
        let extent = of(1..11);
        assert_eq!(extent.bytes(), 5 * RUN_BYTES);
        assert_eq!(extent.excess(5 * RUN_BYTES), None);
        assert_eq!(extent.excess(5 * RUN_BYTES - 1), Some(2));
        assert_eq!(extent.excess(3 * RUN_BYTES), Some(4));
        assert_eq!(extent.excess(0), Some(8), "the last run stays");
        assert_eq!(Extent::default().excess(0), None);
    }

    #[test]
    fn purged_and_truncated_entries_count_no_more() {
        let mut extent = of(1..11);
        extent.purge(5);
        assert_eq!(extent.bytes(), 3 * RUN_BYTES);
        extent.truncate_after(Some(8));
        assert_eq!(extent.bytes(), 2 * RUN_BYTES);
        extent.push(9, 7);
        assert_eq!(extent.bytes(), 2 * RUN_BYTES + 7);
        extent.truncate_after(Some(7));
        assert!(extent.bytes() > 0, "entry 7 is still there");
        extent.truncate_after(None);
        assert_eq!(extent.bytes(), 0);
    }
}
