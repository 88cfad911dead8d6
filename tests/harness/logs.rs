//! What a daemon wrote to standard error, and whether any of it should worry us.

use std::{fs, path::Path};

/// What calls for a person at whatever level.
const CALLS: [&str; 2] = ["panicked at", "check its disk"];

/// The lines in which a program says that a person must look, less those that contain one of
/// `allowed`.
#[must_use]
pub fn alarming(file: &Path, allowed: &[String]) -> Vec<String> {
    let bytes = fs::read(file).unwrap_or_default();
    String::from_utf8_lossy(&bytes)
        .lines()
        .filter(|line| is_error(line) || CALLS.iter().any(|call| line.contains(call)))
        .filter(|line| !allowed.iter().any(|phrase| line.contains(phrase.as_str())))
        .map(str::to_owned)
        .collect()
}

/// The last lines of a log, to be shown beside a failure.
#[must_use]
pub fn tail(file: &Path, lines: usize) -> String {
    let bytes = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..)
        .unwrap_or_default()
        .join("\n")
}

/// The last line that an operator is shown. The lines of consensus itself are kept from him, and it may
/// write some while it is taken down.
#[must_use]
pub fn last_words(log: &str) -> &str {
    let shown = |line: &&str| !line.contains(" openraft::");
    log.lines().rev().find(shown).unwrap_or_default()
}

/// The level stands in front, behind the time.
fn is_error(line: &str) -> bool {
    line.split_whitespace().take(2).any(|word| word == "ERROR")
}

#[cfg(test)]
mod tests {
    use super::is_error;

    #[test]
    fn the_word_in_a_field_is_no_alarm() {
        assert!(is_error("2026-01-01T00:00:00Z ERROR node: disk is full"));
        assert!(!is_error(
            "2026-01-01T00:00:00Z  INFO mail: deferred reply=\"451 ERROR\""
        ));
    }
}
