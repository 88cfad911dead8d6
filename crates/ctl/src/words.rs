//! Moments, spans, sizes and foreign text, as people read them.

use std::time::Duration;

use humansize::{BINARY, format_size};

/// Text that came with the mail, safe for a terminal: control characters are shown, not obeyed.
///
/// Directional marks go the same way, since they make one address look like another.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmful(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// The same for text of several lines, whose line ends and tabs stay.
pub(crate) fn escaped_lines(text: &str) -> impl Iterator<Item = String> {
    text.lines()
        .map(|line| line.split('\t').map(escaped).collect::<Vec<_>>().join("\t"))
}

/// A JSON document that says the same without any such character: JSON itself leaves some as they are.
pub(crate) fn json_escaped(document: &str) -> String {
    let mut safe = String::with_capacity(document.len());
    for c in document.chars() {
        if c != '\n' && is_harmful(c) {
            // All of them are in the first plane, and only inside of strings.
            safe.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Whether a terminal obeys a character, or it makes text look like another.
pub(crate) fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// `3 days 4 hours`: the two largest units of a span.
pub(crate) fn span(millis: u64) -> String {
    const UNITS: [(&str, u64); 4] = [
        ("day", 86_400),
        ("hour", 3_600),
        ("minute", 60),
        ("second", 1),
    ];
    let mut seconds = Duration::from_millis(millis).as_secs();
    let mut words = Vec::new();
    for (unit, length) in UNITS {
        let count = seconds / length;
        seconds %= length;
        if count > 0 {
            words.push(format!(
                "{count} {unit}{}",
                if count == 1 { "" } else { "s" }
            ));
        } else if !words.is_empty() {
            break;
        }
        if words.len() == 2 {
            break;
        }
    }
    if words.is_empty() {
        "0 seconds".to_owned()
    } else {
        words.join(" ")
    }
}

/// `1.5 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    format_size(bytes, BINARY)
}

/// `2026-01-31T12:00:00Z`, or the bare number where that is no moment of the calendar.
pub(crate) fn moment(unix_ms: u64) -> String {
    i64::try_from(unix_ms / 1000)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| format!("{unix_ms} ms"), |moment| moment.to_string())
}

/// `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 message`, `2 messages`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(
            escaped("a\x1b[2Jb\r\n\u{9b}"),
            "a\\u{1b}[2Jb\\u{d}\\u{a}\\u{9b}"
        );
        assert_eq!(escaped("gr\u{fc}n@example.com"), "gr\u{fc}n@example.com");
        assert_eq!(escaped("a\u{202e}b"), "a\\u{202e}b");
        let lines: Vec<String> = escaped_lines("a\r\n\tb\x07\n").collect();
        assert_eq!(lines, ["a", "\tb\\u{7}"]);
    }

    #[test]
    fn a_span_is_told_in_its_two_largest_units() {
        assert_eq!(span(999), "0 seconds");
        assert_eq!(span(61_000), "1 minute 1 second");
        assert_eq!(span(3_600_000), "1 hour");
        assert_eq!(span(3_601_000), "1 hour");
        assert_eq!(span(100 * 3_600_000), "4 days 4 hours");
    }

    #[test]
    fn large_numbers_are_grouped() {
        for (number, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), expected);
        }
    }

    #[test]
    fn a_moment_is_told_in_utc() {
        assert_eq!(moment(0), "1970-01-01T00:00:00Z");
        assert_eq!(moment(1_700_000_000_999), "2023-11-14T22:13:20Z");
        assert_eq!(moment(u64::MAX), "18446744073709551615 ms");
    }
}
