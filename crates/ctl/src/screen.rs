//! What standard output leads to: a terminal of some width, or a file or program that wants everything.

use std::{
    env,
    ffi::OsStr,
    io::{self, IsTerminal as _},
};

use comfy_table::{ColumnConstraint, Table, Width, presets};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// A column is made no narrower than this.
const COLUMN_MIN: u16 = 8;

/// What a column takes besides its text: a space on each side.
const PADDING: u16 = 2;

/// The same where room is short: a space behind it.
const PADDING_LEAST: u16 = 1;

/// Places of a bar that shows how far something is.
const BAR: usize = 20;

/// What stands between two columns.
const GAP: usize = 1;

/// No word ends here, so that a cell is cut just where its column ends.
const NO_DELIMITER: char = '\0';

/// Who reads what is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Screen {
    /// Whether a person watches.
    pub(crate) is_terminal: bool,
    /// Whether colours are shown and wanted.
    pub(crate) has_colours: bool,
    /// Columns of the terminal; absent when nothing is to be shortened.
    pub(crate) width: Option<u16>,
}

impl Screen {
    /// What standard output leads to.
    pub(crate) fn of_stdout() -> Self {
        if !io::stdout().is_terminal() {
            return Self::default();
        }
        Self {
            is_terminal: true,
            has_colours: wants_colours(
                env::var_os("NO_COLOR").as_deref(),
                env::var_os("TERM").as_deref(),
            ),
            width: Table::new().width().filter(|width| *width > 0),
        }
    }

    /// The lines of a table, with rules between them only where a person watches; there it is made to fit.
    pub(crate) fn table(&self, mut table: Table) -> Vec<String> {
        table.force_no_tty();
        if self.has_colours {
            table.enforce_styling().style_text_only();
        }
        table.load_style(if self.is_terminal {
            presets::UTF8_HORIZONTAL_ONLY
        } else {
            presets::NOTHING
        });
        if let Some(width) = self.width {
            narrow(&mut table, width);
        }
        table
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect()
    }

    /// How far something is, drawn for a person who watches: `[#####...............] `.
    pub(crate) fn bar(&self, done: u64, all: u64) -> String {
        if !self.is_terminal {
            return String::new();
        }
        let part = u128::from(done.min(all)) * BAR as u128 / u128::from(all.max(1));
        let part = usize::try_from(part).unwrap_or(BAR);
        format!("[{}{}] ", "#".repeat(part), ".".repeat(BAR - part))
    }

    /// A line that is not longer than the terminal is wide.
    pub(crate) fn line(&self, line: &str) -> String {
        match self.width {
            Some(width) => shortened(line, usize::from(width)),
            None => line.to_owned(),
        }
    }
}

/// <https://no-color.org>: set and not empty.
fn wants_colours(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb")
}

/// Makes a table fit, as far as that can be: spaces go first, then columns of nothing but 0, from the last on,
/// and then the widest column is shortened, again and again.
fn narrow(table: &mut Table, width: u16) {
    let full = table.column_max_content_widths();
    if taken(&full, PADDING) <= usize::from(width) {
        return;
    }
    let zero: Vec<bool> = (0..full.len())
        .map(|column| {
            let mut cells = table.column_cells_iter(column).flatten();
            cells.all(|cell| cell.content() == "0")
        })
        .collect();
    let headings: Vec<u16> = table
        .header()
        .into_iter()
        .flat_map(|header| header.cell_iter())
        .map(|cell| u16::try_from(cell.content().width()).unwrap_or(u16::MAX))
        .collect();
    let mut widths = full.clone();
    for column in (0..widths.len()).rev().filter(|column| zero[*column]) {
        if taken(&widths, PADDING_LEAST) > usize::from(width) {
            widths[column] = 0;
        }
    }
    while let Some(excess) = taken(&widths, PADDING_LEAST).checked_sub(usize::from(width))
        && excess > 0
        && let Some(widest) = widest(&widths, &headings)
    {
        widths[widest] -= 1;
    }
    for (column, (own, full)) in widths.iter().zip(full).enumerate() {
        let Some(column) = table.column_mut(column) else {
            continue;
        };
        column.set_padding((0, PADDING_LEAST));
        if *own == 0 {
            column.set_constraint(ColumnConstraint::Hidden);
        } else if *own < full {
            column.set_delimiter(NO_DELIMITER);
            let width = Width::Fixed(own.saturating_add(PADDING_LEAST));
            column.set_constraint(ColumnConstraint::Absolute(width));
        }
    }
    for row in table.row_iter_mut() {
        row.max_height(1);
    }
}

/// What a table takes whose columns have these widths; none is shown that has none.
fn taken(widths: &[u16], padding: u16) -> usize {
    let columns = widths.iter().filter(|own| **own > 0);
    let columns = columns.map(|own| usize::from(own.saturating_add(padding)) + GAP);
    columns.sum::<usize>().saturating_sub(GAP)
}

