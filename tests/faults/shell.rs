//! Programs that set the stage: `ip`, `nft`, `tc`.

use std::{io::Write as _, process::Command, process::Stdio};

use harness::ctl;

/// Runs a program to its end.
///
/// # Errors
/// When it is not there or fails: what it said, in one line.
pub(crate) fn run(words: &[&str]) -> Result<String, String> {
    let (program, arguments) = words.split_first().ok_or("nothing to run")?;
    let outcome = ctl::tried(Command::new(program).args(arguments))
        .map_err(|error| format!("{program}: {error}"))?;
    if outcome.code == 0 {
        return Ok(outcome.out);
    }
    let said = outcome.err.trim().replace('\n', "; ");
    Err(format!("{}: {said}", words.join(" ")))
}

/// The same with `text` on its standard input.
///
/// # Errors
/// As [`run`].
pub(crate) fn feed(words: &[&str], text: &str) -> Result<(), String> {
    let (program, arguments) = words.split_first().ok_or("nothing to run")?;
    let failed = |error: std::io::Error| format!("{program}: {error}");
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program}: {}", said.trim().replace('\n', "; ")))
}
