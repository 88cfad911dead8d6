//! The commands that the documents name are commands that there are, and each of them is run with success.
//!
//! Those in scripts are complete, and so are most in prose; `layover queue bounce` there stands for all of its kind.

mod alone;
mod desk;
mod directory;
mod named;
mod network;
mod queue;
mod resized;

use std::collections::BTreeSet;

use desk::Desk;
use named::{Named, commands};

/// Where a command is run, and so which test does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Where no node is: [`alone`].
    Alone,
    /// Before three nodes with mail, which are the same afterwards: [`queue`].
    Queue,
    /// Before nodes that come and go: [`resized`].
    Resized,
    /// In a network that is as it should be, DNS and all: [`network`].
    Network,
    /// In the same, with all ports of `layoverd dev` free: [`network`].
    Dev,
    /// On the machine of a node that does not run: [`directory`].
    Directory,
}

/// By how commands begin; the longest beginning that fits counts.
const STAGES: [(&str, Stage); 35] = [
    ("layover audit", Stage::Queue),
    ("layover backup", Stage::Queue),
    ("layover cluster add", Stage::Resized),
    ("layover cluster certs", Stage::Alone),
    ("layover cluster remove", Stage::Resized),
    ("layover cluster snapshot", Stage::Queue),
    ("layover cluster status", Stage::Queue),
    ("layover cluster transfer-leader", Stage::Queue),
    ("layover cluster verify", Stage::Queue),
    ("layover completions", Stage::Alone),
    ("layover doctor", Stage::Network),
    ("layover domain list", Stage::Queue),
    ("layover domain outages", Stage::Queue),
    ("layover domain pause", Stage::Queue),
    ("layover domain probe", Stage::Queue),
    ("layover domain resume", Stage::Queue),
    ("layover drill", Stage::Network),
    ("layover flush", Stage::Queue),
    ("layover log-level", Stage::Queue),
    ("layover manual", Stage::Alone),
    ("layover policy", Stage::Queue),
    ("layover queue", Stage::Queue),
    ("layover recipients", Stage::Queue),
    ("layover replay", Stage::Queue),
    ("layover status", Stage::Queue),
    ("layover top", Stage::Queue),
    ("layover trace", Stage::Queue),
    ("layoverd", Stage::Directory),
    ("layoverd check", Stage::Directory),
    ("layoverd dev", Stage::Dev),
    ("layoverd export", Stage::Directory),
    ("layoverd manual", Stage::Alone),
    ("layoverd password", Stage::Alone),
    ("layoverd recover", Stage::Directory),
    ("layoverd restore", Stage::Directory),
];

/// What is run nowhere, and why. No document names such a command now.
const NOT_RUN: [(&str, &str); 0] = [];

/// The beginning of a table that fits best.
fn beginning<T: Copy>(named: &Named, table: &[(&'static str, T)]) -> Option<(&'static str, T)> {
    let fitting = table.iter().filter(|(words, _)| named.begins(words));
    fitting.max_by_key(|(words, _)| words.len()).copied()
}

/// The commands of a stage; each once, where it is complete if it is anywhere.
fn commands_of(stage: Stage) -> Vec<Named> {
    let mut met = BTreeSet::new();
    let (complete, others): (Vec<Named>, Vec<Named>) =
        commands().into_iter().partition(|named| named.is_complete);
    let all = complete.into_iter().chain(others);
    all.filter(|named| beginning(named, &STAGES).is_some_and(|(_, its)| its == stage))
        .filter(|named| met.insert((named.words.clone(), named.asked.clone())))
        .collect()
}

#[test]
fn every_command_in_the_documents_is_one() {
    let desk = Desk::empty();
    for named in commands() {
        // Words in front of this are looked at: verbs, flags, and values.
        let told = desk.run(&named, &WORDS, &["--help"]);
        assert_eq!(told.code, 0, "{named}: {}", told.err);
        if named.is_complete && named.words[0] == "layover" {
            let told = desk.run(&named, &WORDS, &[]);
            assert_ne!(told.code, 2, "{named}: {}", told.err);
        }
    }
}

/// Something for each word that stands for something.
const WORDS: [(&str, &str); 5] = [
    ("ID", "7"),
    ("OLD-ID", "7"),
    ("TIME", "2h"),
    ("SHELL", "bash"),
    ("FILTER", "info"),
];

#[test]
fn every_command_in_the_documents_is_run_or_it_is_said_why_not() {
    let mut used = BTreeSet::new();
    for named in commands() {
        let begins = beginning(&named, &STAGES).map(|(begins, _)| begins);
        let excused = beginning(&named, &NOT_RUN).map(|(begins, _)| begins);
        let found = begins.or(excused);
        used.insert(found.unwrap_or_else(|| panic!("{named} is run by no test")));
    }
    let known: BTreeSet<&str> = STAGES.iter().map(|(begins, _)| *begins).collect();
    let excused = NOT_RUN.iter().map(|(begins, _)| *begins);
    let known: BTreeSet<&str> = known.into_iter().chain(excused).collect();
    assert_eq!(used, known, "the documents on the left");
}
