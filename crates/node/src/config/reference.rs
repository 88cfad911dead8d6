//! Holds `docs/configuration.md` and the files in `deploy` to what is read, in both directions.

use std::collections::{BTreeMap, BTreeSet};

use spool::policy::Document;
use tempfile::TempDir;
use toml::{Table, Value};

use super::{tests::NOW, *};
use crate::manual::CONFIGURATION;

/// A key that nothing has, so that the complaint names those that there are.
const UNKNOWN: &str = "no_such_key";

/// What the sample of the node file says otherwise than by default, as an example.
const EXAMPLES: [(&str, &str); 2] = [("[cluster]", "bootstrap"), ("[policy]", "initial")];

/// A password that is well kept.
const HORSE_LINE: &str = "password = \"$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$rAjuexKlLdAHLvqk7TeeiWZjW4OPoRGwldJXdHbTuKI\"";

/// A key as the document has it.
#[derive(Debug)]
struct Key {
    /// `[smtp]` or `[[domain]]`.
    table: String,
    name: String,
    default: Option<String>,
    is_required: bool,
    takes_effect: String,
}

/// A file as lines of its tables, in order.
type Lines = Vec<(String, String)>;

/// One of the two files: what must stand in it at least, and how it is read.
struct Sort {
    heading: &'static str,
    least: &'static [(&'static str, &'static str)],
    effects: &'static [&'static str],
    read: fn(&str) -> Result<String, String>,
}

const NODE_FILE: Sort = Sort {
    heading: "\n## The node file\n",
    least: &[
        ("[node]", "id = 1"),
        ("[node]", "hostname = \"mx1.example.net\""),
        ("[cluster]", ""),
        ("[[cluster.members]]", "id = 1"),
        ("[[cluster.members]]", "address = \"127.0.0.1:7400\""),
        ("[http]", ""),
        ("[[http.user]]", "name = \"ann\""),
        ("[[http.user]]", HORSE_LINE),
        ("[[http.user]]", "roles = [\"viewer\"]"),
    ],
    effects: &["restart", "reload", "first start"],
    read: read_node_file,
};

const POLICY: Sort = Sort {
    heading: "\n## The policy\n",
    least: &[("[[domain]]", "name = \"example.com\"")],
    effects: &["apply"],
    read: read_policy,
};

/// What a node file comes to, or the complaint.
fn read_node_file(text: &str) -> Result<String, String> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("layover.toml");
    fs::write(&file, text).unwrap();
    let config = Config::read(&file, NOW).map_err(|error| error.to_string())?;
    // It has the text itself.
    let source = None;
    Ok(format!("{:?}", Config { source, ..config }))
}

fn read_policy(text: &str) -> Result<String, String> {
    let policy = Document::of_text(text.to_owned()).policy();
    let complaints = |errors: spool::policy::PolicyErrors| {
        let errors = errors.iter().map(|error| error.message.clone());
        errors.collect::<Vec<_>>().join("\n")
    };
    policy
        .map(|policy| format!("{policy:?}"))
        .map_err(complaints)
}

impl Sort {
    fn least(&self) -> Lines {
        let lines = self.least.iter();
        lines
            .map(|(table, line)| ((*table).to_owned(), (*line).to_owned()))
            .collect()
    }

    /// The document's keys, in order.
    fn keys(&self) -> Vec<Key> {
        let (_, part) = CONFIGURATION.split_once(self.heading).unwrap();
        let part = part.split("\n## ").next().unwrap();
        let mut table = String::new();
        let mut keys = Vec::new();
        // A key may go on in further lines.
        for line in part.replace("\n  ", " ").lines() {
            if let Some(heading) = line.strip_prefix("### `") {
                heading.trim_end_matches('`').clone_into(&mut table);
            } else if let Some(item) = line.strip_prefix("- `") {
                keys.push(key(&table, item));
            }
        }
        keys
    }

    fn names_by_table(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for key in self.keys() {
            assert!(
                tables
                    .entry(key.table.clone())
                    .or_default()
                    .insert(key.name.clone()),
                "twice: {key:?}"
            );
        }
        tables
    }

    /// The keys that a table may have, as the complaint about another one tells; the tables for "".
    fn names_taken(&self, table: &str) -> BTreeSet<String> {
        let mut lines = self.least();
        let unknown = format!("{UNKNOWN} = 1");
        let place = lines.iter().position(|(of, _)| of == table);
        let text = match place {
            Some(place) => {
                lines.insert(place, (table.to_owned(), unknown));
                text(&lines)
            }
            None if table.is_empty() => format!("{unknown}\n{}", text(&lines)),
            None => {
                lines.push((table.to_owned(), unknown));
                text(&lines)
            }
        };
        let complaint = (self.read)(&text).unwrap_err();
        let (_, names) = complaint
            .split_once(&format!("`{UNKNOWN}`, expected "))
            .unwrap_or_else(|| panic!("{table}: {complaint}"));
        let names = names.lines().next().unwrap().split('`').skip(1).step_by(2);
        names.map(str::to_owned).collect()
    }
}

