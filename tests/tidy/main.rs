//! Rules about the tree itself that no compiler keeps.

mod logs;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file that is longer, its tests not counted, has more than one purpose.
const CODE_LINES_MAX: usize = 500;

/// A file of nothing but tests may have more to say.
const TEST_LINES_MAX: usize = 800;

/// A map that is longer is not read.
const ARCHITECTURE_LINES_MAX: usize = 200;

/// Every crate that is depended on must be read, updated and trusted.
const PACKAGES_MAX: usize = 450;

/// Words that say nothing about what a thing is.
const EMPTY_WORDS: [&str; 10] = [
    "manager",
    "handler",
    "helper",
    "util",
    "utils",
    "common",
    "misc",
    "info",
    "processor",
    "engine",
];

fn root() -> PathBuf {
    // Cargo runs tests in their package's folder.
    PathBuf::from("..")
}

/// All files below the folders that hold our own text.
fn files(extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["crates", "tests", "benches", "proto", "fuzz/properties"]
        .iter()
        .map(|name| root().join(name))
        .collect();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else {
            continue;
        };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|own| own == extension) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no {extension} below {:?}", root());
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn complain(what: &str, culprits: &[String]) {
    assert!(culprits.is_empty(), "{what}:\n{}", culprits.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<String> = files("rs")
        .iter()
        .map(|path| (path, code_lines(&read(path)), lines_max(path)))
        .filter(|(_, lines, max)| lines > max)
        .map(|(path, lines, max)| format!("{}: {lines} lines of {max}", path.display()))
        .collect();
    complain("split what has several purposes", &long);
    let map = root().join("ARCHITECTURE.md");
    let lines = read(&map).lines().count();
    assert!(
        lines <= ARCHITECTURE_LINES_MAX,
        "ARCHITECTURE.md has {lines} lines"
    );
}

/// The lines in front of the tests that stand in the same file.
fn code_lines(text: &str) -> usize {
    text.lines()
        .take_while(|line| *line != "mod tests {")
        .count()
}

fn lines_max(path: &Path) -> usize {
    let below_tests = path.components().any(|part| part.as_os_str() == "tests");
    let is_test = path.file_stem().is_some_and(|stem| stem == "tests") || below_tests;
    if is_test {
        TEST_LINES_MAX
    } else {
        CODE_LINES_MAX
    }
}

#[test]
fn modules_are_named_files_and_names_say_something() {
    let mut culprits = Vec::new();
    for path in files("rs") {
        let stem = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        let stem = stem.unwrap_or_default();
        if stem == "mod" || stem.split('_').any(|word| EMPTY_WORDS.contains(&word)) {
            culprits.push(path.display().to_string());
        }
        culprits.extend(
            read(&path)
                .lines()
                .filter_map(declared)
                .filter(|name| words(name).any(|word| EMPTY_WORDS.contains(&word.as_str())))
                .map(|name| format!("{}: {name}", path.display())),
        );
    }
    complain("name these by what they are", &culprits);
}

/// The name of a function, type or module that a line declares.
fn declared(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    for prefix in ["pub(crate) ", "pub(super) ", "pub ", "const ", "async "] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    let name = ["fn ", "struct ", "enum ", "trait ", "mod ", "type "]
        .iter()
        .find_map(|keyword| rest.strip_prefix(keyword))?;
    name.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .next()
}

/// `CamelCase` and `snake_case` alike, in lower case.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    for letter in name.chars() {
        if letter == '_' || letter.is_uppercase() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| letter != '_') {
            word.extend(letter.to_lowercase());
        }
    }
    words.into_iter().filter(|word| !word.is_empty())
}

#[test]
fn nothing_is_left_to_be_done_in_comments() {
    // Put together here, so that this file does not complain about itself.
    let marks = [("TO", "DO"), ("FIX", "ME"), ("XX", "X")];
    let marks: Vec<String> = marks
        .iter()
        .map(|(front, back)| format!("// {front}{back}"))
        .collect();
    let mut culprits = Vec::new();
    for path in files("rs").into_iter().chain(files("proto")) {
        let text = read(&path);
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                culprits.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    complain("do it, or open an issue", &culprits);
}

#[test]
fn every_file_is_part_of_a_crate() {
    let all = files("rs");
    let text: Vec<(PathBuf, String)> = all.iter().map(|path| (path.clone(), read(path))).collect();
    let dead: Vec<String> = all
        .iter()
        .filter(|path| {
            let stem = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let entry = ["main", "lib", "build"].contains(&stem.as_str());
            !entry
                && !is_test_root(path)
                && !text.iter().any(|(other, text)| {
                    is_parent(other, path) && text.lines().any(|line| declares(line, &stem))
                })
        })
        .map(|path| path.display().to_string())
        .collect();
    complain("no file declares these as modules", &dead);
}

/// Whether `other` is where the module in `path` would be declared.
fn is_parent(other: &Path, path: &Path) -> bool {
    let Some(folder) = path.parent() else {
        return false;
    };
    let beside = other.parent() == Some(folder)
        && other
            .file_stem()
            .is_some_and(|stem| stem == "main" || stem == "lib");
    beside || other.with_extension("") == folder
}

/// Cargo finds the files of `crates/NAME/tests` by itself.
fn is_test_root(path: &Path) -> bool {
    let folder = path.parent();
    folder.is_some_and(|folder| {
        folder.ends_with("tests") && folder.with_file_name("Cargo.toml").exists()
    })
}

fn declares(line: &str, module: &str) -> bool {
    let line = line.trim();
    line.ends_with(&format!("mod {module};")) && declared(line) == Some(module)
}

#[test]
fn the_list_of_dependencies_stays_short() {
    let packages = read(&root().join("Cargo.lock"))
        .lines()
        .filter(|line| *line == "[[package]]")
        .count();
    assert!(
        packages <= PACKAGES_MAX,
        "Cargo.lock has {packages} packages: which are worth it?"
    );
}

#[test]
fn every_folder_of_tests_is_listed_with_cargo() {
    let manifest = read(&root().join("tests/Cargo.toml"));
    let unlisted: Vec<String> = fs::read_dir(root().join("tests"))
        .expect("the folder is there")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("main.rs").exists() || path.join("lib.rs").exists())
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .filter(|name| !manifest.contains(&format!("\"{name}/")))
        .collect();
    complain("these folders are built by nothing", &unlisted);
}
