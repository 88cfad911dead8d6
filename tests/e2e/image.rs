//! The Dockerfile, as far as that goes without Docker: what it copies is there, its last stage has all that the programs
//! need, and does what it says in a copy of this machine that is thrown away.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use harness::{binaries, ctl};

use crate::copied_root;

const DOCKERFILE: &str = "../deploy/docker/Dockerfile";

/// Libraries, by the beginnings of their names, and the packages of Debian in which they are. The C library is in every
/// image, and the C++ library brings that of the compiler.
const LIBRARIES: [(&str, &str); 6] = [
    ("linux-vdso", ""),
    ("ld-linux", ""),
    ("libc.so.6", ""),
    ("libm.so.6", ""),
    ("libgcc_s.so.1", "libstdc++6"),
    ("libstdc++.so.6", "libstdc++6"),
];

/// The instructions of a stage: their names, and what follows.
type Stage = Vec<(String, String)>;

/// All stages; each begins with `FROM`.
fn stages() -> Vec<Stage> {
    let text = fs::read_to_string(DOCKERFILE).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let text = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let mut stages: Vec<Stage> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (name, rest) = line.split_once(' ').unwrap();
        if name == "FROM" {
            stages.push(Vec::new());
        }
        let stage = stages.last_mut().expect("a file begins with FROM");
        stage.push((name.to_owned(), rest.trim().to_owned()));
    }
    stages
}

#[track_caller]
fn one<'s>(stage: &'s Stage, name: &str) -> &'s str {
    let mut all = stage.iter().filter(|(own, _)| own == name);
    let found = all.next().unwrap_or_else(|| panic!("no {name}: {stage:?}"));
    assert!(all.next().is_none(), "{name} twice: {stage:?}");
    &found.1
}

/// The words of `["a", "b"]`.
fn words(list: &str) -> Vec<String> {
    serde_json::from_str(list).unwrap()
}

/// What `RUN a && b` runs, but for what fetches and removes packages; and which it installs.
fn steps(run: &str) -> (Vec<&str>, BTreeSet<&str>) {
    let is_of_apt = |step: &&str| step.starts_with("apt-get") || step.contains("/var/lib/apt");
    let (of_apt, others): (Vec<&str>, Vec<&str>) =
        run.split("&&").map(str::trim).partition(is_of_apt);
    let installed = of_apt
        .iter()
        .filter_map(|step| step.split_once(" install "));
    let installed = installed.flat_map(|(_, packages)| packages.split_whitespace());
    (others, installed.collect())
}

/// Names of the libraries that a program asks for, and those again.
fn libraries(program: &Path) -> Vec<String> {
    let listed = ctl::outcome(Command::new("ldd").arg(program));
    assert_eq!(listed.code, 0, "{}", listed.err);
    let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let paths = listed.out.lines().filter_map(first);
    paths
        .map(|path| path.rsplit('/').next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn an_image_has_all_that_its_programs_need_and_runs_them_as_somebody_without_rights() {
    let stages = stages();
    let [build, last] = &stages[..] else {
        panic!("another number of stages: {stages:?}");
    };
    // What is linked against one release's C library runs on that release.
    assert!(one(build, "FROM").contains("-bookworm AS build"));
    assert!(one(last, "FROM").starts_with("debian:bookworm"));
    assert_eq!(one(build, "COPY"), ". .");
    let (made, _) = steps(&build.last().unwrap().1);
    assert!(made[0].ends_with("--target-dir /target"), "{made:?}");

    let copied = one(last, "COPY").strip_prefix("--from=build ").unwrap();
    let mut copied: Vec<&str> = copied.split_whitespace().collect();
    assert_eq!(copied.pop(), Some("/usr/bin/"));
    let built = [binaries::layoverd(), binaries::layover()];
    let given = tempfile::tempdir().unwrap();
    let (prepare, packages) = steps(one(last, "RUN"));
    for (path, program) in copied.iter().zip(&built) {
        let name = program.file_name().unwrap();
        assert_eq!(Path::new(path), Path::new("/target/release").join(name));
        fs::copy(program, given.path().join(name)).unwrap();
        for library in libraries(program) {
            let found = LIBRARIES.iter().find(|(name, _)| library.starts_with(name));
            let (_, package) = found.unwrap_or_else(|| panic!("{library} is in no image"));
            let is_there = package.is_empty() || packages.contains(package);
            assert!(is_there, "{library} of {package}: {packages:?}");
        }
    }
    assert_eq!(copied.len(), built.len(), "{copied:?}");

    let start = [one(last, "ENTRYPOINT"), one(last, "CMD")]
        .map(words)
        .concat();
    for (name, text) in [
        ("prepare", prepare.join("\n")),
        ("user", one(last, "USER").to_owned()),
        ("start", start.join(" ")),
    ] {
        fs::write(given.path().join(name), text).unwrap();
    }
    assert_eq!(one(last, "VOLUME"), "/var/lib/layover");
    copied_root::run("tests/e2e/image.sh", given.path());
}