/// `` max_recipients = 1000` (number; restart): of one message ``.
fn key(table: &str, item: &str) -> Key {
    let (snippet, rest) = item.split_once("` (").unwrap_or_else(|| panic!("{item}"));
    let (brackets, meaning) = rest.split_once("): ").unwrap_or_else(|| panic!("{item}"));
    let (kind, effect) = brackets
        .rsplit_once("; ")
        .unwrap_or_else(|| panic!("{item}"));
    assert!(!meaning.is_empty(), "{item}");
    let (name, default) = match snippet.split_once(" = ") {
        Some((name, default)) => (name, Some(default.to_owned())),
        None => (snippet, None),
    };
    Key {
        table: table.to_owned(),
        name: name.to_owned(),
        default,
        is_required: kind.ends_with(", required"),
        takes_effect: effect.to_owned(),
    }
}

/// Each table's lines under one heading.
fn text(lines: &[(String, String)]) -> String {
    let mut text = String::new();
    let mut last = "";
    for (table, line) in lines {
        if table != last {
            text.push_str(&format!("{table}\n"));
            last = table;
        }
        text.push_str(&format!("{line}\n"));
    }
    text
}

#[test]
fn the_reference_has_the_keys_that_are_taken() {
    for sort in [NODE_FILE, POLICY] {
        let told = sort.names_by_table();
        let tables: BTreeSet<String> = told
            .keys()
            .map(|table| table.trim_matches(['[', ']']).to_owned())
            .filter(|table| !table.contains('.'))
            .collect();
        assert_eq!(
            tables,
            sort.names_taken(""),
            "docs/configuration.md on the left"
        );
        for (table, names) in told {
            assert_eq!(
                names,
                sort.names_taken(&table),
                "{table}, docs/configuration.md on the left"
            );
        }
    }
}

#[test]
fn the_reference_has_the_defaults_of_the_program() {
    for sort in [NODE_FILE, POLICY] {
        for key in sort.keys() {
            let Some(default) = &key.default else {
                continue;
            };
            let mut least = sort.least();
            // An empty list beside one that is not would be a list too many.
            if key.name == "members" {
                least.retain(|(table, _)| table != "[[cluster.members]]");
                let joins = "join = \"127.0.0.1:7500\"".to_owned();
                let cluster = least.iter().position(|(table, _)| table == "[cluster]");
                least.insert(cluster.unwrap(), ("[cluster]".to_owned(), joins));
            } else if key.name == "user" {
                least.retain(|(table, _)| table != "[[http.user]]");
            }
            let without = (sort.read)(&text(&least)).unwrap();
            let place = least.iter().rposition(|(table, _)| *table == key.table);
            let line = (key.table.clone(), format!("{} = {default}", key.name));
            least.insert(place.map_or(least.len(), |place| place + 1), line);
            let with =
                (sort.read)(&text(&least)).unwrap_or_else(|error| panic!("{error}: {key:?}"));
            assert_eq!(with, without, "{key:?}");
        }
    }
}

#[test]
fn what_is_required_is_called_so() {
    for sort in [NODE_FILE, POLICY] {
        let least = sort.least();
        let written = |key: &Key| {
            let start = format!("{} = ", key.name);
            let is_it =
                |(table, line): &(String, String)| *table == key.table && line.starts_with(&start);
            least.iter().position(is_it)
        };
        for key in sort.keys() {
            assert!(sort.effects.contains(&key.takes_effect.as_str()), "{key:?}");
            let place = written(&key);
            assert_eq!(place.is_some(), key.is_required, "{key:?}");
            if let Some(place) = place {
                let mut lines = least.clone();
                lines.remove(place);
                assert!((sort.read)(&text(&lines)).is_err(), "{key:?}");
            }
        }
    }
}

#[test]
fn the_sample_files_show_every_key_with_its_default() {
    let node_file = include_str!("../../../../deploy/layover.toml");
    let policy = include_str!("../../../../deploy/policy.toml");
    for (sort, sample) in [(NODE_FILE, node_file), (POLICY, policy)] {
        let tables: Table = toml::from_str(sample).unwrap();
        let mut shown: BTreeSet<(String, String)> = BTreeSet::new();
        for (name, value) in &tables {
            let (heading, table) = match value {
                Value::Array(all) => (format!("[[{name}]]"), all[0].as_table().unwrap()),
                one => (format!("[{name}]"), one.as_table().unwrap()),
            };
            shown.extend(table.keys().map(|key| (heading.clone(), key.clone())));
        }
        for key in sort.keys() {
            let place = (key.table.clone(), key.name.clone());
            // Shown as comments, and as one line of `members`.
            let (table, name) = (key.table.as_str(), key.name.as_str());
            if matches!(
                table,
                "[[cluster.members]]" | "[[http.user]]" | "[[smtp.certificate]]"
            ) || matches!(name, "advertise" | "user" | "certificate")
            {
                continue;
            }
            assert!(shown.remove(&place), "the sample lacks {key:?}");
            let Some(default) = &key.default else {
                continue;
            };
            let is_example = EXAMPLES.contains(&(key.table.as_str(), key.name.as_str()));
            let default: Table = toml::from_str(&format!("{} = {default}", key.name)).unwrap();
            let table = &tables[key.table.trim_matches(['[', ']'])];
            let table = table.get(0).unwrap_or(table);
            assert_eq!(
                table[&key.name] != default[&key.name],
                is_example,
                "{key:?}"
            );
        }
        assert!(shown.is_empty(), "docs/configuration.md lacks {shown:?}");
    }
}
