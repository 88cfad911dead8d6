//! A policy as an operator wrote it.

use spool::policy::{DEFAULT_SMTP_PORT, Document, PolicyError, host_port, lists_named};

/// A policy is understood, or each mistake is told with its place. The input is the policy's text, and
/// after a NUL each the names and the texts of lists.
pub fn policy_file(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let mut parts = text.split('\0').map(str::to_owned);
    let mut document = Document::of_text(parts.next().unwrap_or_default());
    while let (Some(name), Some(list)) = (parts.next(), parts.next()) {
        document.lists.insert(name, list);
    }
    is_understood(&document);
}

pub(crate) fn is_understood(document: &Document) {
    for list in lists_named(&document.text) {
        stands_in(&document.text, list.line, list.column);
    }
    match document.policy() {
        Ok(policy) => {
            assert!(!policy.domains.is_empty());
            for domain in &policy.domains {
                assert_eq!(policy.domain(&domain.name), Some(domain));
                // None at all means that the DNS is asked.
                for primary in &domain.primary {
                    assert!(host_port(primary, DEFAULT_SMTP_PORT).is_ok(), "{primary}");
                }
            }
        }
        Err(errors) => {
            assert!(errors.iter().next().is_some());
            errors.iter().for_each(|error| is_placed(document, error));
        }
    }
}

fn is_placed(document: &Document, error: &PolicyError) {
    let text = match &error.list {
        None => &document.text,
        Some(name) => &document.lists[name],
    };
    stands_in(text, error.line, error.column);
    assert!(!error.message.is_empty());
    assert!(!error.to_string().contains('\n'), "{error}");
}

/// The end of the text counts as a place in it.
fn stands_in(text: &str, line: usize, column: usize) {
    let written = text.split('\n').nth(line - 1);
    let columns = written.map(|line| line.chars().count() + 1);
    assert!(
        columns.is_some_and(|columns| (1..=columns).contains(&column)),
        "{line}:{column}"
    );
}
