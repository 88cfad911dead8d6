//! How much mail has waited in the last day, as a curve and in words.

use std::cmp::Reverse;

use maud::{Markup, html};

use crate::{
    lookback::{MINUTES, Sample, minute_of},
    page::words::{ago, messages, minute},
};

/// The height of the drawing, in its own units. Its width is a unit a minute.
const HEIGHT: u64 = 400;

/// Minutes that share a step of the curve: as fine as a screen shows.
const STEP: u64 = 4;

/// Into how many parts of the day the words go.
const PARTS: u64 = 4;

/// The most that waited in each step of the day; `None` where this node did not run, or before its last start.
type Steps = Vec<Option<u64>>;

/// The curve, as it is now; `waiting` is how much waits at this moment.
pub(super) fn curve(samples: &[Sample], waiting: u64, begun_ms: u64, now_ms: u64) -> Markup {
    let first = (minute_of(now_ms) + 1).saturating_sub(MINUTES);
    let steps = steps(samples, first);
    let peak = samples
        .iter()
        .max_by_key(|one| (one.messages, Reverse(one.minute)));
    let top = round(peak.map_or(0, |peak| peak.messages));
    html! {
        section aria-labelledby="day" {
            h2 #day { "The last day" }
            p {
                (messages(waiting)) @if waiting == 1 { " waits" } @else { " wait" } " now. "
                @match peak {
                    // The last look may be a second old.
                    Some(peak) if peak.messages > 0 && peak.messages >= waiting => {
                        "The most were " (peak.messages) ", at " (minute(peak.minute * 60_000)) "."
                    }
                    _ => { @if waiting == 0 { "None has in all this time." } }
                }
                @if now_ms.saturating_sub(begun_ms) < MINUTES * 60_000 {
                    " " span .aside { "This node has seen it since its start, " (ago(now_ms, begun_ms)) " ago." }
                }
            }
            figure .curve {
                svg role="img" aria-labelledby="curve-title curve-words" preserveAspectRatio="none"
                    viewBox={ "0 0 " (MINUTES) " " (HEIGHT) } {
                    title #curve-title { "Messages that waited in the last 24 hours" }
                    desc #curve-words { (parts(&steps)) }
                    path .grid d=(grid()) {}
                    path .area d=(path(&steps, top, true)) {}
                    path .line d=(path(&steps, top, false)) {}
                }
                span .top aria-hidden="true" { (top) }
                span .half aria-hidden="true" { (top / 2) }
                div .hours aria-hidden="true" {
                    @for hours in ["24 h ago", "18 h", "12 h", "6 h"] { span { (hours) } }
                    span .now { "now" }
                }
            }
        }
    }
}

fn steps(samples: &[Sample], first: u64) -> Steps {
    let mut steps = vec![None; usize::try_from(MINUTES / STEP).unwrap_or(0)];
    for sample in samples {
        let place = sample.minute.checked_sub(first).map(|minute| minute / STEP);
        let place = place.and_then(|place| usize::try_from(place).ok());
        if let Some(step) = place.and_then(|place| steps.get_mut(place)) {
            *step = (*step).max(Some(sample.messages));
        }
    }
    steps
}

