//! Standard output: tables for people, one JSON document for programs.

//!
//! Nothing that is written here makes a terminal do anything: where a person watches, control characters are
//! shown and not obeyed, whatever the caller has or has not done about them.

use std::io::{self, Write};

use comfy_table::Table;
use serde::Serialize;

use crate::{
    grade::Grade,
    screen::Screen,
    words::{self, escaped, escaped_lines},
};

/// A line of a message that is longer is shown in pieces.
const LINE_MAX: usize = 64 << 10;

/// Where the answer goes, and in what form.
#[derive(Debug)]
pub(crate) struct Output<W: Write = io::Stdout> {
    json: bool,
    screen: Screen,
    out: io::BufWriter<W>,
    /// Octets of a line whose end has not come; only where a person watches.
    unfinished: Vec<u8>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self::to(io::stdout(), Screen::of_stdout(), json)
    }
}

impl<W: Write> Output<W> {
    fn to(out: W, screen: Screen, json: bool) -> Self {
        Self {
            json,
            screen,
            out: io::BufWriter::new(out),
            unfinished: Vec::new(),
        }
    }

    /// Whether a program reads it.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person watches it, so that a line may be written over.
    pub(crate) const fn is_terminal(&self) -> bool {
        self.screen.is_terminal
    }

    /// Writes the one document of a command.
    pub(crate) fn document(&mut self, document: &impl Serialize) -> io::Result<()> {
        let document = words::json_escaped(&serde_json::to_string_pretty(document)?);
        writeln!(self.out, "{document}")?;
        self.out.flush()
    }

    /// Writes one element of the document `[...]`, which [`Self::array_end`] closes.
    pub(crate) fn array_element(
        &mut self,
        first: bool,
        element: &impl Serialize,
    ) -> io::Result<()> {
        let element = words::json_escaped(&serde_json::to_string(element)?);
        write!(self.out, "{}{element}", if first { "[\n" } else { ",\n" })
    }

    /// Closes the document `[...]`.
    pub(crate) fn array_end(&mut self, empty: bool) -> io::Result<()> {
        self.line(if empty { "[]" } else { "\n]" })
    }

    /// Writes a table; its cells are escaped by who made them.
    pub(crate) fn table(&mut self, table: Table) -> io::Result<()> {
        for line in self.screen.table(table) {
            writeln!(self.out, "{line}")?;
        }
        self.out.flush()
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, line: &str) -> io::Result<()> {
        self.text(line)?;
        self.text("\n")?;
        self.out.flush()
    }

    /// Writes a line that begins with what says how bad it is, in its colour.
    pub(crate) fn graded_line(
        &mut self,
        grade: Option<Grade>,
        verdict: &str,
        rest: &str,
    ) -> io::Result<()> {
        match grade.filter(|_| self.screen.has_colours) {
            Some(grade) => write!(self.out, "{}", grade.painted(escaped(verdict)))?,
            None => self.text(verdict)?,
        }
        self.line(rest)
    }

    /// Writes one of many lines, as long as the terminal is wide; it comes out with the next flush.
    pub(crate) fn row(&mut self, line: &str) -> io::Result<()> {
        let line = self.screen.line(line);
        self.text(&line)?;
        self.text("\n")
    }

    /// Writes a line that the next one of these replaces on a terminal.
    pub(crate) fn passing_line(&mut self, line: &str) -> io::Result<()> {
        if !self.screen.is_terminal {
            return self.line(line);
        }
        // Back to the first column, and clear the line. One that goes round can not be replaced.
        write!(self.out, "\r\x1b[2K{}", self.screen.line(&escaped(line)))?;
        self.out.flush()
    }

    /// Shows how far something is. Standard output is kept for the document, if there is to be one.
    pub(crate) fn progress(&mut self, line: &str) -> io::Result<()> {
        if self.json {
            eprintln!("{line}");
            return Ok(());
        }
        self.passing_line(line)
    }

    /// The same of something whose end is known.
    pub(crate) fn progress_of(&mut self, done: u64, all: u64, line: &str) -> io::Result<()> {
        let bar = if self.json {
            String::new()
        } else {
            self.screen.bar(done, all)
        };
        self.progress(&format!("{bar}{line}"))
    }

    /// Makes room for what comes after progress was shown.
    pub(crate) fn end_progress(&mut self) -> io::Result<()> {
        if self.screen.is_terminal && !self.json {
            self.passing_line("")?;
        }
        Ok(())
    }

