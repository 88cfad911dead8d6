//! Interpreters of Python.

use std::process::Command;

use crate::ctl;

/// An interpreter that has a module: Debian's own, where another one comes first in PATH.
///
/// # Errors
/// There is none; which package has the module.
pub fn having(module: &str) -> Result<&'static str, String> {
    let has = |python: &&str| {
        let import = format!("import {module}");
        let asked = ctl::tried(Command::new(python).args(["-c", &import]));
        asked.is_ok_and(|outcome| outcome.code == 0)
    };
    let found = ["python3", "/usr/bin/python3"].into_iter().find(has);
    found.ok_or_else(|| format!("no {module}; Debian's package is python3-{module}"))
}
