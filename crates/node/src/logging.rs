//! Where log lines go: standard error, as text or JSON, filtered by `RUST_LOG`.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Shown unless `RUST_LOG` names the target itself. What consensus does that an operator must know
/// is told in our own words; openraft's are for its developers. It calls it an error when a change of
/// members is asked of a node that does not lead any more; the one that does is asked then.
const QUIETER: &str = "openraft=error,openraft::raft::api::management=off";

/// Starts logging. Called once.
pub(crate) fn start(format: LogFormat) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one setting taken from the environment"
    )]
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    // Whatever in RUST_LOG is no filter is passed over, so that a slip there stops no mail.
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse_lossy(format!("{QUIETER},{asked}"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
