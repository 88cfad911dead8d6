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

/// What is shown when `RUST_LOG` says nothing. What consensus does that an operator must know is
/// told in our own words; openraft's are for its developers.
const FILTER: &str = "info,openraft=error";

/// Starts logging. Called once.
pub(crate) fn start(format: LogFormat) {
    // A slip in RUST_LOG stops no mail.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
