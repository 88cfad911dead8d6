//! A policy as an operator wrote it.

use std::collections::BTreeMap;

use super::{Policy, PolicyErrors, file, list::Lists};

/// Octets of a policy and its lists together: with room to spare below what one entry of the log may
/// hold (6 MiB), as it is one.
pub const DOCUMENT_BYTES_MAX: usize = 4 << 20;

/// What a file costs besides its name and its text.
const EACH: usize = 64;

/// The policy file's text, and what stands in the files that it names: all that a policy is made of,
/// so that every node makes the same of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The policy file's text.
    pub text: String,
    /// The text of each `recipients_file`, by the name that the policy has for it.
    pub lists: BTreeMap<String, String>,
}

impl Document {
    /// A policy that names no file.
    #[must_use]
    pub fn of_text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            lists: BTreeMap::new(),
        }
    }

    /// What it says.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn policy(&self) -> Result<Policy, PolicyErrors> {
        file::parse(self, Lists::of(self))
    }

    /// What it says, for those who want to put it in force. More is wrong with such a one: what clusters may go
    /// by already, as earlier versions took it, must be understood by [`policy`](Self::policy) for ever.
    ///
    /// # Errors
    /// All that is wrong with it, and lists without an address.
    pub fn new_policy(&self) -> Result<Policy, PolicyErrors> {
        file::parse(self, Lists::of_new(self))
    }

    /// How many octets it takes.
    #[must_use]
    pub fn octets(&self) -> usize {
        let lists = self.lists.iter();
        let lists = lists.map(|(name, text)| EACH + name.len() + text.len());
        self.text.len() + lists.sum::<usize>()
    }
}

/// A file that a policy's text names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedList {
    /// As it is written there.
    pub name: String,
    /// Where in the text; counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
}

/// The files that belong to a policy's text, each once. What is wrong with the text is not told here:
/// of what makes no sense nothing is named.
#[must_use]
pub fn lists_named(text: &str) -> Vec<NamedList> {
    file::lists_named(text)
}
