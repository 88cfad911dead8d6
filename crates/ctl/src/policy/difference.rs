//! What differs between the policy in force and a file, line by line.

use std::time::Duration;

use api::admin::v1::{PolicyList, PolicyShowResponse};
use similar::TextDiff;

use super::files::Files;

/// The shortest difference of large lists that have little in common is not worth more.
const PATIENCE: Duration = Duration::from_secs(5);

/// Unchanged lines that are shown around changed ones.
const CONTEXT_LINES: usize = 3;

/// A unified difference of the texts and of every list; empty when there is none.
pub(super) fn between(in_force: &PolicyShowResponse, files: &Files) -> String {
    let title = format!("policy {}, in force", in_force.version);
    let mut all = of_texts(&in_force.text, &files.text, &title, &files.name());
    let mut names: Vec<&String> = in_force
        .lists
        .iter()
        .chain(&files.lists)
        .map(|list| &list.name)
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let before = text_of(&in_force.lists, name);
        let after = text_of(&files.lists, name);
        let path = files.path_of(name).display().to_string();
        all.push_str(&of_texts(before, after, &format!("{title}: {name}"), &path));
    }
    all
}

fn text_of<'l>(lists: &'l [PolicyList], name: &str) -> &'l str {
    let list = lists.iter().find(|list| list.name == name);
    list.map_or("", |list| list.text.as_str())
}

fn of_texts(before: &str, after: &str, before_title: &str, after_title: &str) -> String {
    if before == after {
        return String::new();
    }
    TextDiff::configure()
        .timeout(PATIENCE)
        .diff_lines(before, after)
        .unified_diff()
        .context_radius(CONTEXT_LINES)
        .header(before_title, after_title)
        .to_string()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn texts_and_lists_are_compared_line_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        let text = "[[domain]]\nname = \"a.example\"\nrecipients_file = \"users\"\n";
        fs::write(&path, text).unwrap();
        fs::write(folder.path().join("users"), "x@a.example\ny@a.example\n").unwrap();
        let files = Files::read(&path).unwrap();
        let list = |text: &str| PolicyList {
            name: "users".to_owned(),
            text: text.to_owned(),
        };
        let mut in_force = PolicyShowResponse {
            version: 2,
            text: text.to_owned(),
            lists: vec![list("x@a.example\ny@a.example\n")],
            ..PolicyShowResponse::default()
        };
        assert_eq!(between(&in_force, &files), "");

        in_force.lists = vec![list("x@a.example\n")];
        in_force.text = text.replace("a.example", "b.example");
        let said = between(&in_force, &files);
        for line in [
            "--- policy 2, in force",
            "-name = \"b.example\"",
            "+name = \"a.example\"",
            "--- policy 2, in force: users",
            "+y@a.example",
        ] {
            assert!(said.lines().any(|l| l == line), "{line} is not in\n{said}");
        }
    }
}
