//! Words of primaries, as far as they are kept.

/// Words of a primary are kept up to this length; RFC 5321 section 4.5.3.1.5 lets a reply line have 512
/// octets.
const WORDS_CHARS_MAX: usize = 512;

pub(crate) fn bounded(words: String) -> String {
    match words.char_indices().nth(WORDS_CHARS_MAX) {
        Some((end, _)) => words[..end].to_owned(),
        None => words,
    }
}
