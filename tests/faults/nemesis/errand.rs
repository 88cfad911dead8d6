//! What takes a while and is done on the side, so that the schedule goes on meanwhile.

use std::{
    thread,
    time::{Duration, Instant},
};

use harness::{Ctl, ctl::Outcome};

/// Pause before a command is given again that was refused: another change is under way, or there is
/// no quorum for the moment.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// A command that an operator has given, or several.
#[derive(Debug)]
pub(super) struct Errand(thread::JoinHandle<Result<String, String>>);

impl Errand {
    /// Begins it. It ends with what is to be noted, or with what is wrong.
    pub(super) fn begin(errand: impl FnOnce() -> Result<String, String> + Send + 'static) -> Self {
        Self(thread::spawn(errand))
    }

    /// Whether it has come to its end.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_finished()
    }

    /// Its end; waits for it.
    pub(super) fn end(self) -> Result<String, String> {
        let panicked = |_| Err("an operator's command could not be given at all".to_owned());
        self.0.join().unwrap_or_else(panicked)
    }
}

/// Gives a command to one node after the other until one has done it.
pub(super) fn until_done(
    nodes: &[Ctl],
    words: &[&str],
    patience: Duration,
) -> Result<String, String> {
    let end = Instant::now() + patience;
    loop {
        let mut complaints = Vec::new();
        for node in nodes {
            let outcome = node.run(words);
            match done(&outcome, words)? {
                Ok(said) => return Ok(said),
                Err(complaint) => complaints.push(complaint),
            }
        }
        if Instant::now() > end {
            let complaints = complaints.join("; ");
            return Err(format!(
                "{words:?} was not done in {patience:?}: {complaints}"
            ));
        }
        thread::sleep(AGAIN_AFTER);
    }
}

/// Whether a command was done, or refused; in words.
///
/// # Errors
/// It ended as no command may: without a reason, or with more than one line of it.
pub(super) fn done(outcome: &Outcome, words: &[&str]) -> Result<Result<String, String>, String> {
    let (out, err) = (outcome.out.trim(), outcome.err.trim());
    match outcome.code {
        0 => Ok(Ok(format!("{words:?}: {out}"))),
        1 if err.lines().count() == 1 => Ok(Err(format!("{words:?}: {err}"))),
        code => Err(format!(
            "{words:?} ended with {code} and these words: {err:?}"
        )),
    }
}
