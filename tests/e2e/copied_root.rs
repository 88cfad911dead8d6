//! A copy of this machine's root that is thrown away, for what changes a machine.

use std::{path::Path, process::Command};

use harness::ctl;

/// What the script says where no such copy can be made.
const NO_COPY: i32 = 77;

/// Runs a script of this folder there; it finds what lies in a directory in `/tmp/given`.
#[track_caller]
pub(crate) fn run(script: &str, given: &Path) {
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--net", "--pid", "--fork", "--kill-child", "sh"]);
    unshare
        .args(["tests/e2e/copied_root.sh", script])
        .arg(given)
        .current_dir("..");
    match ctl::tried(&mut unshare) {
        Ok(ran) if ran.code == NO_COPY => eprintln!("skipped: {}", ran.err),
        Ok(ran) => assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err),
        Err(error) => eprintln!("skipped: unshare does not run: {error}"),
    }
}
