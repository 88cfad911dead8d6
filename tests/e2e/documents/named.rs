//! The commands that the documents name.

use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
};

/// A command as a document names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    /// `layover` or `layoverd`, and its arguments; `ID` and its like stand as they are written.
    pub(super) words: Vec<String>,
    /// Whom it is told to ask: `mx2` of `--server mx2:7401`.
    pub(super) asked: Option<String>,
    /// The file that the shell writes what it prints to.
    pub(super) into: Option<String>,
    /// To be pasted, and so complete; others may stand for all of their kind, such as `layover queue bounce`.
    pub(super) is_complete: bool,
    place: PathBuf,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` of {}", self.words.join(" "), self.place.display())
    }
}

impl Named {
    /// The command without what may stand in front of its verbs: `layoverd restore --from DIR`.
    pub(super) fn act(&self) -> String {
        let mut act = Vec::new();
        let mut words = self.words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--config" => drop(words.next()),
                "--json" => {}
                word => act.push(word),
            }
        }
        act.join(" ")
    }

    /// Whether it begins with these whole words.
    pub(super) fn begins(&self, words: &str) -> bool {
        let act = self.act();
        let rest = act.strip_prefix(words);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    }

    /// The same command without one of its words.
    pub(super) fn without(&self, word: &str) -> Self {
        let mut other = self.clone();
        other.words.retain(|own| own != word);
        other
    }

    /// Whether it may be no more than the name of a command, which lacks what it needs.
    pub(super) fn may_be_a_name(&self) -> bool {
        let is_verb = |word: &String| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        !self.is_complete && self.words.iter().all(is_verb)
    }
}

/// All of them.
pub(super) fn commands() -> BTreeSet<Named> {
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
            (None, Some("sh")) => scripts.extend(rounds(line)),
            (None, Some(_)) => {}
            (None, None) => {
                prose.push_str(line);
                prose.push(' ');
            }
        }
    }
    let scripts = scripts
        .iter()
        .flat_map(|line| line.split([';', '|']))
        .map(|line| (line, true));
    let quoted = prose.split('`').skip(1).step_by(2);
    scripts
        .chain(quoted.map(|words| (words, false)))
        .filter_map(|(line, is_complete)| read(line, is_complete, page))
        .collect()
}

/// What `for node in mx1 mx2; do layover --server $node:7401 doctor; done` comes to, round by round.
fn rounds(line: &str) -> Vec<String> {
    let looped = line.strip_prefix("for ").and_then(|rest| {
        let (variable, rest) = rest.split_once(" in ")?;
        let (values, body) = rest.split_once("; do ")?;
        Some((format!("${variable}"), values, body))
    });
    match looped {
        Some((variable, values, body)) => values
            .split_whitespace()
            .map(|value| body.replace(&variable, value))
            .collect(),
        None => vec![line.to_owned()],
    }
}

/// A command's words, up to what the shell makes of the rest of the line.
fn read(line: &str, is_complete: bool, page: &Path) -> Option<Named> {
    let mut words = line.split_whitespace();
    let program = words
        .next()
        .filter(|word| ["layover", "layoverd"].contains(word))?;
    let mut named = Named {
        words: vec![program.to_owned()],
        asked: None,
        into: None,
        is_complete,
        place: page.to_owned(),
    };
    while let Some(word) = words.next() {
        match word {
            "#" | "&" => break,
            ">" => named.into = words.next().map(str::to_owned),
            "--server" => {
                let server = words.next()?;
                named.asked = server.split(':').next().map(str::to_owned);
            }
            "..." => {}
            // `[--since` and `ID...` without the marks.
            word => {
                let word = word.trim_matches(['[', ']']).trim_end_matches("...");
                named.words.push(word.to_owned());
            }
        }
    }
    (named.words.len() > 1).then_some(named)
}
