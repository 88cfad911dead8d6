//! Where log lines go: standard error, as text or JSON, filtered by `RUST_LOG`.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is shown as far as `RUST_LOG` does not say otherwise. What consensus does that an operator must know
/// is told in our own words; openraft's are for its developers. It calls it an error when a change of
/// members is asked of a node that does not lead any more; the one that does is asked then. And when a
/// heartbeat is answered after consensus has ended, as it does when storage fails: why that was is our last
/// line, and nothing is to stand behind it.
const USUAL: &str =
    "info,openraft=error,openraft::raft::api::management=off,openraft::core::heartbeat=off";

/// Starts logging. Called once.
pub(crate) fn start(format: LogFormat) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one setting taken from the environment"
    )]
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter(&asked))
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}

/// What is shown, given what was asked for. Whatever in that is no filter is passed over, so that a slip there
/// stops no mail.
fn filter(asked: &str) -> EnvFilter {
    EnvFilter::builder().parse_lossy(format!("{USUAL},{asked}"))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Shown(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Shown {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// How many of the lines are shown that something writes.
    fn shown(asked: &str, write: fn()) -> usize {
        let shown = Shown::default();
        let writer = shown.clone();
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter(asked))
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(lines.finish(), write);
        let text = shown.0.lock().unwrap();
        text.split(|octet| *octet == b'\n').count() - 1
    }

    /// A line of each level.
    fn speak() {
        tracing::error!(target: "mail", "it is broken");
        tracing::warn!(target: "layoverd::run", "it is odd");
        tracing::info!(target: "mail", "it is so");
        tracing::debug!(target: "mail", "it is long");
    }

    /// What consensus says: an error, one of a heartbeat, and a warning.
    fn consent() {
        tracing::error!(target: "openraft::core::raft_core", "it is broken");
        tracing::error!(target: "openraft::core::heartbeat::worker", "failed to send");
        tracing::warn!(target: "openraft::core::raft_core", "it is odd");
    }

    #[test]
    fn whoever_asks_for_nothing_is_told_what_happens() {
        assert_eq!(shown("", speak), 3);
        assert_eq!(shown("cluster=debug", speak), 3);
        assert_eq!(shown("mail=debug", speak), 4);
        assert_eq!(shown("warn", speak), 2);
    }

    #[test]
    fn consensus_says_little_unless_it_is_asked() {
        assert_eq!(shown("", consent), 1);
        assert_eq!(shown("info,openraft=warn", consent), 2);
        assert_eq!(
            shown("openraft=warn,openraft::core::heartbeat=error", consent),
            3
        );
        assert_eq!(shown("no filter at=all,openraft=warn", consent), 2);
    }
}
