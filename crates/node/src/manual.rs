//! `layoverd manual`: the man pages of the daemon and of its files.
//!
//! Those of the commands are made from the arguments' definition, that of the files from `docs/configuration.md`,
//! so that each thing is written once.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use clap::Command;
use clap_mangen::Man;

/// What administrators run.
const COMMANDS_SECTION: &str = "8";

/// The keys of both files.
pub(crate) const CONFIGURATION: &str = include_str!("../../../docs/configuration.md");

/// Writes a page for the program, one for each command, and one for the files into a directory, which is made
/// where it is missing.
///
/// # Errors
/// The directory can not be made, or takes no files.
pub(crate) fn write(program: Command, directory: &Path) -> anyhow::Result<()> {
    let failed = || {
        format!(
            "writing man pages to {} failed; name a directory that you may write to",
            directory.display()
        )
    };
    fs::create_dir_all(directory).with_context(failed)?;
    let mut program = program.disable_help_subcommand(true);
    program.build();
    commands(program, directory).with_context(failed)?;
    fs::write(directory.join("layover.toml.5"), files(CONFIGURATION)).with_context(failed)
}

fn commands(command: Command, directory: &Path) -> io::Result<()> {
    for inner in command.get_subcommands() {
        commands(inner.clone(), directory)?;
    }
    let page = Man::new(command).section(COMMANDS_SECTION);
    page.generate_to(directory).map(drop)
}

/// The page `layover.toml(5)`. Of Markdown it knows what that document is written in: headings, paragraphs, lists
/// whose items begin with a name in code, code within a line, and links.
fn files(markdown: &str) -> String {
    let mut page = format!(
        ".TH layover.toml 5 \"\" \"layoverd {}\"\n.SH NAME\nlayover.toml \\- the node file and the policy of Layover\n\
         .SH DESCRIPTION\n",
        env!("CARGO_PKG_VERSION")
    );
    let mut is_open = false;
    for line in markdown.lines() {
        let lines = if let Some(heading) = line.strip_prefix("### ") {
            format!(".SS {}", roff(heading))
        } else if let Some(heading) = line.strip_prefix("## ") {
            format!(".SH {}", roff(&heading.to_uppercase()))
        } else if let Some(item) = line.strip_prefix("- ") {
            let (name, rest) = name_and_rest(item);
            format!(".TP\n{}\n{}", roff(name), roff(rest))
        } else if line.is_empty() || line.starts_with("# ") {
            is_open = false;
            continue;
        } else if is_open {
            roff(line.trim_start())
        } else {
            format!(".PP\n{}", roff(line))
        };
        is_open = !line.starts_with('#');
        page.push_str(&lines);
        page.push('\n');
    }
    page.push_str(".SH SEE ALSO\n.BR layoverd (8),\n.BR layover (1)\n");
    page
}

/// An item's names, in code, and what is said of them.
fn name_and_rest(item: &str) -> (&str, &str) {
    let ends = ["` (", "`: "].into_iter().filter_map(|end| item.find(end));
    let end = ends.min().map_or(item.len(), |end| end + 1);
    let (name, rest) = item.split_at_checked(end).unwrap_or((item, ""));
    (name, rest.trim_start_matches([':', ' ']))
}

/// A line as roff has it: code bold, links their words.
fn roff(line: &str) -> String {
    let mut text = String::new();
    for (number, part) in line.split('`').enumerate() {
        if number % 2 == 1 {
            let code = part.replace('\\', "\\e").replace('-', "\\-");
            text.push_str(&format!("\\fB{code}\\fR"));
        } else {
            text.push_str(&without_links(part).replace('\\', "\\e"));
        }
    }
    if text.starts_with(['.', '\'']) {
        text.insert_str(0, "\\&");
    }
    text
}

/// `[words](where)` becomes `words`.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("](") {
        let (words, target) = (before, behind.split_once(')'));
        let Some((_, after)) = target else { break };
        plain.push_str(&words.replacen('[', "", 1));
        rest = after;
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command as Process, Stdio},
    };

    use clap::CommandFactory as _;

    use super::*;
    use crate::Arguments;

    #[test]
    fn every_command_and_the_files_have_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("man");
        write(Arguments::command(), &directory).unwrap();
        let mut pages: Vec<String> = fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        pages.sort();
        let mut expected = vec!["layover.toml.5".to_owned(), "layoverd.8".to_owned()];
        for command in Arguments::command().get_subcommands() {
            expected.push(format!("layoverd-{}.8", command.get_name()));
        }
        expected.sort();
        assert_eq!(pages, expected);
        for page in pages {
            well_formed(&fs::read_to_string(directory.join(&page)).unwrap(), &page);
        }
        // Written over, as by the next version.
        write(Arguments::command(), &directory).unwrap();
    }

    /// By the judgement of groff, where it is there.
    fn well_formed(page: &str, name: &str) {
        assert!(page.contains(".SH NAME"), "{name}: {page}");
        let started = Process::new("groff")
            .args(["-man", "-ww", "-z", "-Tutf8"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut child) = started else {
            eprintln!("groff is not here");
            return;
        };
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(page.as_bytes()).unwrap();
        drop(stdin);
        let told = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&told.stderr);
        assert!(told.status.success() && said.is_empty(), "{name}: {said}");
    }

    #[test]
    fn a_page_of_files_is_what_the_document_says() {
        let document = "# Title\n\n## The files\n\nIn `a-b`, see\n[there](x.md).\n\n### `[node]`\n\n\
                        - `id = \"\\\"` (number; restart): one\n  or more.\n- `x`, `y`: .dots\n";
        let page = files(document);
        let (_, body) = page.split_once(".SH DESCRIPTION\n").unwrap();
        let (body, _) = body.split_once(".SH SEE ALSO").unwrap();
        assert_eq!(
            body,
            ".SH THE FILES\n.PP\nIn \\fBa\\-b\\fR, see\nthere.\n.SS \\fB[node]\\fR\n\
             .TP\n\\fBid = \"\\e\"\\fR\n(number; restart): one\nor more.\n\
             .TP\n\\fBx\\fR, \\fBy\\fR\n\\&.dots\n"
        );
    }

    #[test]
    fn a_manual_that_can_not_be_written_says_where() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = format!(
            "{:#}",
            write(Arguments::command(), file.path()).unwrap_err()
        );
        assert!(error.starts_with("writing man pages to /"), "{error}");
    }
}
