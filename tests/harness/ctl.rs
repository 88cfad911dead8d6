//! The real command line.

use std::{
    ffi::OsStr,
    io,
    net::SocketAddr,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::{binaries, process};

/// `layover`, bound to some nodes.
#[derive(Clone, Debug)]
pub struct Ctl {
    servers: Vec<SocketAddr>,
    within: Vec<String>,
}

/// What a run of a program left.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ctl {
    /// Asks these nodes, in turn.
    #[must_use]
    pub fn new(servers: &[SocketAddr]) -> Self {
        Self {
            servers: servers.to_vec(),
            within: Vec::new(),
        }
    }

    /// Runs it by a program that puts it where its servers are; see `Daemon::live_within`.
    #[must_use]
    pub(crate) fn within(mut self, launcher: &[String]) -> Self {
        launcher.clone_into(&mut self.within);
        self
    }

    /// Runs a command as a person would.
    ///
    /// # Panics
    /// When the program is not there.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = process::launch(&self.within, &binaries::layover());
        for server in &self.servers {
            command.arg("--server").arg(server.to_string());
        }
        command.args(arguments).env_remove("LAYOVER_SERVER");
        outcome(&mut command)
    }

    /// Runs a command with `--json` and reads the document.
    ///
    /// # Panics
    /// When the command fails or prints something else.
    #[must_use]
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(arguments);
        let outcome = self.run(&all);
        assert_eq!(outcome.code, 0, "layover {arguments:?}: {}", outcome.err);
        serde_json::from_str(&outcome.out)
            .unwrap_or_else(|error| panic!("layover {arguments:?}: {error}: {}", outcome.out))
    }
}

/// Runs the daemon's own program with arguments, to its end.
#[must_use]
pub fn layoverd(arguments: &[&OsStr]) -> Outcome {
    outcome(Command::new(binaries::layoverd()).args(arguments))
}

/// Runs a program to its end, nothing on its standard input.
///
/// # Panics
/// When it can not be started.
pub fn outcome(command: &mut Command) -> Outcome {
    let program = command.get_program().to_owned();
    tried(command).unwrap_or_else(|error| panic!("starting {}: {error}", program.display()))
}

/// The same for a program that may not be there.
///
/// # Errors
/// When it can not be started.
pub fn tried(command: &mut Command) -> io::Result<Outcome> {
    let output: Output = command.stdin(Stdio::null()).output()?;
    Ok(Outcome {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