    /// Writes text that the next write, or the next line, brings out.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        if !self.screen.is_terminal {
            return self.out.write_all(text.as_bytes());
        }
        for line in text.split_inclusive('\n') {
            for line in escaped_lines(line) {
                self.out.write_all(line.as_bytes())?;
            }
            if line.ends_with('\n') {
                self.out.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    /// Writes octets as they are, or as text where a person watches; they come out with the next flush at
    /// the latest.
    pub(crate) fn octets(&mut self, octets: &[u8]) -> io::Result<()> {
        if !self.screen.is_terminal {
            return self.out.write_all(octets);
        }
        // Characters may be cut in two at the end.
        self.unfinished.extend_from_slice(octets);
        let end = match self.unfinished.iter().rposition(|octet| *octet == b'\n') {
            Some(last) => last + 1,
            None if self.unfinished.len() > LINE_MAX => self.unfinished.len(),
            None => return Ok(()),
        };
        let rest = self.unfinished.split_off(end);
        let lines = std::mem::replace(&mut self.unfinished, rest);
        self.text(&String::from_utf8_lossy(&lines))
    }

    /// Brings out what was written.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.unfinished);
        self.text(&String::from_utf8_lossy(&rest))?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "a\u{1b}]0;evil\u{7}\u{9b}2J\rb\u{202e}\u{7f}";

    fn written(
        screen: Screen,
        json: bool,
        write: impl Fn(&mut Output<&mut Vec<u8>>) -> io::Result<()>,
    ) -> String {
        let mut written = Vec::new();
        let mut output = Output::to(&mut written, screen, json);
        write(&mut output).unwrap();
        output.flush().unwrap();
        drop(output);
        String::from_utf8(written).unwrap()
    }

    const TERMINAL: Screen = Screen {
        is_terminal: true,
        has_colours: true,
        width: None,
    };

    #[test]
    fn nothing_that_is_written_makes_a_terminal_do_anything() {
        type Write = fn(&mut Output<&mut Vec<u8>>) -> io::Result<()>;
        let ways: [(&str, Write); 7] = [
            ("line", |output| output.line(EVIL)),
            ("text", |output| output.text(EVIL)),
            ("row", |output| output.row(EVIL)),
            ("octets", |output| output.octets(EVIL.as_bytes())),
            ("document", |output| output.document(&[EVIL])),
            ("element", |output| output.array_element(true, &EVIL)),
            ("grade", |output| output.graded_line(None, EVIL, EVIL)),
        ];
        for (way, write) in ways {
            let text = written(TERMINAL, false, write);
            let harmful = text.chars().find(|c| *c != '\n' && words::is_harmful(*c));
            assert_eq!(harmful, None, "{way}: {text:?}");
        }
        // These two clear the line, and say how bad it is, and no more.
        let passing = written(TERMINAL, false, |output| output.passing_line(EVIL));
        assert!(!escaped(passing.strip_prefix("\r\x1b[2K").unwrap()).contains('\x1b'));
        assert_eq!(passing.matches('\x1b').count(), 1);
        let graded = written(TERMINAL, false, |output| {
            output.graded_line(Some(Grade::Wrong), EVIL, EVIL)
        });
        assert_eq!(graded.matches('\x1b').count(), 2, "{graded:?}");
    }

    #[test]
    fn a_document_says_the_same_when_it_is_read() {
        let text = written(TERMINAL, true, |output| output.document(&EVIL));
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), EVIL);
    }

    #[test]
    fn what_is_piped_is_not_touched() {
        let text = written(Screen::default(), false, |output| {
            output.octets(EVIL.as_bytes())?;
            output.text(EVIL)
        });
        assert_eq!(text, format!("{EVIL}{EVIL}"));
    }

    #[test]
    fn a_message_that_comes_in_pieces_is_shown_in_lines() {
        let message = "Subject: gr\u{fc}n\r\n\r\n\tb\u{1b}\r\nc".as_bytes();
        let text = written(TERMINAL, false, |output| {
            for octet in message {
                output.octets(&[*octet])?;
            }
            Ok(())
        });
        assert_eq!(text, "Subject: gr\u{fc}n\n\n\tb\\u{1b}\nc");
    }

    #[test]
    fn only_the_verdict_has_a_colour() {
        let line = |screen, grade| {
            written(screen, false, |output| {
                output.graded_line(grade, "!", " all is lost")
            })
        };
        assert_eq!(
            line(TERMINAL, Some(Grade::Wrong)),
            "\u{1b}[31m!\u{1b}[0m all is lost\n"
        );
        assert_eq!(line(TERMINAL, None), "! all is lost\n");
        assert_eq!(
            line(Screen::default(), Some(Grade::Wrong)),
            "! all is lost\n"
        );
    }
}
