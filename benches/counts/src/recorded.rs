//! The file of what was counted: one line for each piece of work, and what they were counted with.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use crate::{LAYOUT_MAX, TOLERANCE_PERCENT};

/// Where it lies.
pub(crate) const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt");

const HEADING: &str = "\
# How many instructions pure code takes, as valgrind counts them. A test of each room compares them with what it
# counts (benches/counts); more than 5 % of difference is to be meant, and then written down by: make counts
";

/// Begins the line that says what they were counted with.
const WITH: &str = "counted with ";

/// What the file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// What the counts were made with.
    pub(crate) surroundings: String,
    /// By the names of a room and of a piece of work.
    counts: BTreeMap<(String, String), u64>,
}

impl Recorded {
    /// Reads the file; empty when there is none.
    pub(crate) fn read() -> Self {
        Self::parse(&fs::read_to_string(FILE).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let mut recorded = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(surroundings) = line.strip_prefix(WITH) {
                surroundings.clone_into(&mut recorded.surroundings);
            } else if let Some((count, rest)) = line.trim_start().split_once("  ")
                && let Some((room, name)) = rest.split_once(": ")
                && let Ok(count) = count.parse()
            {
                let key = (room.to_owned(), name.to_owned());
                recorded.counts.insert(key, count);
            }
        }
        recorded
    }

    /// Writes the file.
    ///
    /// # Panics
    /// When that fails.
    pub(crate) fn write(&self) {
        fs::write(FILE, self.text()).expect("the tree can be written to");
    }

    fn text(&self) -> String {
        let mut text = format!("{HEADING}{WITH}{}\n", self.surroundings);
        for ((room, name), count) in &self.counts {
            writeln!(text, "{count:>10}  {room}: {name}").expect("strings grow");
        }
        text
    }

    /// Takes these counts for all that is known of a room.
    pub(crate) fn replace(&mut self, room: &str, counts: &[(&str, u64)], surroundings: String) {
        self.counts.retain(|(own, _), _| own != room);
        for (name, count) in counts {
            let key = (room.to_owned(), (*name).to_owned());
            self.counts.insert(key, *count);
        }
        self.surroundings = surroundings;
    }

    /// Where these counts of a room are not about what is recorded.
    pub(crate) fn differences(&self, room: &str, counts: &[(&str, u64)]) -> Vec<String> {
        let of_room = self.counts.iter().filter(|((own, _), _)| own == room);
        let mut known: BTreeMap<&str, u64> = of_room
            .map(|((_, name), count)| (name.as_str(), *count))
            .collect();
        let mut differences: Vec<String> = counts
            .iter()
            .filter_map(|(name, now)| match known.remove(name) {
                Some(before) => difference(room, name, before, *now),
                None => Some(format!("{room}: {name}: nothing is recorded of it")),
            })
            .collect();
        differences.extend(
            known
                .keys()
                .map(|name| format!("{room}: {name}: recorded, and not counted any more")),
        );
        differences
    }
}

fn difference(room: &str, name: &str, before: u64, now: u64) -> Option<String> {
    let percent = before.abs_diff(now) * 100 / before.max(1);
    let (what, word) = if now > before {
        ("more", "What costs that?")
    } else {
        ("fewer", "Well done; record it, so that it stays so.")
    };
    let allowed = (before * TOLERANCE_PERCENT / 100).max(LAYOUT_MAX);
    (before.abs_diff(now) > allowed).then(|| {
        format!(
            "{room}: {name}: {now} instructions, {percent} % {what} than the {before} that are recorded. {word}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "a compiler";

    fn recorded() -> Recorded {
        let mut recorded = Recorded::default();
        let counts = [("a message: short", 10_000), ("another", 20)];
        recorded.replace("smtp", &counts, HERE.to_owned());
        recorded.replace("spool", &[("another", 7)], HERE.to_owned());
        recorded
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Recorded::parse(&recorded().text()), recorded());
    }

    #[test]
    fn a_room_that_is_recorded_anew_forgets_what_it_had() {
        let mut recorded = recorded();
        recorded.replace("smtp", &[("another", 21)], HERE.to_owned());
        assert_eq!(recorded.differences("smtp", &[("another", 21)]), [""; 0]);
        assert_eq!(recorded.differences("spool", &[("another", 7)]), [""; 0]);
    }

    #[test]
    fn only_what_differs_by_much_is_told() {
        let told =
            |count| recorded().differences("smtp", &[("a message: short", count), ("another", 20)]);
        assert_eq!(told(10_500), [""; 0]);
        assert_eq!(told(9500), [""; 0]);
        assert!(told(10_501)[0].contains("5 % more than the 10000"));
        assert!(told(8000)[0].contains("20 % fewer"));
    }

    #[test]
    fn a_small_piece_may_be_laid_out_otherwise() {
        let told = |count| {
            recorded().differences("smtp", &[("a message: short", 10_000), ("another", count)])
        };
        assert_eq!(told(20 + LAYOUT_MAX), [""; 0]);
        assert_eq!(told(21 + LAYOUT_MAX).len(), 1);
    }

    #[test]
    fn what_is_new_or_gone_is_told() {
        let told = recorded().differences("smtp", &[("a message: short", 10_000), ("a third", 1)]);
        assert_eq!(told.len(), 2);
        assert!(told[0].contains("nothing is recorded"), "{told:?}");
        assert!(told[1].contains("not counted any more"), "{told:?}");
    }
}
