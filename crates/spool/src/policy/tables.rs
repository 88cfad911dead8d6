//! Reads a text into its tables, past the keys that make no sense, so that one look finds all mistakes.

use core::{mem, ops::Range};

use serde::de::DeserializeOwned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::errors::{Fault, Faults};

/// Keys that are left out at most. A file with more mistakes is no policy.
const LEFT_OUT_MAX: usize = 100;

/// What of a text makes sense.
pub(super) struct Read<T> {
    pub(super) tables: T,
    /// The places of the tables that lack a key because it was left out.
    pub(super) lacking: Vec<Range<usize>>,
}

/// Reads a text. A key that is unknown, or whose value is of the wrong kind, is noted and left out;
/// `None` when nothing can be made of the text.
pub(super) fn read<T: DeserializeOwned>(text: &str, faults: &mut Faults<'_>) -> Option<Read<T>> {
    let (mut root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            faults.add(&fault(&error));
        }
        return None;
    }
    let whole = root.span();
    let mut lacking: Vec<Range<usize>> = Vec::new();
    for _ in 0..LEFT_OUT_MAX {
        let error = match T::deserialize(Deserializer::from(root.clone())) {
            Ok(tables) => return Some(Read { tables, lacking }),
            Err(error) => error,
        };
        let span = error.span().unwrap_or_default();
        // What lacks a key because that was left out is no mistake of its own.
        let follows = error.message().starts_with("missing field") && lacking.contains(&span);
        if !follows {
            faults.add(&fault(&error));
        }
        lacking.push(leave_out(root.get_mut(), &whole, &span)?);
    }
    None
}

fn fault(error: &toml::de::Error) -> Fault {
    Fault::new(error.span().unwrap_or_default(), error.message())
}

/// Takes what a mistake is about out of a table, or of the tables in it. Returns the place of the
/// table that lacks something now.
fn leave_out(
    table: &mut DeTable<'_>,
    own: &Range<usize>,
    span: &Range<usize>,
) -> Option<Range<usize>> {
    let mut wrong = None;
    for (key, value) in table.iter_mut() {
        let place = value.span();
        let deeper = match value.get_mut() {
            DeValue::Table(inner) if place != *span => leave_out(inner, &place, span),
            DeValue::Array(items) => leave_out_of_array(items, span),
            _ => None,
        };
        if deeper.is_some() {
            return deeper;
        }
        let is_within = place.start <= span.start && span.end <= place.end;
        if key.span() == *span || is_within {
            wrong = Some(key.clone());
            break;
        }
    }
    table.remove(&wrong?);
    Some(own.clone())
}

fn leave_out_of_array(items: &mut DeArray<'_>, span: &Range<usize>) -> Option<Range<usize>> {
    for item in items.iter_mut() {
        let place = item.span();
        if place != *span
            && let DeValue::Table(table) = item.get_mut()
            && let Some(lacking) = leave_out(table, &place, span)
        {
            return Some(lacking);
        }
    }
    let wrong = items
        .iter()
        .position(|item| item.get_ref().is_table() && item.span() == *span)?;
    let all = mem::replace(items, DeArray::new());
    for (number, item) in all.into_iter().enumerate() {
        if number != wrong {
            items.push(item);
        }
    }
    Some(span.clone())
}
