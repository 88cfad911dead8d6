//! `layover completions` and `layover manual`: what shells and `man` are told of the command line.
//!
//! Both are made from the arguments' definition, so that they are always of this very version.

use std::{fs, path::Path};

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{arguments::Arguments, output::Output};

/// Writes the script that completes commands in a shell.
pub(crate) fn completions(output: &mut Output, shell: Shell) -> anyhow::Result<()> {
    output.octets(&script(shell))?;
    Ok(output.flush()?)
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "layover", &mut script);
    script
}

/// Writes a page for the program and one for each command into a directory, which is made where it is
/// missing.
///
/// # Errors
/// The directory can not be made, or takes no files.
pub(crate) fn manual(directory: &Path) -> anyhow::Result<()> {
    let failed = || {
        format!(
            "writing man pages to {} failed; name a directory that you may write to",
            directory.display()
        )
    };
    fs::create_dir_all(directory).with_context(failed)?;
    clap_mangen::generate_to(Arguments::command(), directory).with_context(failed)
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use clap::{Command as Definition, ValueEnum as _};

    use super::*;

    /// `layover-queue-list` for every command that is shown.
    fn names(of: &Definition, name: &str) -> Vec<String> {
        let mut found = vec![name.to_owned()];
        for command in of
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
        {
            found.extend(names(command, &format!("{name}-{}", command.get_name())));
        }
        found
    }

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("man");
        manual(&directory).unwrap();
        let names = names(&Arguments::command(), "layover");
        assert!(names.contains(&"layover-queue-list".to_owned()));
        for name in &names {
            let page = fs::read_to_string(directory.join(format!("{name}.1")))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(page.contains(".SH SYNOPSIS"), "{name}: {page}");
        }
        let pages = fs::read_dir(&directory).unwrap().count();
        assert_eq!(pages, names.len(), "a page of no command");
        // Written over, as by the next version.
        manual(&directory).unwrap();
    }

    #[test]
    fn a_manual_that_can_not_be_written_says_where() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = format!("{:#}", manual(file.path()).unwrap_err());
        assert!(error.starts_with("writing man pages to /"), "{error}");
    }

    #[test]
    fn every_shell_is_told_every_command() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for word in ["transfer-leader", "older", "allow-list"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }

    /// Asked of those that are here.
    #[test]
    fn shells_accept_their_scripts() {
        for (shell, program) in [
            (Shell::Bash, "bash"),
            (Shell::Zsh, "zsh"),
            (Shell::Fish, "fish"),
        ] {
            let started = Command::new(program)
                .args(["-n", "/dev/stdin"])
                .stdin(Stdio::piped())
                .spawn();
            let Ok(mut child) = started else {
                eprintln!("{program} is not here");
                continue;
            };
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(&script(shell)).unwrap();
            drop(stdin);
            assert!(child.wait().unwrap().success(), "{program}");
        }
    }

    #[test]
    fn bash_completes_a_command() {
        let asked = "COMP_WORDS=(layover queue su) COMP_CWORD=2; _layover layover su queue; echo \"${COMPREPLY[*]}\"";
        let script = String::from_utf8(script(Shell::Bash)).unwrap();
        let Ok(output) = Command::new("bash")
            .args(["--norc", "-c", &format!("{script}\n{asked}")])
            .output()
        else {
            eprintln!("bash is not here");
            return;
        };
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "summary");
    }
}
