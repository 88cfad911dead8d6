//! How bad something is, and how a terminal shows that.

use std::fmt;

use anstyle::{AnsiColor, Style};
use comfy_table::{Cell, Color};

/// How bad something is. Most things are not graded, so that the others stand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grade {
    /// As it should be: green.
    Well,
    /// Somebody should look: yellow.
    Odd,
    /// Something does not work: red.
    Wrong,
}

impl Grade {
    const fn style(self) -> Style {
        let colour = match self {
            Self::Well => AnsiColor::Green,
            Self::Odd => AnsiColor::Yellow,
            Self::Wrong => AnsiColor::Red,
        };
        colour.on_default()
    }

    /// Text in this colour, for a terminal that shows colours.
    pub(crate) fn painted(self, text: impl fmt::Display) -> String {
        let style = self.style();
        format!("{style}{text}{style:#}")
    }
}

/// A table's cell in the colour of a grade; `Output` takes the colour away where nobody sees it.
pub(crate) fn cell(text: impl ToString, grade: Option<Grade>) -> Cell {
    let cell = Cell::new(text);
    match grade {
        None => cell,
        Some(Grade::Well) => cell.fg(Color::DarkGreen),
        Some(Grade::Odd) => cell.fg(Color::DarkYellow),
        Some(Grade::Wrong) => cell.fg(Color::DarkRed),
    }
}
