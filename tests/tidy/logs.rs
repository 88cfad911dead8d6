//! Holds log lines to `docs/log.md`, and keeps their fields apart from what every line has.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use crate::{complain, files, read, root};

/// What calls a log line into being.
const MACROS: [&str; 5] = ["error!(", "warn!(", "info!(", "debug!(", "trace!("];

/// What every line has with `--log-format json`. A field of such a name would stand there twice, and most
/// readers know one of the two only.
const RESERVED: [&str; 6] = ["timestamp", "level", "message", "target", "span", "spans"];

/// A log line as it stands in the code.
#[derive(Debug)]
struct Line {
    place: String,
    level: String,
    target: Option<String>,
    fields: Vec<String>,
    event: String,
}

/// Every log line of the code, that of tests not counted.
fn lines() -> Vec<Line> {
    let mut found = Vec::new();
    for path in files("rs") {
        if !path.starts_with(root().join("crates")) {
            continue;
        }
        let text = read(&path);
        let code = text.split("\nmod tests {").next().unwrap_or_default();
        for name in MACROS {
            for (at, _) in code.match_indices(name) {
                // `tracing::info!` or `info!`, not `some_info!`.
                let before = code[..at].chars().next_back();
                let is_whole = before.is_none_or(|c| !c.is_alphanumeric() && c != '_');
                if is_whole {
                    let place = format!("{}: {name}", path.display());
                    let level = name.trim_end_matches("!(").to_uppercase();
                    found.push(line(place, level, &parts(&code[at + name.len()..])));
                }
            }
        }
    }
    assert!(found.len() > 100, "{} log lines are found", found.len());
    found
}

/// What stands between the commas of a call, up to its closing parenthesis.
fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut depth, mut in_text, mut escaped) = (0, false, false);
    for letter in text.chars() {
        match letter {
            '"' if !escaped => in_text = !in_text,
            '(' | '[' | '{' if !in_text => depth += 1,
            ')' if !in_text && depth == 0 => break,
            ')' | ']' | '}' if !in_text => depth -= 1,
            ',' if !in_text && depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        escaped = letter == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    let parts = parts.into_iter().map(|part| part.trim().to_owned());
    parts.filter(|part| !part.is_empty()).collect()
}

fn line(place: String, level: String, parts: &[String]) -> Line {
    let quoted = |part: &str| {
        let text = part.strip_prefix('"')?.strip_suffix('"')?;
        Some(text.to_owned())
    };
    let mut line = Line {
        place,
        level,
        target: None,
        fields: Vec::new(),
        event: String::new(),
    };
    for part in parts {
        if let Some(target) = part.strip_prefix("target: ") {
            line.target = quoted(target);
        } else if let Some(event) = quoted(part) {
            line.event = event;
            // What follows is only put into the event.
            break;
        } else {
            let name = part.split(" = ").next().unwrap_or_default();
            line.fields
                .push(name.trim_start_matches(['%', '?']).to_owned());
        }
    }
    line
}

#[test]
fn no_field_has_the_name_of_what_every_line_has() {
    let culprits: Vec<String> = lines()
        .iter()
        .filter(|line| {
            line.fields
                .iter()
                .any(|field| RESERVED.contains(&field.as_str()))
        })
        .map(|line| format!("{} {:?}: {:?}", line.place, line.event, line.fields))
        .collect();
    complain(
        "in JSON these would stand twice in a line; the id of a message is `id`",
        &culprits,
    );
}

/// `` | `event` | LEVEL | `field`, `field` | words | ``.
#[test]
fn every_line_about_a_message_is_documented() {
    let mut events: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    for line in lines() {
        if line.target.as_deref() == Some("mail") {
            let (levels, fields) = events.entry(line.event).or_default();
            levels.insert(line.level);
            fields.extend(line.fields);
        }
    }
    let page = read(&root().join("docs/log.md"));
    let rows = |from: &str| {
        let (_, table) = page.split_once(from).expect("docs/log.md has this heading");
        let table = table.split("\n## ").next().unwrap_or_default();
        let rows = table.lines().filter(|line| line.starts_with("| `"));
        rows.map(str::to_owned).collect::<Vec<_>>()
    };
    let quoted = |names: &BTreeSet<String>| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    };
    let mut missing = Vec::new();
    let told = rows("\n## What happens to a message\n");
    for (event, (levels, fields)) in &events {
        let levels: Vec<&str> = levels.iter().map(String::as_str).collect();
        let mut row = String::new();
        write!(
            row,
            "| `{event}` | {} | {} | ",
            levels.join(", "),
            quoted(fields)
        )
        .unwrap();
        if !told.iter().any(|told| told.starts_with(&row)) {
            missing.push(row);
        }
    }
    complain("docs/log.md lacks these rows", &missing);
    assert_eq!(
        told.len(),
        events.len(),
        "docs/log.md has events that the code has not"
    );

    let fields: BTreeSet<String> = events
        .into_values()
        .flat_map(|(_, fields)| fields)
        .collect();
    let told: BTreeSet<String> = rows("\n## Their fields\n")
        .iter()
        .filter_map(|row| row.split('`').nth(1).map(str::to_owned))
        .collect();
    assert_eq!(told, fields, "the fields of docs/log.md on the left");
}
