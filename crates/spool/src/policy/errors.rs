//! What is wrong with a policy, and where.

use core::{fmt, ops::Range, slice};
use std::vec;

use super::{line_and_column, one_line};

/// So many mistakes are told at most: whoever has mended these checks again.
const TOLD_MAX: usize = 100;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{line}:{column}: {message}", prefix(.list.as_deref()))]
pub struct PolicyError {
    /// The list that it stands in, as the policy names it; `None` for the policy's own text.
    pub list: Option<String>,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What is wrong and what would be right.
    pub message: String,
}

fn prefix(list: Option<&str>) -> String {
    list.map_or_else(String::new, |name| format!("{name}:"))
}

/// All that is wrong with a policy, in the order of its text: one mistake at least.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PolicyErrors(Vec<PolicyError>);

impl PolicyErrors {
    /// Each mistake.
    pub fn iter(&self) -> slice::Iter<'_, PolicyError> {
        self.0.iter()
    }
}

impl fmt::Display for PolicyErrors {
    /// One line for each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl<'e> IntoIterator for &'e PolicyErrors {
    type Item = &'e PolicyError;
    type IntoIter = slice::Iter<'e, PolicyError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for PolicyErrors {
    type Item = PolicyError;
    type IntoIter = vec::IntoIter<PolicyError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// What is wrong, and the octets of the policy's text it is about.
pub(super) struct Fault {
    span: Range<usize>,
    message: String,
}

impl Fault {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
        }
    }
}

/// What has been found so far.
pub(super) struct Faults<'t> {
    text: &'t str,
    found: Vec<PolicyError>,
}

impl<'t> Faults<'t> {
    /// Nothing yet, in this text of a policy.
    pub(super) const fn new(text: &'t str) -> Self {
        Self {
            text,
            found: Vec::new(),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn add(&mut self, fault: &Fault) {
        let (line, column) = line_and_column(self.text, fault.span.start);
        self.found.push(PolicyError {
            list: None,
            line,
            column,
            message: one_line(&fault.message),
        });
    }

    pub(super) fn add_in_list(&mut self, error: PolicyError) {
        self.found.push(error);
    }

    /// What was looked at, unless it is wrong: then that is noted, and the next can be looked at.
    pub(super) fn note<T>(&mut self, looked_at: Result<T, Fault>) -> Option<T> {
        looked_at.map_err(|fault| self.add(&fault)).ok()
    }

    /// Passes the result on if nothing was found.
    pub(super) fn unless_any<T>(mut self, result: Option<T>) -> Result<T, PolicyErrors> {
        match result {
            Some(result) if self.found.is_empty() => Ok(result),
            _ => {
                let place = |error: &PolicyError| (error.list.clone(), error.line, error.column);
                self.found.sort_by_cached_key(place);
                self.found.truncate(TOLD_MAX);
                Err(PolicyErrors(self.found))
            }
        }
    }
}
