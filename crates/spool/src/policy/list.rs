//! The addresses of `recipients = "list"`.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use smtp::Mailbox;

use super::{
    Document, PolicyError,
    errors::{Fault, Faults},
    name, one_line,
};

/// Addresses in all lists of a policy together: enough for a university, and some ten megabytes of
/// memory on every node.
pub const LISTED_MAX: usize = 100_000;

/// Known addresses, in the form in which they are compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List(Arc<BTreeSet<String>>);

impl List {
    /// Whether an address is in it: case does not count, nor whether the local part is quoted
    /// (RFC 5321 section 4.1.2), nor in which script the domain is written.
    #[must_use]
    pub fn has(&self, mailbox: &Mailbox) -> bool {
        self.0.contains(&normal(mailbox))
    }

    /// How many addresses it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn normal(mailbox: &Mailbox) -> String {
    let local_part = &mailbox.local_part;
    let quoted = local_part
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let mut plain = String::with_capacity(local_part.len() + 1 + mailbox.domain.len());
    match quoted {
        None => plain.push_str(local_part),
        Some(quoted) => {
            let mut letters = quoted.chars();
            while let Some(letter) = letters.next() {
                let escaped = (letter == '\\').then(|| letters.next()).flatten();
                plain.push(escaped.unwrap_or(letter));
            }
        }
    }
    plain.push('@');
    plain.push_str(&domain_of(mailbox));
    plain.to_lowercase()
}

/// Its domain in ASCII, if there can be such a domain.
fn domain_of(mailbox: &Mailbox) -> Cow<'_, str> {
    name::in_ascii(&mailbox.domain).unwrap_or(Cow::Borrowed(&mailbox.domain))
}

/// One line of a list.
struct Line {
    line: usize,
    column: usize,
    normal: String,
}

/// The lines of a list whose addresses are in one domain.
#[derive(Default)]
struct Group {
    lines: Vec<Line>,
    /// Whether a domain of the policy has them, or might if it were understood.
    taken: bool,
}

/// A list, by the domains of its addresses.
type Groups = BTreeMap<String, Group>;

/// The lists of a document, each read once.
pub(super) struct Lists<'d> {
    document: &'d Document,
    /// Whether a list must have an address.
    must_name: bool,
    read: BTreeMap<&'d str, Groups>,
    addresses: usize,
}

impl<'d> Lists<'d> {
    pub(super) const fn of(document: &'d Document) -> Self {
        Self {
            document,
            must_name: false,
            read: BTreeMap::new(),
            addresses: 0,
        }
    }

    /// Those of a document that is to be put in force: each must have an address.
    pub(super) fn of_new(document: &'d Document) -> Self {
        Self {
            must_name: true,
            ..Self::of(document)
        }
    }

    /// The addresses of a file that a domain covers; all of them count as covered when the domain
    /// itself is wrong.
    pub(super) fn take(
        &mut self,
        file: &toml::Spanned<String>,
        domain: Option<&str>,
        faults: &mut Faults<'_>,
    ) -> Option<List> {
        let Some((name, text)) = self.document.lists.get_key_value(file.get_ref()) else {
            let message = format!(
                "recipients_file = \"{}\" was not given along with the policy",
                file.get_ref().escape_debug()
            );
            faults.add(&Fault::new(file.span(), message));
            return None;
        };
        if self.must_name && names_nobody(text) {
            faults.add(&Fault::new(file.span(), nobody_named(name, domain)));
        }
        if !self.read.contains_key(name.as_str()) {
            let groups = self.read(name, text, faults);
            self.read.insert(name, groups);
        }
        let mut taken = BTreeSet::new();
        for (of, group) in self.read.get_mut(name.as_str()).into_iter().flatten() {
            if domain.is_none_or(|domain| name::covers(domain, of)) {
                group.taken = true;
                taken.extend(group.lines.iter().map(|line| line.normal.clone()));
            }
        }
        Some(List(Arc::new(taken)))
    }

