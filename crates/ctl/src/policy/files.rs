//! A policy file, and the files of recipients that it names.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use api::admin::v1::{PolicyList, PolicyMistake};
use toml::de::DeTable;

use super::Mistakes;

/// What a policy is made of.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    pub(super) text: String,
    pub(super) lists: Vec<PolicyList>,
}

impl Files {
    /// Reads them. What the text says is the node's to judge; here it only matters which files it names.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("reading {} failed", path.display()))?;
        let mut files = Self {
            path: path.to_owned(),
            text,
            lists: Vec::new(),
        };
        let mut unreadable = Vec::new();
        for (name, offset) in named(&files.text) {
            if files.lists.iter().any(|list| list.name == name) {
                continue;
            }
            match fs::read_to_string(files.path_of(&name)) {
                Ok(text) => files.lists.push(PolicyList { name, text }),
                Err(error) => {
                    let (line, column) = place(&files.text, offset);
                    unreadable.push(format!(
                        "{}:{line}:{column}: reading \"{name}\" failed: {error}; it must exist and be readable",
                        path.display()
                    ));
                }
            }
        }
        if unreadable.is_empty() {
            Ok(files)
        } else {
            Err(Mistakes(unreadable).into())
        }
    }

    /// Where a list lies: names count from the policy file's folder.
    pub(super) fn path_of(&self, list: &str) -> PathBuf {
        self.path
            .parent()
            .unwrap_or_else(|| Path::new(""))
            .join(list)
    }

    /// The policy file's name, as it was given.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// A mistake with the file that it is in.
    pub(super) fn located(&self, mistake: &PolicyMistake) -> String {
        let file = match &mistake.list {
            Some(list) => self.path_of(list).display().to_string(),
            None => self.name(),
        };
        let PolicyMistake {
            line,
            column,
            message,
            ..
        } = mistake;
        format!("{file}:{line}:{column}: {message}")
    }
}

/// The files that a policy's text names, with where in it; none where it is no TOML.
fn named(text: &str) -> Vec<(String, usize)> {
    let Ok(root) = DeTable::parse(text) else {
        return Vec::new();
    };
    let domains = root.get_ref().get("domain");
    let domains = domains.and_then(|domains| domains.get_ref().as_array());
    let mut names = Vec::new();
    for domain in domains.into_iter().flat_map(|domains| domains.iter()) {
        let table = domain.get_ref().as_table();
        let file = table.and_then(|table| table.get("recipients_file"));
        if let Some(file) = file
            && let Some(name) = file.get_ref().as_str()
            && !name.is_empty()
        {
            names.push((name.to_owned(), file.span().start));
        }
    }
    names
}

/// Line and column, counted from 1, of an offset in a text.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[[domain]]\nname = \"a.example\"\nrecipients_file = \"users/a\"\n\
        [[domain]]\nname = 5\nrecipients_file = \"\"\n\
        [[domain]]\nrecipients_file = \"users/a\"\n";

    #[test]
    fn the_files_that_a_policy_names_are_read_from_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        fs::write(&path, TEXT).unwrap();
        let said = Files::read(&path).unwrap_err().to_string();
        let expected = format!("{}:3:19: reading \"users/a\" failed: ", path.display());
        assert!(said.starts_with(&expected), "{said}");
        assert_eq!(said.lines().count(), 2, "{said}");

        fs::create_dir(folder.path().join("users")).unwrap();
        fs::write(folder.path().join("users/a"), "x@a.example\n").unwrap();
        let files = Files::read(&path).unwrap();
        assert_eq!(files.lists.len(), 1);
        assert_eq!(files.lists[0].text, "x@a.example\n");
        let mistake = PolicyMistake {
            list: Some("users/a".to_owned()),
            line: 1,
            column: 2,
            message: "no".to_owned(),
        };
        let expected = format!("{}/users/a:1:2: no", folder.path().display());
        assert_eq!(files.located(&mistake), expected);
    }

    #[test]
    fn what_is_no_toml_names_no_file() {
        assert!(named("[[domain]\nrecipients_file = \"x\"").is_empty());
        assert!(named("domain = 5").is_empty());
        assert!(named("[domain]\nrecipients_file = \"x\"").is_empty());
    }
}
