//! The daemon `layoverd`: one node of a Layover cluster.
//!
//! ```text
//!   config ──▶ run ──┬── cluster     the spool, Raft, peers
//!                    ├── smtp        sessions in, while this node can take mail
//!                    ├── forwarding  deliveries out, while this node leads
//!                    ├── admin       gRPC for operators
//!                    └── http        metrics and health
//! ```
//!
//! Here the rooms are introduced to each other; none of them is decided upon here.

mod admin;
mod certificates;
mod clock;
mod config;
mod dev;
mod differing;
mod forwarding;
mod http;
mod logging;
mod lookback;
mod manual;
mod metrics;
mod offline;
mod open_files;
mod page;
mod part;
mod password;
mod readiness;
mod renewal;
mod run;
mod signals;
mod smtp;
mod supervisor;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser, Subcommand, error::ErrorKind};

use config::Config;
use logging::LogFormat;
use spool::policy::Document;
use tracing::Level;

/// For RocksDB, too. Why it is not glibc's: docs/decisions/memory-by-jemalloc.md.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What stands before the arguments that all commands have, below those of their own.
const FOR_ALL: &str = "Options of all commands";

/// One node of Layover, a clustered backup MX.
#[derive(Debug, Parser)]
#[command(name = "layoverd", version)]
struct Arguments {
    /// The node file.
    #[arg(long, global = true, help_heading = FOR_ALL, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How log lines on standard error are written.
    #[arg(
        long,
        global = true,
        help_heading = FOR_ALL,
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks the node file and the policy it names.
    Check,
    /// Runs a throw-away single node without any file.
    Dev(dev::Flags),
    /// Makes the node's empty data directory a new cluster of this node alone, out of a backup.
    Restore {
        /// What `layover backup` has written.
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
    },
    /// Shows what a node that has survived its cluster holds, and founds a new one from it.
    Recover(offline::Recover),
    /// Writes every message of a data directory as a file, without any quorum.
    Export {
        /// The data directory of a node that does not run.
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// A new or empty directory.
        #[arg(value_name = "DIR")]
        to: PathBuf,
    },
    /// Writes the man pages of this program and of its files to a directory.
    Manual {
        /// Where to; it is made if it is missing.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Reads a password from standard input, and prints what the node file has of it for a user of the page.
    Password,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let format = arguments.log_format;
    let is_node = matches!(arguments.command, None | Some(Command::Dev(_)));
    let result = match (arguments.command, arguments.config) {
        (None, Some(file)) => serve(&file, format),
        (Some(Command::Check), Some(file)) => check(&file),
        (Some(Command::Dev(flags)), None) => dev::serve(flags, format),
        (Some(Command::Restore { from }), Some(file)) => offline::restore(&file, &from),
        (Some(Command::Recover(options)), Some(file)) => offline::recover(&file, &options),
        (Some(Command::Export { data_dir, to }), None) => offline::export(&data_dir, &to),
        (Some(Command::Manual { directory }), None) => {
            manual::write(Arguments::command(), &directory).map(|()| ExitCode::SUCCESS)
        }
        (Some(Command::Password), None) => password::make(),
        (
            Some(
                Command::Dev(_)
                | Command::Export { .. }
                | Command::Manual { .. }
                | Command::Password,
            ),
            Some(_),
        ) => usage(
            ErrorKind::ArgumentConflict,
            "this command takes no --config: it needs no such file",
        ),
        (_, None) => usage(
            ErrorKind::MissingRequiredArgument,
            "--config FILE is missing",
        ),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            let words = spool::policy::one_line(&format!("{error:#}"));
            // What collects a node's log in JSON could not read a line in another form.
            if is_node && format == LogFormat::Json && tracing::enabled!(Level::ERROR) {
                tracing::error!("{words}");
            } else {
                eprintln!("{words}");
            }
            ExitCode::FAILURE
        }
    }
}

fn usage(kind: ErrorKind, message: &str) -> ! {
    Arguments::command().error(kind, message).exit()
}

fn check(file: &Path) -> anyhow::Result<ExitCode> {
    let config = Config::read(file, clock::SYSTEM.now())?;
    config.check_start()?;
    if let Err(errors) = config.read_policy() {
        eprintln!("{errors}");
        return Ok(ExitCode::FAILURE);
    }
    println!("{}: ok", file.display());
    Ok(ExitCode::SUCCESS)
}

fn serve(file: &Path, format: LogFormat) -> anyhow::Result<ExitCode> {
    let shown = logging::start(format);
    let config = Config::read(file, clock::SYSTEM.now())?;
    let policy = founding_policy(&config)?;
    run::start(config, policy, shown, |_, _| ())
}

/// The policy to found a cluster with. It matters only until the cluster is founded, so after that a file that was
/// moved or half edited does not keep a node from starting.
fn founding_policy(config: &Config) -> anyhow::Result<Option<Document>> {
    match config.read_policy() {
        Ok(policy) => Ok(policy),
        Err(errors) if has_spool(&config.data_dir) => {
            let error = errors.summary();
            tracing::warn!(
                error,
                "the policy file is not used: the cluster has its policy"
            );
            Ok(None)
        }
        Err(errors) => anyhow::bail!(errors.summary()),
    }
}

fn has_spool(data_dir: &Path) -> bool {
    data_dir
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_node_file_may_be_named_before_and_behind_check() {
        for line in [
            "layoverd check --config x",
            "layoverd --config x check --log-format json",
        ] {
            let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
            assert!(matches!(arguments.command, Some(Command::Check)));
            assert_eq!(arguments.config.as_deref(), Some(Path::new("x")));
        }
    }

    #[test]
    fn only_an_empty_directory_has_no_spool() {
        let folder = tempfile::TempDir::new().unwrap();
        assert!(!has_spool(folder.path()));
        assert!(!has_spool(&folder.path().join("none")));
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(has_spool(folder.path()));
    }
}