    fn read(&mut self, name: &str, text: &str, faults: &mut Faults<'_>) -> Groups {
        let mut groups = Groups::new();
        for (line, (column, address)) in (1..).zip(text.lines().map(address_in)) {
            if address.is_empty() {
                continue;
            }
            self.addresses += 1;
            if self.addresses > LISTED_MAX {
                let message = format!(
                    "there are more than {LISTED_MAX} addresses in all; use recipients = \"any\" where so \
                     many are known"
                );
                faults.add_in_list(wrong(name, line, column, &message));
                break;
            }
            match address.parse::<Mailbox>() {
                Ok(mailbox) => {
                    let normal = normal(&mailbox);
                    let group = groups
                        .entry(domain_of(&mailbox).to_lowercase())
                        .or_default();
                    group.lines.push(Line {
                        line,
                        column,
                        normal,
                    });
                }
                Err(error) => {
                    let message = format!(
                        "\"{}\" is no recipient: {error}; write one such as user@example.com",
                        address.escape_debug()
                    );
                    faults.add_in_list(wrong(name, line, column, &message));
                }
            }
        }
        groups
    }

    /// Notes what no domain has taken: it would never be accepted.
    pub(super) fn check_all_taken(&self, faults: &mut Faults<'_>) {
        for (name, groups) in &self.read {
            let left = groups.values().filter(|group| !group.taken);
            for line in left.flat_map(|group| &group.lines) {
                let message = format!(
                    "{} is in none of the domains that name this file; correct it or leave it out",
                    line.normal
                );
                faults.add_in_list(wrong(name, line.line, line.column, &message));
            }
        }
    }
}

fn names_nobody(text: &str) -> bool {
    text.lines().all(|line| address_in(line).1.is_empty())
}

fn nobody_named(file: &str, domain: Option<&str>) -> String {
    let domain = domain.unwrap_or("the domain");
    format!(
        "recipients_file = \"{}\" has no address in it, and everybody of {domain} but postmaster would be refused; \
         write its recipients there, postmaster alone if he is the only one, or recipients = \"any\" here",
        file.escape_debug()
    )
}

fn wrong(name: &str, line: usize, column: usize, message: &str) -> PolicyError {
    PolicyError {
        list: Some(name.to_owned()),
        line,
        column,
        message: one_line(message),
    }
}

/// The address in a line and its column, without what is around it; empty when there is none. A
/// comment begins with `#` at the beginning of the line or behind a space.
fn address_in(line: &str) -> (usize, &str) {
    let address = line.trim_start();
    let column = 1 + line.chars().count() - address.chars().count();
    let mut end = address.len();
    let mut before = ' ';
    for (place, letter) in address.char_indices() {
        if letter == '#' && before.is_whitespace() {
            end = place;
            break;
        }
        before = letter;
    }
    (column, address.get(..end).unwrap_or_default().trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_an_address_and_perhaps_a_comment() {
        for (line, expected) in [
            ("a@example.com", (1, "a@example.com")),
            ("  a@example.com\t", (3, "a@example.com")),
            ("a@example.com # Anna", (1, "a@example.com")),
            ("a#b@example.com", (1, "a#b@example.com")),
            ("# nobody", (1, "")),
            ("   ", (4, "")),
            ("", (1, "")),
        ] {
            assert_eq!(address_in(line), expected, "{line:?}");
        }
    }

    #[test]
    fn addresses_are_compared_without_case_and_quotes() {
        let of = |local_part: &str| {
            normal(&Mailbox {
                local_part: local_part.to_owned(),
                domain: "Example.COM".to_owned(),
            })
        };
        assert_eq!(of("Anna"), "anna@example.com");
        assert_eq!(of("\"Anna\""), "anna@example.com");
        assert_eq!(of("\"a\\ b\\\"\""), "a b\"@example.com");
        assert_eq!(of("anna+tag"), "anna+tag@example.com");
    }
}