/// The end of the scale: 2, 4, 6, 8, 10, 20, 40, ..., so that its half is a whole number.
fn round(peak: u64) -> u64 {
    let mut unit: u64 = 1;
    loop {
        for factor in [2, 4, 6, 8, 10] {
            let top = unit.saturating_mul(factor);
            if top >= peak {
                return top;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

/// The most in each part of the day, in words.
fn parts(steps: &Steps) -> String {
    let hours = 24 / PARTS;
    let size = steps.len() / usize::try_from(PARTS).unwrap_or(1);
    let parts = steps.chunks(size.max(1)).zip(1..);
    let parts = parts.map(|(part, number)| {
        let (from, to) = (24 - hours * (number - 1), 24 - hours * number);
        match part.iter().flatten().max() {
            None => format!("from {from} to {to} hours ago nothing is known"),
            Some(most) => format!("from {from} to {to} hours ago at most {}", messages(*most)),
        }
    });
    let parts: Vec<String> = parts.collect();
    format!("{}.", parts.join("; "))
}

/// A line through the steps, broken where there is a gap; with `foot` it goes down to the ground at both ends of each
/// piece, so that a surface is closed.
fn path(steps: &Steps, top: u64, foot: bool) -> String {
    let mut path = String::new();
    let mut is_drawing = false;
    let mut x = 0;
    for step in steps {
        match step {
            None => {
                if is_drawing && foot {
                    path.push_str(&ground());
                }
                is_drawing = false;
            }
            Some(count) => {
                let y = HEIGHT - (count.saturating_mul(HEIGHT) / top).min(HEIGHT);
                let to = x + STEP;
                let begin = match (is_drawing, foot) {
                    (true, _) => format!("V{y}"),
                    (false, true) => format!("M{x} {HEIGHT}V{y}"),
                    (false, false) => format!("M{x} {y}"),
                };
                path.push_str(&format!("{begin}H{to}"));
                is_drawing = true;
            }
        }
        x += STEP;
    }
    if is_drawing && foot {
        path.push_str(&ground());
    }
    path
}

fn ground() -> String {
    format!("V{HEIGHT}Z")
}

/// The half of the scale, and a line every six hours.
fn grid() -> String {
    let hours = [6, 12, 18].map(|hour| format!("M{} 0V{HEIGHT}", hour * 60));
    format!("M0 {}H{MINUTES}{}", HEIGHT / 2, hours.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the middle of a minute of 2026.
    const NOW_MS: u64 = 1_772_357_430_000;

    fn ago(minutes: u64, messages: u64) -> Sample {
        Sample {
            minute: minute_of(NOW_MS) - minutes,
            messages,
        }
    }

    #[test]
    fn the_scale_ends_at_a_round_number() {
        for (peak, top) in [
            (0, 2),
            (2, 2),
            (3, 4),
            (9, 10),
            (11, 20),
            (340, 400),
            (440, 600),
            (900, 1000),
        ] {
            assert_eq!(round(peak), top, "{peak}");
        }
        assert_eq!(round(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_curve_has_a_gap_where_nothing_was_seen() {
        let first = minute_of(NOW_MS) + 1 - MINUTES;
        let samples = [
            ago(1439, 1),
            ago(1438, 2),
            ago(1435, 1),
            ago(3, 2),
            ago(0, 1),
        ];
        let steps = steps(&samples, first);
        assert_eq!(steps.len(), 360);
        assert_eq!(path(&steps, 2, false), "M0 0H4V200H8M1436 0H1440");
        let area = "M0 400V0H4V200H8V400ZM1436 400V0H1440V400Z";
        assert_eq!(path(&steps, 2, true), area);
    }

    #[test]
    fn whoever_does_not_see_it_reads_the_figures() {
        let samples = [ago(600, 340), ago(599, 12), ago(1, 1)];
        let shown = curve(&samples, 1, NOW_MS - 36_000_000, NOW_MS).into_string();
        for words in [
            "1 message waits now.",
            "The most were 340, at 2026-02-28 23:30 UTC",
            "since its start, 10 h ago",
            "from 24 to 18 hours ago nothing is known; from 18 to 12 hours ago nothing is known; \
             from 12 to 6 hours ago at most 340 messages; from 6 to 0 hours ago at most 1 message.",
            ">400<",
        ] {
            assert!(shown.contains(words), "{words} in {shown}");
        }
        assert!(
            !shown.contains("style="),
            "the policy of contents forbids it"
        );
    }

    #[test]
    fn a_node_that_has_just_started_has_nothing_to_draw() {
        let shown = curve(&[], 0, NOW_MS, NOW_MS).into_string();
        assert!(shown.contains("0 messages wait now."), "{shown}");
        assert!(shown.contains("d=\"\""), "{shown}");
    }
}
