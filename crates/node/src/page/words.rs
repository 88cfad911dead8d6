//! Moments, spans and sizes, as people read them.

use jiff::Timestamp;

const SECOND_MS: u64 = 1000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// A span in its two largest units: `3 d 4 h`, `12 min`, `8 s`.
pub(super) fn span(ms: u64) -> String {
    let units = [
        (DAY_MS, "d"),
        (HOUR_MS, "h"),
        (MINUTE_MS, "min"),
        (SECOND_MS, "s"),
    ];
    let first = units.iter().position(|(unit, _)| ms >= *unit);
    let Some(first) = first else {
        return "0 s".to_owned();
    };
    let mut left = ms;
    let mut parts = Vec::new();
    for (unit, name) in units.iter().skip(first).take(2) {
        let count = left / unit;
        left %= unit;
        if count > 0 {
            parts.push(format!("{count} {name}"));
        }
    }
    parts.join(" ")
}

/// The span since a moment.
pub(super) fn ago(now_ms: u64, then_ms: u64) -> String {
    span(now_ms.saturating_sub(then_ms))
}

/// A moment: `2026-03-01 09:30:00 UTC`.
pub(super) fn moment(ms: u64) -> String {
    told(ms, "%Y-%m-%d %H:%M:%S UTC")
}

/// A moment's minute: `2026-03-01 09:30 UTC`.
pub(super) fn minute(ms: u64) -> String {
    told(ms, "%Y-%m-%d %H:%M UTC")
}

/// A moment that is near: `09:30 UTC`, with its date where that is another one.
pub(super) fn soon(ms: u64, now_ms: u64) -> String {
    if ms / DAY_MS == now_ms / DAY_MS {
        told(ms, "%H:%M UTC")
    } else {
        minute(ms)
    }
}

fn told(ms: u64, format: &str) -> String {
    let at = i64::try_from(ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.map_or_else(
        || "unknown".to_owned(),
        |at| at.strftime(format).to_string(),
    )
}

/// Octets: `1.5 MiB`.
pub(super) fn size(octets: u64) -> String {
    humansize::format_size(octets, humansize::BINARY)
}

/// `1 message`, `2 messages`.
pub(super) fn messages(count: u64) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} message{s}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_its_two_largest_units() {
        for (ms, words) in [
            (0, "0 s"),
            (999, "0 s"),
            (8_000, "8 s"),
            (60_000, "1 min"),
            (3 * HOUR_MS + 5 * SECOND_MS, "3 h"),
            (3 * DAY_MS + 4 * HOUR_MS + MINUTE_MS, "3 d 4 h"),
        ] {
            assert_eq!(span(ms), words);
        }
        assert_eq!(moment(1_772_357_400_000), "2026-03-01 09:30:00 UTC");
        assert_eq!(minute(1_772_357_430_000), "2026-03-01 09:30 UTC");
        assert_eq!(soon(1_772_357_430_000, 1_772_357_000_000), "09:30 UTC");
        assert_eq!(
            soon(1_772_357_430_000, 1_772_300_000_000),
            "2026-03-01 09:30 UTC"
        );
        assert_eq!(moment(u64::MAX), "unknown");
    }
}
