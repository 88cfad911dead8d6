//! The policy file, and the files of recipients that it names.

use std::{
    fs,
    path::{Path, PathBuf},
};

use spool::policy::{Document, PolicyError, lists_named};

use super::{ConfigError, ConfigErrors};

/// Reads and checks a policy. Names of files in it count from its own folder.
pub(super) fn read(file: &Path) -> Result<Document, ConfigErrors> {
    let text = fs::read_to_string(file)
        .map_err(|error| ConfigErrors(vec![ConfigError::unreadable(file, &error)]))?;
    let mut document = Document::of_text(text);
    let mut unreadable = Vec::new();
    for list in lists_named(&document.text) {
        match fs::read_to_string(path_of(file, &list.name)) {
            Ok(text) => drop(document.lists.insert(list.name, text)),
            Err(error) => unreadable.push(ConfigError {
                file: file.to_owned(),
                line: list.line,
                column: list.column,
                message: format!(
                    "reading \"{}\" failed: {error}; it must exist and be readable",
                    list.name.escape_debug()
                ),
            }),
        }
    }
    if !unreadable.is_empty() {
        return Err(ConfigErrors(unreadable));
    }
    match document.new_policy() {
        Ok(_) => Ok(document),
        Err(errors) => {
            let errors = errors.into_iter().map(|error| located(file, error));
            Err(ConfigErrors(errors.collect()))
        }
    }
}

fn path_of(file: &Path, name: &str) -> PathBuf {
    file.parent().unwrap_or_else(|| Path::new("")).join(name)
}

fn located(file: &Path, error: PolicyError) -> ConfigError {
    let file = match &error.list {
        Some(name) => path_of(file, name),
        None => file.to_owned(),
    };
    ConfigError {
        file,
        line: error.line,
        column: error.column,
        message: error.message,
    }
}
