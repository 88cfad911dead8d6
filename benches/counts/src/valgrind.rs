//! Runs a test once more under valgrind's tool callgrind.

use std::{env, fs, path::Path, process::Command};

use crate::COUNTED;

/// Counts what a test of this binary does: one count for each piece of work, in their order.
///
/// # Panics
/// When valgrind can not be run, when the test fails under it, or ends before all is counted.
pub(crate) fn count(test: &str, works: usize) -> Vec<u64> {
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let file = directory.path().join("counts");
    let binary = env::current_exe().expect("the test's own path is known");
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg("--toggle-collect=*instructions_of*")
        .arg("--zero-before=*counting_begins*")
        .arg("--dump-before=*counting_ends*")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(binary)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        // What the allocator and the C library are told by it would change the counts.
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .env(COUNTED, "1");
    let ran = command.output().expect("valgrind was there a moment ago");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{test} under valgrind: {said}");
    let counts: Vec<u64> = (1..=works)
        .map_while(|number| total(&file.with_extension(number.to_string())))
        .collect();
    assert_eq!(counts.len(), works, "{test} counted too little: {said}");
    counts
}

/// The sum that a file of callgrind's ends with.
fn total(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let mut lines = text.lines();
    let total = lines.find_map(|line| line.strip_prefix("totals: "))?;
    total.trim().parse().ok()
}

/// What makes the same code take other instructions: who compiled it, whose `memcpy` and `malloc` it calls, and
/// what it thinks that the processor knows.
///
/// # Errors
/// What can not be found out here, as it is missing.
pub(crate) fn surroundings() -> Result<String, String> {
    let valgrind = first_line("valgrind", "--version")?;
    let compiler = first_line("rustc", "--version")?;
    let compiler = compiler.split(" (").next().unwrap_or_default();
    let library = first_line("getconf", "GNU_LIBC_VERSION")?;
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let knows_avx2 = processor.split_whitespace().any(|flag| flag == "avx2");
    let with = if knows_avx2 { "with" } else { "without" };
    let machine = env::consts::ARCH;
    Ok(format!(
        "{compiler}, {library}, {valgrind}, {machine} {with} AVX2"
    ))
}

fn first_line(program: &str, argument: &str) -> Result<String, String> {
    let ran = Command::new(program).arg(argument).output();
    let said = ran.map_err(|error| format!("{program} can not be run ({error})"))?;
    let said = String::from_utf8_lossy(&said.stdout);
    Ok(said.lines().next().unwrap_or_default().to_owned())
}
