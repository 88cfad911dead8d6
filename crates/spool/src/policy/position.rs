//! Where in a file something stands, and how it is said in one line.

/// Line and column (in characters) of a byte offset in a text, both counted from 1.
///
/// An offset beyond the end counts as the end, one inside a character as its start.
#[must_use]
pub fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset = offset.saturating_sub(1);
    }
    let before = text.get(..offset).unwrap_or_default();
    let line_start = before
        .rfind('\n')
        .map_or(0, |newline| newline.saturating_add(1));
    let column = before.get(line_start..).unwrap_or_default().chars().count();
    (
        before.matches('\n').count().saturating_add(1),
        column.saturating_add(1),
    )
}

/// What a TOML or serde error says, as one line in the words of an operator.
#[must_use]
pub fn one_line(message: &str) -> String {
    let words = message
        .replace("unknown field", "unknown key")
        .replace("missing field", "missing key")
        .replace("duplicate field", "duplicate key");
    words
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
