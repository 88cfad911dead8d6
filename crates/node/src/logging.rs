//! Where log lines go: standard error, as text or JSON, filtered by `RUST_LOG`, and later by what operators say.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry, filter::LevelFilter, layer::SubscriberExt as _, reload,
    util::SubscriberInitExt as _,
};

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

/// More than anybody writes, and little to compare each line with.
const ASKED_BYTES_MAX: usize = 1000;

/// What of the log is shown, which may change while the node runs.
#[derive(Clone, Debug)]
pub(crate) struct Shown(reload::Handle<EnvFilter, Registry>);

/// Why something is no filter.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no filter: {1}; write a level (error, warn, info, debug, trace, off), or for example \"info,relay=debug\""
)]
pub(crate) struct NoFilter(String, String);

impl Shown {
    /// Starts with that which was asked for.
    fn first(asked: &str) -> (reload::Layer<EnvFilter, Registry>, Self) {
        let (layer, handle) = reload::Layer::new(filter(asked));
        (layer, Self(handle))
    }

    /// The filter that is in force, the usual one and what was asked for in one.
    pub(crate) fn filter(&self) -> String {
        // The log lives as long as the program.
        let filter = self.0.with_current(ToString::to_string);
        filter.unwrap_or_default()
    }

    /// Shows something else from now on, in place of what `RUST_LOG` or an earlier call asked for.
    ///
    /// # Errors
    /// It is no filter; nothing has changed.
    pub(crate) fn change(&self, asked: &str) -> Result<(), NoFilter> {
        let filter = strict_filter(asked).map_err(|why| NoFilter(asked.to_owned(), why))?;
        self.0
            .reload(filter)
            .map_err(|error| NoFilter(asked.to_owned(), error.to_string()))
    }
}

/// Starts logging. Called once.
pub(crate) fn start(format: LogFormat) -> Shown {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one setting taken from the environment"
    )]
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let (filter, shown) = Shown::first(&asked);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .init();
    shown
}

/// What is shown, given what was asked for. Whatever in that is no filter is passed over, so that a slip there
/// stops no mail.
fn filter(asked: &str) -> EnvFilter {
    EnvFilter::builder().parse_lossy(format!("{USUAL},{asked}"))
}

/// The same for who is there to be told of a slip.
fn strict_filter(asked: &str) -> Result<EnvFilter, String> {
    if asked.len() > ASKED_BYTES_MAX {
        return Err(format!("it is longer than {ASKED_BYTES_MAX} octets"));
    }
    // A misspelt level is taken for a target, of which everything is to be shown.
    let is_level = |part: &&str| {
        part.contains(['=', '[']) || (!part.is_empty() && part.parse::<LevelFilter>().is_ok())
    };
    // Spaces would be taken for a part of a target.
    let parts: Vec<&str> = asked.split(',').map(str::trim).collect();
    if let Some(part) = parts.iter().find(|part| !is_level(part)) {
        return Err(format!("{part:?} is no level"));
    }
    let filter = EnvFilter::builder().parse(format!("{USUAL},{}", parts.join(",")));
    filter.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn lines(&self) -> usize {
            let text = self.0.lock().unwrap();
            text.split(|octet| *octet == b'\n').count() - 1
        }
    }

    /// How many of the lines are shown that something writes.
    fn shown(asked: &str, write: fn()) -> usize {
        let written = Written::default();
        let writer = written.clone();
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter(asked))
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(lines.finish(), write);
        written.lines()
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

    #[test]
    fn what_is_shown_may_change() {
        let (filter, shown) = Shown::first("warn");
        let written = Written::default();
        let writer = written.clone();
        let lines = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(filter).with(lines);
        tracing::subscriber::with_default(subscriber, || {
            speak();
            assert_eq!(written.lines(), 2);
            shown.change("mail=debug").unwrap();
            speak();
            assert_eq!(written.lines(), 2 + 4);
            shown.change("info,mail=dbug").unwrap_err();
            assert!(shown.filter().contains("mail=debug"), "{}", shown.filter());
            consent();
            assert_eq!(written.lines(), 2 + 4 + 1, "the usual filter goes on");
        });
    }

    #[test]
    fn a_slip_is_named_and_changes_nothing() {
        let (_layer, shown) = Shown::first("");
        let before = shown.filter();
        for asked in ["", "dbug", "info,relay", "mail=loud", "mail=debug=x", " , "] {
            let error = shown.change(asked).unwrap_err().to_string();
            assert!(error.contains("is no filter"), "{asked:?}: {error}");
        }
        shown.change(&"mail=info,".repeat(200)).unwrap_err();
        assert_eq!(shown.filter(), before);
        for asked in ["debug", "OFF", "info, relay::outbound=debug"] {
            shown
                .change(asked)
                .unwrap_or_else(|error| panic!("{error}"));
        }
    }
}
