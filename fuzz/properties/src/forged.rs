//! Fields of a header that claim to be ours.

use core::ops::Range;

use smtp::{
    forged::{Claim, Forged, OwnIds},
    limits::AUTHSERV_ID_WITHIN,
};

use crate::segments::Sent;

const NAME: &[u8] = b"Authentication-Results";

const OWN_ID: &str = "mx.example.com";

struct Own;

/// What a reader takes for a line end besides CRLF.
#[derive(Clone, Copy, Debug)]
struct Reader {
    cr: bool,
    lf: bool,
}

impl OwnIds for Own {
    fn include(&self, claim: &Claim) -> bool {
        claim.is_of(OWN_ID)
    }
}

/// What is left of a message is the same however it arrives. It has no field that claims to be ours, whatever
/// its reader takes for a line end, and of what was sent it lacks nothing but fields of that name.
pub fn forged(data: &[u8]) {
    let Some(sent) = Sent::read(data) else {
        return;
    };
    let message = sent.turns().collect::<Vec<_>>().concat();
    let [whole, single, cut] = sent
        .cuts()
        .map(|mut cut| left(Some(Own), cut.segments(&message)));
    assert_eq!(single, whole, "octet by octet");
    assert_eq!(cut, whole, "cut as the input says");
    for cr in [false, true] {
        for lf in [false, true] {
            let reader = Reader { cr, lf };
            for field in reader.fields(&whole) {
                assert!(!is_ours(&field), "{reader:?}: {}", field.escape_ascii());
            }
        }
    }
    assert_eq!(without_forged_fields(&message), whole);
    assert_eq!(left(Some(Own), vec![&whole]), whole, "once more");
    assert_eq!(left(None, vec![&message]), message, "of who is trusted");
}

/// Passes a message on as soon as that is possible.
fn left(ids: Option<Own>, segments: Vec<&[u8]>) -> Vec<u8> {
    let mut forged = Forged::new(ids);
    let (mut held, mut left) = (Vec::new(), Vec::new());
    for segment in segments {
        held.extend_from_slice(segment);
        while let Some(range) = forged.next(&held) {
            forged.let_go(range.len());
            held.drain(range);
        }
        let settled = forged.settled(held.len());
        left.extend(held.drain(..settled));
        forged.let_go(settled);
        assert!(held.len() <= AUTHSERV_ID_WITHIN);
    }
    if let Some(range) = forged.end() {
        held.drain(range);
    }
    left.append(&mut held);
    left
}

/// A message without what is found in it as a whole: lines that begin with the name.
fn without_forged_fields(message: &[u8]) -> Vec<u8> {
    let mut forged = Forged::new(Some(Own));
    let mut ranges: Vec<Range<usize>> = Vec::new();
    while let Some(range) = forged.next(message) {
        ranges.push(range);
    }
    ranges.extend(forged.end());
    let mut left = message.to_vec();
    for range in ranges.into_iter().rev() {
        let (front, field) = (&message[..range.start], &message[range.clone()]);
        assert!(front.is_empty() || front.ends_with(b"\r") || front.ends_with(b"\n"));
        assert!(field[..NAME.len()].eq_ignore_ascii_case(NAME));
        assert!(field.ends_with(b"\r\n") || range.end == message.len());
        left.drain(range);
    }
    left
}

impl Reader {
    /// The fields of a header, each with its folded lines.
    fn fields(self, message: &[u8]) -> Vec<Vec<u8>> {
        let mut fields: Vec<Vec<u8>> = Vec::new();
        let mut rest = message;
        while !rest.is_empty() {
            let (line, behind) = self.line(rest);
            rest = behind;
            match fields.last_mut() {
                _ if line.is_empty() => break,
                Some(field) if line.starts_with(b" ") || line.starts_with(b"\t") => {
                    field.extend_from_slice(line);
                }
                _ => fields.push(line.to_vec()),
            }
        }
        fields
    }

    /// The first line, and what is behind its end.
    fn line(self, octets: &[u8]) -> (&[u8], &[u8]) {
        for at in 0..octets.len() {
            let (line, rest) = octets.split_at(at);
            let end = match rest {
                [b'\r', b'\n', ..] => 2,
                [b'\r', ..] if self.cr => 1,
                [b'\n', ..] if self.lf => 1,
                _ => continue,
            };
            return (line, &rest[end..]);
        }
        (octets, &[])
    }
}

/// Whether a field claims to be ours without a comment, which readers understand differently.
fn is_ours(field: &[u8]) -> bool {
    let mut parts = field.splitn(2, |octet| *octet == b':');
    let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
        return false;
    };
    let id = value.split(|octet| *octet == b';').next().unwrap_or(value);
    let counts = |octet: &u8| !matches!(octet, 0..=b' ' | 0x7f | b'"' | b'\\');
    let id: Vec<u8> = id.iter().copied().filter(counts).collect();
    name.trim_ascii_end().eq_ignore_ascii_case(NAME) && id.eq_ignore_ascii_case(OWN_ID.as_bytes())
}
