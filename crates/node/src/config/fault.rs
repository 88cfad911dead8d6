//! What is wrong in a node file, and where.

use toml::Spanned;

/// What is wrong, and the octet of the file it begins at.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn at<T>(value: &Spanned<T>, message: impl Into<String>) -> Self {
        Self {
            offset: value.span().start,
            message: message.into(),
        }
    }
}
