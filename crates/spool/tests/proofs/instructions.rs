//! How many instructions the spool takes for a message, and the policy for a recipient.

use std::{fmt::Write as _, hint::black_box};

use counts::{Work, counting_begins, instructions_of};
use smtp::{ForwardPath, Mailbox};
use spool::{Attempt, Command, Outcome, Policy, Report, Timestamp, Verdict};

use crate::{
    letters::{Letter, deferred, delivered, found},
    memory::Memory,
};

/// How many messages wait already, and how many more there are.
const QUEUED: u32 = 400;
const COUNTED: u32 = 64;

/// Domains in a long policy.
const DOMAINS: usize = 1000;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

#[test]
fn are_those_recorded() {
    let work = |name, of, run| Work { name, of, run };
    let each = u64::from(COUNTED);
    counts::check(
        "spool",
        "instructions::are_those_recorded",
        &[
            work("a message is accepted", each, accept),
            work(
                "a message is accepted again, its 250 not read",
                each,
                accept_again,
            ),
            work("a message is delivered, 64 in a report", each, deliver),
            work("a message is deferred, 64 in a report", each, defer),
            work("a policy of 1000 domains is read", 1, read_policy),
            work("a recipient is looked up among 1000 domains", 100, look_up),
        ],
    );
}

/// Letters without staged pieces.
fn letters() -> impl Iterator<Item = Letter> {
    (0..).step_by(4).map(Letter)
}

fn filled() -> Memory {
    let mut memory = Memory::default();
    memory.apply_batch(&[(1, found())]);
    let accepted = letters()
        .take(QUEUED as usize)
        .map(|letter| letter.accept(NOW));
    let batch: Vec<_> = (2..).zip(accepted).collect();
    for outcome in memory.apply_batch(&batch) {
        assert_eq!(outcome, Outcome::Accepted);
    }
    memory
}

/// Counts these commands, each by itself, behind one that is not counted.
fn count(commands: impl IntoIterator<Item = Command>, outcome: impl Fn(&Outcome) -> bool) {
    let memory = filled();
    for (number, command) in commands.into_iter().enumerate() {
        if number == 1 {
            counting_begins();
        }
        let (came_to, changes) = memory.would_apply(5000, command);
        assert!(outcome(&came_to), "{came_to:?}");
        black_box(changes);
    }
}

fn accept() {
    let new = letters().skip(QUEUED as usize).take(1 + COUNTED as usize);
    count(new.map(|letter| letter.accept(NOW)), |outcome| {
        *outcome == Outcome::Accepted
    });
}

fn accept_again() {
    let again = letters().take(1 + COUNTED as usize).map(Letter::again);
    count(again.map(|letter| letter.accept(NOW)), |outcome| {
        matches!(outcome, Outcome::Repeated(_))
    });
}

fn deliver() {
    report(delivered);
}

fn defer() {
    report(deferred);
}

fn report(verdict: fn() -> Verdict) {
    let attempt = |letter: Letter| -> Attempt {
        let recipients = 0..letter.domains().len() as u32;
        letter.attempt(recipients.map(|number| (number, verdict())).collect())
    };
    let report = || {
        Command::Report(Report {
            term: 1,
            at: NOW,
            attempts: letters().take(COUNTED as usize).map(attempt).collect(),
        })
    };
    count([report(), report()], |outcome| *outcome == Outcome::Done);
}

fn long_policy() -> String {
    let mut text = String::new();
    for number in 0..DOMAINS {
        writeln!(
            text,
            "[[domain]]\nname = \"domain-{number}.example\"\nprimary = [\"mail-{number}.example\"]"
        )
        .expect("strings grow");
    }
    text
}

fn read_policy() {
    let text = long_policy();
    let read = || Policy::parse(&text).expect("the policy is sound");
    read();
    counting_begins();
    instructions_of(read);
}

fn look_up() {
    let policy = Policy::parse(&long_policy()).expect("the policy is sound");
    let path = |number: usize| {
        ForwardPath::Mailbox(Mailbox {
            local_part: "user".to_owned(),
            domain: format!("domain-{number}.example"),
        })
    };
    let paths: Vec<_> = (0..DOMAINS).step_by(10).map(path).collect();
    let look_up = || {
        paths
            .iter()
            .filter(|path| policy.domain_of(path).is_ok())
            .count()
    };
    assert_eq!(look_up(), paths.len());
    counting_begins();
    instructions_of(look_up);
}
