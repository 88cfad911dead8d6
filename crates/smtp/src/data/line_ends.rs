//! Looks for line ends that are none, in octets that need no decoding.

use memchr::memchr2;

/// Whether every CR and every LF of a body are the two halves of a CRLF, over octets that arrive in
/// parts; any partition of the same octets comes to the same.
#[derive(Clone, Debug, Default)]
pub struct LineEnds {
    /// The last octet was a CR.
    after_cr: bool,
    bare: bool,
}

impl LineEnds {
    /// Looks through the next octets.
    pub fn check(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while !self.bare {
            if core::mem::take(&mut self.after_cr) {
                let Some((first, behind)) = rest.split_first() else {
                    self.after_cr = true;
                    return;
                };
                self.bare = *first != b'\n';
                rest = behind;
            }
            let Some(at) = memchr2(b'\r', b'\n', rest) else {
                return;
            };
            match rest.get(at) {
                Some(b'\r') => self.after_cr = true,
                _ => self.bare = true,
            }
            rest = rest.get(at + 1..).unwrap_or_default();
        }
    }

    /// No more octets follow: a CR that waits for its LF has none.
    pub const fn end(&mut self) {
        self.bare |= self.after_cr;
    }

    /// Whether a CR without an LF or an LF without a CR has occurred.
    #[must_use]
    pub const fn has_bare(&self) -> bool {
        self.bare
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_bare(parts: &[&[u8]]) -> bool {
        let mut line_ends = LineEnds::default();
        for part in parts {
            line_ends.check(part);
        }
        line_ends.end();
        line_ends.has_bare()
    }

    #[test]
    fn every_partition_of_every_short_text_is_judged_alike() {
        let letters = [b'\r', b'\n', b'a'];
        for number in 0..3_usize.pow(6) {
            let text: Vec<u8> = (0..6)
                .map(|place| letters[number / 3_usize.pow(place) % 3])
                .collect();
            let without = String::from_utf8(text.clone()).unwrap().replace("\r\n", "");
            let expected = without.contains(['\r', '\n']);
            assert_eq!(has_bare(&[&text]), expected, "{text:?}");
            let single: Vec<&[u8]> = text.chunks(1).collect();
            assert_eq!(has_bare(&single), expected, "{text:?}");
            assert_eq!(
                has_bare(&[&text[..2], b"", &text[2..]]),
                expected,
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_cr_at_the_end_is_bare_only_once_nothing_follows() {
        let mut line_ends = LineEnds::default();
        line_ends.check(b"a\r");
        assert!(!line_ends.has_bare());
        line_ends.end();
        assert!(line_ends.has_bare());
    }
}
