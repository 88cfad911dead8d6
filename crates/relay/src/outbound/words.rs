//! A primary's own words, as far as they are kept and shown.

use smtp::{EnhancedCode, Reply, client};
use spool::Verdict;

use crate::outbound::connection::Connection;
use crate::outbound::limits::WORDS_MAX;

/// Words that are worth keeping.
pub(super) fn shortened(mut words: String) -> String {
    words.truncate(words.floor_char_boundary(WORDS_MAX));
    words
}

/// Words, and which host they are about.
pub(super) fn said(connection: &Connection, words: &str) -> String {
    shortened(format!("{}: {words}", connection.host))
}

/// A verdict in the spool's terms.
pub(super) fn in_words(verdict: client::Verdict) -> Verdict {
    let words = shortened(verdict.reply().to_string());
    match verdict {
        client::Verdict::Delivered(_) => Verdict::Delivered(words),
        client::Verdict::Deferred(_) => Verdict::Deferred(words),
        client::Verdict::Rejected(_)
        | client::Verdict::Refused(_)
        | client::Verdict::Unknown(_) => Verdict::Rejected(words),
    }
}

/// Whether a server puts off because of itself, whoever sends what: its disk is full, or its mail system takes
/// nothing now (RFC 3463 section 3.4).
pub(super) fn is_about_system(reply: &Reply) -> bool {
    let is_of_system = |code: EnhancedCode| code.class == 4 && code.subject == 3;
    matches!(reply.code, 400..=499) && reply.enhanced.is_some_and(is_of_system)
}
