//! Where the programs under test lie.

use std::{env, path::PathBuf};

/// The daemon.
#[must_use]
pub fn layoverd() -> PathBuf {
    program("layoverd")
}

/// The command line.
#[must_use]
pub fn layover() -> PathBuf {
    program("layover")
}

/// Whether both programs have been built.
#[must_use]
pub fn are_built() -> bool {
    layoverd().exists() && layover().exists()
}

/// Where `tests/setup/install.sh` unpacks a foreign program that is not to be installed: beside what
/// cargo builds.
#[must_use]
pub fn unpacked(name: &str) -> PathBuf {
    let mut directory = release();
    directory.pop();
    directory.join(name)
}

/// `LAYOVER_PROGRAMS` names another directory, for trying a build that lies elsewhere.
fn program(name: &str) -> PathBuf {
    if let Some(directory) = env::var_os("LAYOVER_PROGRAMS") {
        return PathBuf::from(directory).join(name);
    }
    release().join(name)
}

/// The release directory of cargo's target directory.
fn release() -> PathBuf {
    let mut directory = env::current_exe().expect("the test's own path is known");
    directory.pop();
    if directory.ends_with("deps") {
        directory.pop();
    }
    directory
}