/// The column to be shortened next: none is made narrower than its heading.
fn widest(widths: &[u16], headings: &[u16]) -> Option<usize> {
    let least = |column: usize| COLUMN_MIN.max(headings.get(column).copied().unwrap_or(0));
    (0..widths.len())
        .filter(|column| widths[*column] > least(*column))
        .max_by_key(|column| widths[*column])
}

/// Text in at most `width` columns; an ellipsis stands for what is left out.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut taken = 1;
    for c in text.chars() {
        taken += c.width().unwrap_or(0);
        if taken > width {
            break;
        }
        short.push(c);
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use crate::grade::{Grade, cell};

    use super::*;

    fn table() -> Table {
        let mut table = Table::new();
        table.set_header(["DOMAIN", "PRIMARY"]);
        table.add_row([
            cell("example.com", None),
            cell(
                "down for 3 minutes 4 seconds, being probed: connection refused",
                Some(Grade::Wrong),
            ),
        ]);
        table
    }

    fn screen(width: u16) -> Screen {
        Screen {
            is_terminal: true,
            has_colours: false,
            width: Some(width),
        }
    }

    #[test]
    fn a_bar_is_for_those_who_watch() {
        for (done, all, drawn) in [
            (0, 8, "[....................] "),
            (2, 8, "[#####...............] "),
            (8, 8, "[####################] "),
            (9, 8, "[####################] "),
            (0, 0, "[....................] "),
        ] {
            assert_eq!(screen(80).bar(done, all), drawn);
            assert_eq!(Screen::default().bar(done, all), "");
        }
    }

    #[test]
    fn the_widest_column_is_shortened_on_a_narrow_terminal() {
        let lines = screen(40).table(table());
        assert_eq!(lines[1], "DOMAIN       PRIMARY");
        assert_eq!(lines[3], "example.com  down for 3 minutes 4 seco…");
        assert_eq!(lines[0].width(), 40);
        assert_eq!(lines.len(), 5, "{lines:?}");
    }

    #[test]
    fn a_table_that_fits_is_left_alone() {
        let whole = screen(200).table(table());
        assert!(whole[3].ends_with("connection refused"));
        let exact = u16::try_from(whole[0].width()).unwrap();
        assert_eq!(screen(exact).table(table()), whole);
        let tight = screen(exact - 2).table(table());
        assert!(tight[3].ends_with("connection refused"), "spaces go first");
        assert!(screen(exact - 3).table(table())[3].ends_with("connection refus…"));
    }

    #[test]
    fn several_wide_columns_share_what_there_is() {
        let mut table = Table::new();
        table.set_header(["A", "B", "C"]);
        table.add_row(["x".repeat(60), "y".repeat(50), "z".to_owned()]);
        let lines = screen(45).table(table);
        let x = lines[3].matches('x').count();
        let y = lines[3].matches('y').count();
        assert!(x.abs_diff(y) <= 1, "{x}, {y}");
        assert_eq!(lines[3].matches('…').count(), 2);
        assert_eq!(lines[0].width(), 45);
    }

    #[test]
    fn a_column_of_nothing_goes_before_words_do() {
        let mut table = Table::new();
        table.set_header(["DOMAIN", "WAITING", "HELD", "REJECTED"]);
        table.add_row(["example.com", "3", "0", "0"]);
        table.add_row(["example.org", "0", "0", "0"]);
        let headings = |width| screen(width).table(table.clone()).swap_remove(1);
        assert_eq!(headings(34), "DOMAIN       WAITING  HELD");
        assert_eq!(headings(25), "DOMAIN       WAITING");
        assert_eq!(headings(19), "DOMAIN     WAITING");
    }

    #[test]
    fn headings_stay_whole_however_narrow_it_is() {
        let lines = screen(5).table(table());
        assert!(lines[1].contains("DOMAIN") && lines[1].contains("PRIMARY"));
        assert!(lines[3].contains("down fo…"), "{lines:?}");
    }

    #[test]
    fn what_is_piped_is_whole_and_without_colours() {
        let lines = Screen::default().table(table());
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[1].ends_with("connection refused"));
        assert!(!lines.concat().contains('\x1b'));
        assert_eq!(Screen::default().line(&"x".repeat(500)).len(), 500);
    }

    #[test]
    fn a_shortened_cell_keeps_its_colour() {
        let coloured = Screen {
            has_colours: true,
            ..screen(40)
        };
        let line = coloured.table(table()).swap_remove(3);
        assert!(
            line.contains("\x1b[38;5;1mdown for 3 minutes 4 seco…\x1b["),
            "{line:?}"
        );
    }

    #[test]
    fn colours_can_be_refused() {
        let wants = |no_color: Option<&str>, term: Option<&str>| {
            wants_colours(no_color.map(OsStr::new), term.map(OsStr::new))
        };
        assert!(wants(None, None));
        assert!(wants(Some(""), Some("xterm")));
        assert!(!wants(Some("1"), Some("xterm")));
        assert!(!wants(None, Some("dumb")));
    }

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(shortened("日本語の件名", 12), "日本語の件名");
        assert_eq!(shortened("日本語の件名", 8), "日本語…");
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!(shortened("abcd", 3), "ab…");
    }
}
