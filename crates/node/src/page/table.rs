//! Tables, as all pages have them.

use maud::{Markup, html};

/// A column, by what stands above it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column<'h> {
    /// Words, which begin at the left.
    Words(&'h str),
    /// Figures, which end at the right.
    Figures(&'h str),
    /// What is seen without a heading, for those to whom the page is read.
    Unseen(&'h str),
}

/// A table, which can be moved to and fro where it is wider than the page.
pub(super) fn table(columns: &[Column<'_>], rows: &Markup) -> Markup {
    html! {
        div .wide {
            table {
                thead { tr { @for column in columns { (heading(*column)) } } }
                tbody { (rows) }
            }
        }
    }
}

fn heading(column: Column<'_>) -> Markup {
    html! {
        @match column {
            Column::Words(words) => { th scope="col" { (words) } }
            Column::Figures(words) => { th .number scope="col" { (words) } }
            Column::Unseen(words) => { th scope="col" { span .hidden { (words) } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_said_to_be_of_columns() {
        let columns = [
            Column::Unseen("Choose"),
            Column::Words("<From>"),
            Column::Figures("Size"),
        ];
        let shown = table(&columns, &html! { tr { td { "a" } } }).into_string();
        for part in [
            "<th scope=\"col\"><span class=\"hidden\">Choose</span></th>",
            "<th scope=\"col\">&lt;From&gt;</th>",
            "<th class=\"number\" scope=\"col\">Size</th></tr></thead><tbody><tr>",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }
}
