//! How many instructions pure code takes, held to what is recorded in `counts.txt`.
//!
//! A time differs from run to run; the number of instructions does not, so it shows in a test what a change costs.
//! The test that is checked runs once more, alone, under valgrind:
//!
//! ```text
//!   a room's test ──▶ check ──▶ valgrind: the same test ──▶ check ──▶ each piece of work
//!                       ▲                                                          │
//!                       └── counts.txt ◀─▶ one count for each piece of work ◀──────┘
//! ```

mod recorded;
mod valgrind;

use std::{env, hint::black_box};

use recorded::Recorded;

/// Of two counts that differ by more percent, one is worth a look.
const TOLERANCE_PERCENT: u64 = 5;
/// Instructions by which any count may differ: what is inlined changes with the place at which the compiler cuts a
/// crate, and that with any other line of it. A changed line in another file has been seen to cost one piece 73.
const LAYOUT_MAX: u64 = 100;

/// Set while this process runs under valgrind, for its instructions to be counted.
const COUNTED: &str = "LAYOVER_COUNTED";

/// Set to write down what is counted instead of comparing it.
const RECORD: &str = "LAYOVER_RECORD_COUNTS";

/// A piece of work.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// What it is, for `counts.txt`.
    pub name: &'static str,
    /// How many messages, or whatever is counted, it is about: what is recorded is the share of one.
    pub of: u64,
    /// Prepares it, calls [`counting_begins`], and does it within [`instructions_of`].
    pub run: fn(),
}

/// Counts nothing of what came before: what was prepared, and what is done once in the life of a process.
#[inline(never)]
pub fn counting_begins() {
    black_box(());
}

/// Does something whose instructions are counted.
#[inline(never)]
pub fn instructions_of<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

/// A count is complete.
#[inline(never)]
fn counting_ends() {
    black_box(());
}

/// Counts the instructions of each piece of work, and compares them with what is recorded for this room. Where that
/// can not be done, or would mean nothing, it says why on standard error.
///
/// `test` is the name of the calling test, as its binary has it.
///
/// # Panics
/// When a count differs from what is recorded by more than 5 %, and more than 100 instructions.
pub fn check(room: &str, test: &str, works: &[Work]) {
    if env::var_os(COUNTED).is_some() {
        for work in works {
            (work.run)();
            counting_ends();
        }
        return;
    }
    let records = env::var_os(RECORD).is_some();
    let mut recorded = Recorded::read();
    let here = match valgrind::surroundings() {
        Ok(here) if records || recorded.surroundings == here => here,
        Ok(here) => {
            return skip(&format!(
                "they were recorded with {}, and here is {here}, which alone changes them; `make counts` \
                 records them anew",
                recorded.surroundings
            ));
        }
        Err(why) => {
            assert!(!records, "{why}");
            return skip(&why);
        }
    };
    let counts = works.iter().zip(valgrind::count(test, works.len()));
    let counts: Vec<(&str, u64)> = counts
        .map(|(work, count)| (work.name, count / work.of.max(1)))
        .collect();
    if records {
        recorded.replace(room, &counts, here);
        return recorded.write();
    }
    let complaints = recorded.differences(room, &counts);
    assert!(
        complaints.is_empty(),
        "{}\nIf that is meant to be so, `make counts` records it in {}.",
        complaints.join("\n"),
        recorded::FILE
    );
}

fn skip(why: &str) {
    eprintln!("skipped: instructions are not counted: {why}");
}
