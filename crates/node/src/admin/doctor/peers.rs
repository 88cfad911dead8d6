//! Whether the other nodes answer this one, soon enough, and have the same time.

use std::time::Duration;

use cluster::{Answered, Pulse};
use relay::doctor::{Check, Finding};

/// Every message waits for an answer of a majority, so senders notice a longer way between the nodes.
const FAR: Duration = Duration::from_millis(100);

/// Clocks that are kept by NTP differ by milliseconds.
const SKEW_NOTED: Duration = Duration::from_secs(2);

/// Certificates and signatures are judged by the clock, and mail is given up by it.
const SKEW_MAX: Duration = Duration::from_secs(30);

pub(super) fn judge(pulse: &Pulse) -> Vec<Finding> {
    let subject = super::node(pulse.id);
    let check = Check::of("peer", subject.as_str());
    let answered = match &pulse.answer {
        Ok(answered) => answered,
        Err(why) => {
            return vec![check.problem(format!(
                "it does not answer this node at {}: {why}; look whether it runs and may be connected to",
                pulse.address
            ))];
        }
    };
    let took = millis(answered.took);
    let way = if answered.took > FAR {
        check.warning(format!(
            "its answer takes {took}, and senders wait for the answers of a majority: bring the nodes closer together"
        ))
    } else {
        check.fine(format!("it answers within {took}"))
    };
    vec![way, clock(&Check::of("clock", subject), answered)]
}

fn clock(check: &Check, answered: &Answered) -> Finding {
    let Some(ahead_ms) = answered.clock_ahead_ms else {
        return check.skipped("its version does not tell its time: upgrade it");
    };
    let ahead = Duration::from_millis(ahead_ms.unsigned_abs());
    // By so much an answer that was on its way for long may mislead.
    let sure = ahead.saturating_sub(answered.took / 2);
    let words = format!(
        "its clock is {} {} this node's",
        humantime::format_duration(ahead),
        if ahead_ms < 0 { "behind" } else { "ahead of" }
    );
    let advice = "see that NTP runs on both";
    if sure > SKEW_MAX {
        check.problem(format!("{words}: {advice}"))
    } else if sure > SKEW_NOTED {
        check.warning(format!("{words}: {advice}"))
    } else {
        check.fine("its clock and this node's agree")
    }
}

/// `0.4 ms`.
fn millis(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use relay::doctor::Verdict;

    use super::*;

    fn verdicts(took_ms: u64, clock_ahead_ms: Option<i64>) -> [Verdict; 2] {
        let pulse = Pulse {
            id: 2,
            address: "mx2.internal:7400".to_owned(),
            answer: Ok(Answered {
                took: Duration::from_millis(took_ms),
                clock_ahead_ms,
            }),
        };
        let found = judge(&pulse);
        [found[0].verdict, found[1].verdict]
    }

    #[test]
    fn answers_are_judged_by_their_time_and_by_the_time_that_they_tell() {
        use Verdict::{Fine, Problem, Skipped, Warning};
        for (took_ms, ahead_ms, expected) in [
            (1, Some(0), [Fine, Fine]),
            (1, Some(-1_500), [Fine, Fine]),
            (150, Some(3_000), [Warning, Warning]),
            (1, Some(-3_000), [Fine, Warning]),
            (1, Some(-45_000), [Fine, Problem]),
            (1, Some(i64::MAX), [Fine, Problem]),
            (1, Some(i64::MIN), [Fine, Problem]),
            (4_000, Some(3_000), [Warning, Fine]),
            (1, None, [Fine, Skipped]),
        ] {
            assert_eq!(
                verdicts(took_ms, ahead_ms),
                expected,
                "{took_ms} {ahead_ms:?}"
            );
        }
    }

    #[test]
    fn a_node_that_is_silent_is_a_problem() {
        let pulse = Pulse {
            id: 2,
            address: "mx2.internal:7400".to_owned(),
            answer: Err("connection refused".to_owned()),
        };
        let [found] = &judge(&pulse)[..] else {
            panic!("nothing is known of its clock");
        };
        assert_eq!(found.verdict, Verdict::Problem);
        assert!(
            found.text.contains("mx2.internal:7400: connection refused"),
            "{found:?}"
        );
    }
}
