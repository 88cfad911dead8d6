//! The Debian packages: made, installed in a copy of this machine that is thrown away, and started there.

use std::{fs, process::Command};

use harness::{ctl, or_skip};

use crate::copied_root;

fn had(program: &str, argument: &str) -> Result<(), String> {
    let ran = Command::new(program).arg(argument).output();
    match ran {
        Ok(output) if output.status.success() => Ok(()),
        Ok(_) | Err(_) => Err(format!("{program} is not there; `make deb` builds it")),
    }
}

#[test]
fn packages_are_installed_started_stopped_and_removed() {
    let tools = had("cargo-deb", "--version").and_then(|()| had("cargo-cyclonedx", "--help"));
    if or_skip(tools).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let packages = folder.path().join("packages");
    let mut pack = Command::new("sh");
    pack.args(["deploy/packages.sh", "node", "ctl"])
        .current_dir("..")
        .env("LAYOVER_PACKAGES", &packages)
        // Nobody sends these.
        .env("LAYOVER_PACK", "--fast");
    let packed = ctl::outcome(&mut pack);
    assert_eq!(packed.code, 0, "{}{}", packed.out, packed.err);
    let sums = fs::read_to_string(packages.join("SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), 4, "{sums}");
    copied_root::run("tests/e2e/packages.sh", &packages);
}
