//! Plays the corpora of `fuzz/`: what was written by hand, and what fuzzing has found.

use std::{collections::BTreeSet, fs, panic::catch_unwind, path::Path};

use properties::ALL;

/// Octets of one file: a corpus is read, and small input is played often.
const FILE_BYTES_MAX: usize = 4096 + 64;

/// The names of what is in a folder of `fuzz/`. Cargo runs tests in their package's folder.
fn names(folder: &str) -> BTreeSet<String> {
    let path = Path::new("..").join(folder);
    let entries = fs::read_dir(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    entries
        .map(|entry| entry.expect("a folder that opened can be read").path())
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect()
}

#[test]
fn each_property_has_a_corpus_and_a_target() {
    let properties: BTreeSet<String> = ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("corpus"), properties);
    assert_eq!(names("fuzz_targets"), properties);
    let manifest = fs::read_to_string("../Cargo.toml").expect("the targets' manifest");
    for name in properties {
        assert!(manifest.contains(&format!("\"fuzz_targets/{name}.rs\"")));
    }
}

#[test]
fn what_is_in_the_corpora_holds() {
    let mut culprits = Vec::new();
    for (name, property) in ALL {
        let folder = Path::new("../corpus").join(name);
        let files = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut played = 0;
        for path in files.map(|entry| entry.expect("a file").path()) {
            let octets = fs::read(&path).expect("a file that can be read");
            assert!(octets.len() <= FILE_BYTES_MAX, "{}", path.display());
            if catch_unwind(|| property(&octets)).is_err() {
                culprits.push(path);
            }
            played += 1;
        }
        assert!(played >= 5, "{name}: {played} files");
    }
    assert!(
        culprits.is_empty(),
        "what these say is above: {culprits:#?}"
    );
}
