//! Lists that a node streams, shown as they come, however long they are.

use serde::Serialize;
use tonic::{Status, Streaming};

use crate::output::Output;

/// How a list looks to people. Lines go out as they come, so that columns have fixed widths and the one
/// without a bound stands last.
pub(crate) struct Listing<'n, T> {
    /// The line above the first row.
    pub(crate) headings: &'static str,
    /// One row. What does not fit on a narrow terminal is left out at its end.
    pub(crate) row: fn(&T) -> String,
    /// What is said when there are none.
    pub(crate) nothing: &'n str,
}

impl<T: Serialize> Listing<'_, T> {
    /// Shows a list to its end.
    ///
    /// # Errors
    /// The list broke off, or standard output takes nothing.
    pub(crate) async fn show(
        &self,
        mut entries: Streaming<T>,
        output: &mut Output,
    ) -> anyhow::Result<()> {
        let mut is_empty = true;
        let end = loop {
            // A list may be long, and nothing of it what was asked for: that takes the time it takes. A node
            // that is gone does not answer pings.
            let entry = match entries.message().await {
                Ok(Some(entry)) => entry,
                Ok(None) => break Ok(()),
                Err(status) => break Err(broken_off(&status)),
            };
            if output.is_json() {
                output.array_element(is_empty, &entry)?;
            } else {
                if is_empty {
                    output.row(self.headings)?;
                }
                output.row(&(self.row)(&entry))?;
            }
            is_empty = false;
        };
        // What breaks off is one document, too.
        if output.is_json() && (end.is_ok() || !is_empty) {
            output.array_end(is_empty)?;
        } else if is_empty && end.is_ok() && !output.is_json() {
            output.line(self.nothing)?;
        }
        output.flush()?;
        end
    }
}

fn broken_off(status: &Status) -> anyhow::Error {
    anyhow::anyhow!("the list broke off: {}", status.message())
}
