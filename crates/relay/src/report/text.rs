//! What strangers have said, as part of a line.

use super::limits::TEXT_MAX;

/// What the lines of a report may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Ascii,
    /// The forms of RFC 6533.
    Utf8,
}

impl Form {
    pub(super) const fn charset(self) -> &'static str {
        match self {
            Self::Ascii => "us-ascii",
            Self::Utf8 => "utf-8",
        }
    }
}

/// A text that ends no line and hides nothing: control characters, and what the form can not hold, are question
/// marks, and white space is a space. What is too long is cut.
pub(super) fn plain(text: &str, form: Form) -> String {
    let text = text
        .get(..text.floor_char_boundary(TEXT_MAX))
        .unwrap_or_default();
    let shown = |c: char| match c {
        ' '..='~' => c,
        '\t' | '\r' | '\n' => ' ',
        _ if c.is_ascii() || c.is_control() || form == Form::Ascii => '?',
        // They end a line for some readers.
        '\u{2028}' | '\u{2029}' => ' ',
        _ => c,
    };
    text.chars().map(shown).collect()
}
