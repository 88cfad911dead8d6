//! Counts the `Received` fields of a message as it passes: many of them are a mail loop
//! (RFC 5321 section 6.3), and a few that this very host has written.

use memchr::memchr;

const NAME: &[u8] = b"received";

/// What stands behind our name in the fields that we write ourselves.
pub const TRACE_COMMENT: &str = "(Layover)";

/// Where in the header the next octet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In a line that has agreed with the name so far, in so many octets.
    Name(usize),
    /// In a line that starts with the name, before a colon that may follow blanks.
    Colon,
    /// In what the field says.
    Trace,
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
    own_hops: u32,
    /// Those of the field that the last line belongs to, if it is one that counts.
    words: Option<Words>,
}

/// How far the words of a field agree with `by`, our name and [`TRACE_COMMENT`] in a row.
#[derive(Clone, Copy, Debug)]
struct Words {
    /// So many that are over have.
    agreed: usize,
    /// The one that is under way has in so many octets; `None` when it does not.
    octets: Option<usize>,
}

impl HopCounter {
    pub(super) const fn new() -> Self {
        Self {
            place: Place::Name(0),
            hops: 0,
            own_hops: 0,
            words: None,
        }
    }

    /// `Received` fields so far.
    pub(super) const fn hops(&self) -> u32 {
        self.hops
    }

    /// Those of them that this host has written.
    pub(super) const fn own_hops(&self) -> u32 {
        self.own_hops
    }

    /// Goes on with a part of a message, as the host of that name.
    pub(super) fn count(&mut self, mut octets: &[u8], hostname: &str) {
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
            if self.place == Place::Name(0) && !is_blank(octet) {
                self.words = None;
            }
            let before = self.place;
            self.place = self.step(octet);
            if before == Place::Trace
                && let Some(words) = &mut self.words
                && words.are_ours(octet, hostname)
            {
                self.own_hops = self.own_hops.saturating_add(1);
            }
        }
    }

    fn step(&mut self, octet: u8) -> Place {
        match (self.place, octet) {
            (Place::EmptyLine, b'\n') => Place::Body,
            (_, b'\n') => Place::Name(0),
            (Place::Name(0), b'\r') => Place::EmptyLine,
            (Place::Name(0), _) if is_blank(octet) && self.words.is_some() => Place::Trace,
            (Place::Name(matched), _) => match NAME.get(matched) {
                Some(expected) if octet.to_ascii_lowercase() != *expected => Place::Elsewhere,
                Some(_) if matched + 1 == NAME.len() => Place::Colon,
                Some(_) => Place::Name(matched + 1),
                None => Place::Elsewhere,
            },
            (Place::Colon, b' ' | b'\t') => Place::Colon,
            (Place::Colon, b':') => {
                self.hops = self.hops.saturating_add(1);
                self.words = Some(Words::NONE);
                Place::Trace
            }
            (Place::Trace, _) => Place::Trace,
            (Place::Body, _) => Place::Body,
            _ => Place::Elsewhere,
        }
    }
}

impl Words {
    const NONE: Self = Self {
        agreed: 0,
        octets: Some(0),
    };

    /// Takes one more octet. Says whether the field is ours by it.
    fn are_ours(&mut self, octet: u8, hostname: &str) -> bool {
        let wanted = ["by", hostname, TRACE_COMMENT];
        let word = wanted.get(self.agreed).copied().unwrap_or_default();
        if !octet.is_ascii_whitespace() {
            let expected = |at: usize| word.as_bytes().get(at);
            self.octets = self
                .octets
                .filter(|at| expected(*at).is_some_and(|it| it.eq_ignore_ascii_case(&octet)))
                .map(|at| at + 1);
            return false;
        }
        match self.octets {
            // Blanks in a row.
            Some(0) => return false,
            Some(octets) if octets == word.len() => self.agreed += 1,
            _ => self.agreed = 0,
        }
        self.octets = Some(0);
        let are_ours = self.agreed == wanted.len();
        if are_ours {
            *self = Self::NONE;
        }
        are_ours
    }
}

const fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "mx.example.net";

    /// All hops of a message, and those that are ours.
    fn counted(text: &str) -> (u32, u32) {
        let mut whole = HopCounter::new();
        whole.count(text.as_bytes(), HOST);
        let mut single = HopCounter::new();
        for octet in text.as_bytes().chunks(1) {
            single.count(octet, HOST);
        }
        let both = [whole, single].map(|it| (it.hops(), it.own_hops()));
        assert_eq!(both[0], both[1], "{text:?}");
        both[0]
    }

    fn hops(text: &str) -> u32 {
        counted(text).0
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

    #[test]
    fn a_field_that_this_host_has_written_is_known_however_it_is_folded() {
        for field in [
            "Received: from a (unknown [192.0.2.1])\r\n\tby mx.example.net (Layover) with SMTP id 1;\r\n",
            "received:by MX.example.net (layover) with SMTP\r\n",
            "Received: from a by\r\n  mx.example.net\r\n\t(Layover)\r\n with SMTP\r\n",
        ] {
            assert_eq!(counted(field), (1, 1), "{field}");
            assert_eq!(
                counted(&format!("{field}{field}X: y\r\n\r\n{field}")),
                (2, 2)
            );
        }
    }

    #[test]
    fn fields_of_others_are_not_ours() {
        for field in [
            "Received: from a by mx.example.net (Postfix) with SMTP\r\n",
            "Received: from a by mx2.example.net (Layover) with SMTP\r\n",
            "Received: from a by mx.example.net. (Layover) with SMTP\r\n",
            "Received: from mx.example.net (Layover) by a with SMTP\r\n",
            "Received: from a by mx.example.net with (Layover) SMTP\r\n",
            "Received: from a by\r\nX: mx.example.net (Layover) with SMTP\r\n",
        ] {
            assert_eq!(counted(field), (1, 0), "{field}");
        }
        let other = "Subject: x\r\n by mx.example.net (Layover) with SMTP\r\n";
        assert_eq!(counted(other), (0, 0));
    }
}
