//! The commands that the documents name are commands that there are.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use harness::{
    binaries,
    ctl::{self, Outcome},
};

use crate::scene;

/// What only looks, and works wherever a node runs. `doctor`, `drill` and `domain probe` depend on the world around.
const READING: [&str; 14] = [
    "status",
    "queue list",
    "queue summary",
    "queue show",
    "queue export",
    "trace",
    "audit",
    "domain list",
    "domain outages",
    "policy show",
    "cluster status",
    "cluster verify",
    "recipients list",
    "log-level",
];

/// A command as a document names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    /// `layover` or `layoverd`, and its arguments.
    words: Vec<String>,
    /// To be pasted, and so complete; others may stand for all of their kind, such as `layover queue bounce`.
    is_complete: bool,
    place: PathBuf,
}

/// All of them, with something in the place of what stands for something.
fn commands() -> BTreeSet<Named> {
    let mut pages = vec![PathBuf::from("../README.md")];
    for folder in ["../docs", "../docs/decisions"] {
        let entries = fs::read_dir(folder).unwrap();
        pages.extend(entries.map(|entry| entry.unwrap().path()));
    }
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    let found: BTreeSet<Named> = pages.iter().flat_map(|page| commands_of(page)).collect();
    assert!(found.len() > 80, "{} commands are found", found.len());
    found
}

fn commands_of(page: &Path) -> Vec<Named> {
    let text = fs::read_to_string(page).unwrap();
    let (mut scripts, mut prose) = (Vec::new(), String::new());
    let mut language = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), language) {
            (Some(begun), None) => language = Some(begun),
            (Some(_), Some(_)) => language = None,
            (None, Some("sh")) => scripts.extend(line.split([';', '|'])),
            (None, Some(_)) => {}
            (None, None) => {
                prose.push_str(line);
                prose.push(' ');
            }
        }
    }
    let lines = scripts.into_iter().map(|line| (line, true));
    let quoted = prose.split('`').skip(1).step_by(2);
    lines
        .chain(quoted.map(|words| (words, false)))
        .filter_map(|(line, is_complete)| {
            let words = words(line)?;
            Some(Named {
                words,
                is_complete,
                place: page.to_owned(),
            })
        })
        .collect()
}

/// A command's words, up to what the shell makes of the rest of the line.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = line.split_whitespace().skip_while(|word| *word == "do");
    let program = words
        .next()
        .filter(|word| ["layover", "layoverd"].contains(word))?;
    let mut all = vec![program.to_owned()];
    while let Some(word) = words.next() {
        match word {
            "#" | ">" | "&" => break,
            // Of whom it is asked is another matter.
            "--server" => drop(words.next()),
            "..." => {}
            _ => all.push(meant(word)),
        }
    }
    Some(all)
}

/// `[--since` and `ID...` without the marks, and a value for what stands for one.
fn meant(word: &str) -> String {
    let word = word.trim_matches(['[', ']']).trim_end_matches("...");
    let value = match word {
        "ID" | "OLD-ID" => "7",
        "TIME" => "2h",
        "SHELL" => "bash",
        "DOMAIN" => "example.com",
        "FILTER" => "info",
        word => word,
    };
    value.to_owned()
}

/// Runs it where it can harm nobody: what asks a node finds none.
fn run(words: &[String], further: &[&str], folder: &Path) -> Outcome {
    const NOBODY: &str = "127.0.0.1:9";
    let program = match words[0].as_str() {
        "layover" => binaries::layover(),
        _ => binaries::layoverd(),
    };
    let mut command = Command::new(program);
    command.args(&words[1..]).args(further);
    ctl::outcome(command.env("LAYOVER_SERVER", NOBODY).current_dir(folder))
}

#[test]
fn every_command_in_the_documents_is_one() {
    let folder = tempfile::tempdir().unwrap();
    for named in commands() {
        // Words in front of this are looked at: verbs, flags, and values.
        let told = run(&named.words, &["--help"], folder.path());
        assert_eq!(told.code, 0, "{named:?}: {}", told.err);
        if named.is_complete && named.words[0] == "layover" {
            let told = run(&named.words, &[], folder.path());
            assert_ne!(told.code, 2, "{named:?}: {}", told.err);
        }
    }
}

#[test]
fn every_command_in_the_documents_that_looks_at_something_works() {
    let (_primary, cluster) = scene::outage(1);
    scene::send_all(&cluster, &scene::letters(0..2));
    cluster.wait_queued(2, Duration::from_secs(10));
    let ctl = cluster.nodes[0].ctl();
    let list = ctl.json(&["queue", "list"]);
    let id = list[0]["id"].as_str().unwrap();
    let mut verbs: BTreeSet<&str> = BTreeSet::new();
    for named in commands() {
        let words = named.words[1..].iter().map(String::as_str);
        let words: Vec<&str> = words
            .map(|word| if word == "7" { id } else { word })
            .collect();
        let line = words.join(" ");
        let is_verb = |verb: &&&str| {
            let rest = line.strip_prefix(**verb);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        let Some(verb) = READING.iter().find(is_verb) else {
            continue;
        };
        let told = ctl.run(&words);
        let lacks_something = told.err.contains("required arguments were not provided");
        if named.is_complete || !lacks_something {
            assert_eq!(told.code, 0, "{named:?}: {}", told.err);
            verbs.insert(verb);
        }
    }
    assert_eq!(verbs, BTreeSet::from(READING), "the documents on the left");
}
