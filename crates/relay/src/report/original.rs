//! What a report gives back of the message that it is about.

use smtp::{BodyType, dsn::Ret};
use spool::notice::Kind;

use super::{
    Notice,
    limits::{HEADER_MAX, LINE_MAX, MESSAGE_ID_MAX, WHOLE_MAX},
    text::Form,
};

/// The message as its sender knows it.
#[derive(Debug, Default)]
pub(super) struct Original {
    /// Its Message-ID, without brackets.
    pub(super) message_id: Option<String>,
    /// What is given back; nothing of one that can not be read.
    pub(super) quoted: Option<Quoted>,
}

#[derive(Debug)]
pub(super) struct Quoted {
    pub(super) content_type: &'static str,
    pub(super) octets: Vec<u8>,
}

impl Original {
    pub(super) fn of(notice: &Notice<'_>, form: Form) -> Self {
        let Some(head) = notice.head else {
            return Self::default();
        };
        let header: Vec<&[u8]> = fields(&notice.message.trace).chain(fields(head)).collect();
        let message_id = header.iter().find_map(|field| message_id(field));
        let quoted = whole(notice, head, &header).unwrap_or_else(|| cut(&header, form));
        Self {
            message_id,
            quoted: Some(quoted),
        }
    }
}

/// All of it, where that is wanted (RFC 3461 section 4.3) and it is mail that may be part of other mail.
fn whole(notice: &Notice<'_>, head: &[u8], header: &[&[u8]]) -> Option<Quoted> {
    let message = notice.message;
    let is_wanted = notice.kind == Kind::Failed
        && message.dsn.ret == Some(Ret::Full)
        && message.body_type != BodyType::BinaryMime;
    let is_there = head.len() as u64 == message.body.size && head.len() <= WHOLE_MAX;
    if !is_wanted || !is_there || !has_sound_lines(head) || !has_sound_lines(&message.trace) {
        return None;
    }
    let has_ascii_header = header.iter().all(|field| field.is_ascii());
    let content_type = if message.smtputf8 && !has_ascii_header {
        "message/global"
    } else {
        "message/rfc822"
    };
    Some(Quoted {
        content_type,
        octets: [&message.trace, head].concat(),
    })
}

/// The fields of the header that there is room for. One that is no text of the form is shown as far as it is.
fn cut(header: &[&[u8]], form: Form) -> Quoted {
    let mut octets = Vec::new();
    for field in header.iter().filter(|field| has_sound_lines(field)) {
        if octets.len() + field.len() > HEADER_MAX {
            break;
        }
        if form == Form::Utf8 && str::from_utf8(field).is_ok() {
            octets.extend_from_slice(field);
        } else {
            let shown = |octet: &u8| if octet.is_ascii() { *octet } else { b'?' };
            octets.extend(field.iter().map(shown));
        }
    }
    let content_type = match form {
        Form::Ascii => "text/rfc822-headers",
        Form::Utf8 => "message/global-headers",
    };
    Quoted {
        content_type,
        octets,
    }
}

/// The fields at the front of a message, each with its continuation lines and final CRLF. One whose end is not
/// there is left out.
fn fields(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = octets;
    core::iter::from_fn(move || {
        if rest.starts_with(b"\r\n") {
            return None;
        }
        let mut end = 0;
        loop {
            let line = rest.get(end..)?;
            end += 1 + memchr::memchr(b'\n', line)?;
            if !matches!(rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (field, behind) = rest.split_at(end);
        rest = behind;
        Some(field)
    })
}

/// Whether no line is too long to be part of another message, and none is ended in an odd way.
fn has_sound_lines(octets: &[u8]) -> bool {
    octets.is_empty()
        || octets.ends_with(b"\r\n")
            && octets.split_inclusive(|octet| *octet == b'\n').all(|line| {
                let text = line.strip_suffix(b"\r\n");
                text.is_some_and(|text| {
                    text.len() <= LINE_MAX && !text.iter().any(|c| matches!(c, b'\r' | 0))
                })
            })
}

/// What a `Message-ID` field names, if it is one and may stand in another header.
fn message_id(field: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"message-id:";
    let (name, value) = field.split_at_checked(NAME.len())?;
    if !name.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let value = str::from_utf8(value).ok()?.trim();
    let id = value.strip_prefix('<')?.strip_suffix('>')?;
    let is_sound = |octet: u8| octet.is_ascii_graphic() && !matches!(octet, b'<' | b'>');
    let fits = (1..=MESSAGE_ID_MAX).contains(&id.len());
    (fits && id.bytes().all(is_sound)).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_end_where_the_header_ends_and_hold_their_continuation_lines() {
        let read = |octets: &'static [u8]| fields(octets).collect::<Vec<_>>();
        assert_eq!(
            read(b"A: 1\r\n\tx\r\n y\r\nB: 2\r\n\r\nC: 3\r\n"),
            [&b"A: 1\r\n\tx\r\n y\r\n"[..], b"B: 2\r\n"]
        );
        assert_eq!(read(b"A: 1\r\nB: is cut"), [b"A: 1\r\n"]);
        assert!(read(b"\r\nbody\r\n").is_empty());
        assert!(read(b"").is_empty());
    }

    #[test]
    fn only_a_sound_message_id_is_referred_to() {
        for (field, expected) in [
            ("Message-ID: <a@b>\r\n", Some("a@b")),
            ("MESSAGE-id:\r\n <a@b>\r\n", Some("a@b")),
            ("Message-ID: <a@b> <c@d>\r\n", None),
            ("Message-ID: <a\r\n\tb>\r\n", None),
            ("Message-ID: <>\r\n", None),
            ("Message-ID: a@b\r\n", None),
            ("Message-IDs: <a@b>\r\n", None),
            ("Message-ID: <\u{e4}@b>\r\n", None),
        ] {
            assert_eq!(message_id(field.as_bytes()).as_deref(), expected, "{field}");
        }
    }

    #[test]
    fn what_may_not_be_a_line_of_mail_is_not_given_back() {
        assert!(has_sound_lines(b"a\r\n\r\nb\r\n"));
        assert!(has_sound_lines(b""));
        for odd in [&b"a\n"[..], b"a", b"a\rb\r\n", b"a\0\r\n"] {
            assert!(!has_sound_lines(odd));
        }
        assert!(!has_sound_lines(
            &[&[b'x'; LINE_MAX + 1][..], b"\r\n"].concat()
        ));
    }
}
