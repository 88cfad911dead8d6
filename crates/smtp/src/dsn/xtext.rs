//! The encoding that lets any text be the value of a parameter (RFC 3461 section 4).

/// The xtext that stands for a text.
pub(crate) fn encoded(text: &str) -> String {
    let mut xtext = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_graphic() && !matches!(octet, b'+' | b'=') {
            xtext.push(char::from(octet));
        } else {
            xtext.push_str(&format!("+{octet:02X}"));
        }
    }
    xtext
}

/// Whether a text is xtext, and what it stands for printable ASCII.
pub(super) fn is_printable(text: &str) -> bool {
    text.is_ascii() && is_printable_beyond_ascii(text)
}

/// The same of a text that may hold characters beyond ASCII, which stand for themselves (RFC 6533
/// section 3). None may be a control character: reports and logs show it.
pub(super) fn is_printable_beyond_ascii(text: &str) -> bool {
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        let sound = match character {
            '+' => stands_for_printable(rest.next(), rest.next()),
            '=' => false,
            '!'..='~' => true,
            _ => !character.is_ascii() && !character.is_control(),
        };
        if !sound {
            return false;
        }
    }
    true
}

/// What xtext stands for. Where it is not sound, it is left as it is.
pub(super) fn decoded(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('+') {
        let octet = after
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push_str(before);
        decoded.push(octet.map_or('+', char::from));
        rest = match octet {
            Some(_) => after.get(2..).unwrap_or_default(),
            None => after,
        };
    }
    decoded + rest
}

/// Two digits in upper case, which stand for an octet of printable ASCII.
fn stands_for_printable(high: Option<char>, low: Option<char>) -> bool {
    let digit = |character: Option<char>| {
        character
            .filter(|digit| !digit.is_ascii_lowercase())
            .and_then(|digit| digit.to_digit(16))
    };
    match (digit(high), digit(low)) {
        (Some(high), Some(low)) => (0x20..=0x7e).contains(&(high * 16 + low)),
        _ => false,
    }
}

/// Whether a text is an atom (RFC 5322 section 3.2.3).
pub(super) fn is_atom(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(crate::address::is_atext)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xtext_gives_a_meaning_to_is_encoded() {
        assert_eq!(encoded("mail.[1.2.3.4]"), "mail.[1.2.3.4]");
        assert_eq!(encoded("a+b=c d\r\n"), "a+2Bb+3Dc+20d+0D+0A");
        assert!(is_printable(&encoded("a+b=c d")));
    }
}
