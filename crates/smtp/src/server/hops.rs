//! Counts the `Received` fields of a message as it passes: many of them are a mail loop
//! (RFC 5321 section 6.3).

use memchr::memchr;

const NAME: &[u8] = b"received";

/// Where in the header the next octet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In a line that has agreed with the name so far, in so many octets.
    Name(usize),
    /// In a line that starts with the name, before a colon that may follow blanks.
    Colon,
    /// In a line of no interest.
    Elsewhere,
    /// Behind a CR at the start of a line: an LF makes it the empty line.
    EmptyLine,
    /// Behind the header.
    Body,
}

/// Counts over a header that arrives in parts.
#[derive(Clone, Debug)]
pub(super) struct HopCounter {
    place: Place,
    hops: u32,
}

impl HopCounter {
    pub(super) const fn new() -> Self {
        Self {
            place: Place::Name(0),
            hops: 0,
        }
    }

    /// `Received` fields so far.
    pub(super) const fn hops(&self) -> u32 {
        self.hops
    }

    pub(super) fn count(&mut self, mut octets: &[u8]) {
        while self.place != Place::Body {
            if self.place == Place::Elsewhere {
                let Some(end) = memchr(b'\n', octets) else {
                    return;
                };
                octets = octets.get(end + 1..).unwrap_or_default();
                self.place = Place::Name(0);
            }
            let Some((&octet, rest)) = octets.split_first() else {
                return;
            };
            octets = rest;
            self.place = self.step(octet);
        }
    }

    fn step(&mut self, octet: u8) -> Place {
        match (self.place, octet) {
            (Place::EmptyLine, b'\n') => Place::Body,
            (_, b'\n') => Place::Name(0),
            (Place::Name(0), b'\r') => Place::EmptyLine,
            (Place::Name(matched), _) => match NAME.get(matched) {
                Some(expected) if octet.to_ascii_lowercase() != *expected => Place::Elsewhere,
                Some(_) if matched + 1 == NAME.len() => Place::Colon,
                Some(_) => Place::Name(matched + 1),
                None => Place::Elsewhere,
            },
            (Place::Colon, b' ' | b'\t') => Place::Colon,
            (Place::Colon, b':') => {
                self.hops = self.hops.saturating_add(1);
                Place::Elsewhere
            }
            (Place::Body, _) => Place::Body,
            _ => Place::Elsewhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hops(text: &str) -> u32 {
        let mut whole = HopCounter::new();
        whole.count(text.as_bytes());
        let mut single = HopCounter::new();
        for octet in text.as_bytes().chunks(1) {
            single.count(octet);
        }
        assert_eq!(whole.hops(), single.hops(), "{text:?}");
        whole.hops()
    }

    #[test]
    fn received_fields_count_in_any_case() {
        assert_eq!(
            hops("Received: a\r\nRECEIVED : b\r\nreceived:c\r\nSubject: Received:\r\n"),
            3
        );
    }

    #[test]
    fn other_fields_folded_lines_and_the_body_do_not_count() {
        assert_eq!(
            hops("Received-SPF: x\r\nX-Received: y\r\n Received: folded\r\nReceive: z\r\n"),
            0
        );
        assert_eq!(hops("Received: a\r\n\r\nReceived: b\r\nReceived: c\r\n"), 1);
        assert_eq!(hops("\r\nReceived: a\r\n"), 0);
        assert_eq!(hops(""), 0);
    }
}
