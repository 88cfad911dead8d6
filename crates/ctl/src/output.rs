//! Standard output: tables for people, one JSON document for programs.

use std::io::{self, IsTerminal as _, Write};

use comfy_table::{Table, presets};
use serde::Serialize;

/// Where the answer goes, and in what form.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    terminal: bool,
    out: io::BufWriter<io::Stdout>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let out = io::stdout();
        Self {
            json,
            terminal: out.is_terminal(),
            out: io::BufWriter::new(out),
        }
    }

    /// Whether a program reads it.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person watches it, so that a line may be written over.
    pub(crate) const fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Writes the one document of a command.
    pub(crate) fn document(&mut self, document: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut self.out, document)?;
        self.line("")
    }

    /// Writes one element of the document `[...]`, which [`Self::array_end`] closes.
    pub(crate) fn array_element(
        &mut self,
        first: bool,
        element: &impl Serialize,
    ) -> io::Result<()> {
        self.text(if first { "[\n" } else { ",\n" })?;
        serde_json::to_writer(&mut self.out, element)?;
        Ok(())
    }

    /// Closes the document `[...]`.
    pub(crate) fn array_end(&mut self, empty: bool) -> io::Result<()> {
        self.line(if empty { "[]" } else { "\n]" })
    }

    /// Writes a table, with lines around it only where a person watches.
    pub(crate) fn table(&mut self, mut table: Table) -> io::Result<()> {
        table.load_style(if self.terminal {
            presets::UTF8_HORIZONTAL_ONLY
        } else {
            presets::NOTHING
        });
        for line in table.lines() {
            self.line(line.trim_end())?;
        }
        Ok(())
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, line: &str) -> io::Result<()> {
        self.text(line)?;
        self.text("\n")?;
        self.out.flush()
    }

    /// Writes a line that the next one of these replaces on a terminal.
    pub(crate) fn passing_line(&mut self, line: &str) -> io::Result<()> {
        if !self.terminal {
            return self.line(line);
        }
        // Back to the first column, and clear the line.
        write!(self.out, "\r\x1b[2K{line}")?;
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

    /// Makes room for what comes after progress was shown.
    pub(crate) fn end_progress(&mut self) -> io::Result<()> {
        if self.terminal && !self.json {
            self.passing_line("")?;
        }
        Ok(())
    }

    /// Writes text that the next write, or the next line, brings out.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())
    }

    /// Writes octets as they are; they come out with the next flush at the latest.
    pub(crate) fn octets(&mut self, octets: &[u8]) -> io::Result<()> {
        self.out.write_all(octets)
    }

    /// Brings out what was written.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
