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
    let words = of_another_kind(message).unwrap_or_else(|| {
        message
            .replace("unknown field", "unknown key")
            .replace("missing field", "missing key")
            .replace("duplicate field", "duplicate key")
    });
    words
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// What serde says of a value that is of another kind than its key wants, with how one is written in the place of the
/// name that the kind has in the code.
fn of_another_kind(message: &str) -> Option<String> {
    let is_one = ["invalid type: ", "invalid value: "]
        .iter()
        .any(|beginning| message.starts_with(beginning));
    let (given, wanted) = message.rsplit_once(", expected ").filter(|_| is_one)?;
    let right = match wanted {
        "a string" => {
            "text in quotes, such as \"15s\" for a duration, \"50MiB\" for a size or \"127.0.0.1:7401\" for an address"
        }
        "a boolean" => "true or false, without quotes",
        "i64" | "u64" => "a whole number of 0 or more, without quotes, such as 20",
        "u32" => "a whole number from 0 to 4294967295, without quotes, such as 20",
        "a sequence" => "a list in square brackets, such as [\"10.0.0.1\", \"10.0.0.2\"]",
        table if table.starts_with("struct ") => "a table, such as { key = \"value\" }",
        _ => return None,
    };
    Some(format!("{given}; write {right}"))
}
