//! Characters that make an address look like another one.
//!
//! RFC 6531 section 3.3 lets any character beyond ASCII stand in an address, and leaves it to profiles which
//! are sensible. Those for names of users (RFC 8265 section 3, by RFC 8264 section 9.13) and for domains
//! (RFC 5892 section 2.6) refuse all that are ignored where they are not understood. With such a character an
//! address reads in logs, on the page, and in a terminal as somebody else's, or turns the rest of the line
//! about; no mailbox is known to need one. So it is refused where a client names it. What is stored already is
//! not looked at: it was accepted.

/// The joiner and the non-joiner, without which some Persian and Indic names cannot be written.
const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];

/// Whether a text holds one. A joiner is one unless it stands between letters beyond ASCII: RFC 5892 appendix A
/// asks for more, which takes tables.
pub(crate) fn holds_unseen(text: &str) -> bool {
    if text.is_ascii() {
        return false;
    }
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        if JOINERS.contains(&character) {
            let after = rest.peek().copied();
            if !before.is_some_and(is_joined) || !after.is_some_and(is_joined) {
                return true;
            }
        } else if is_ignored(character) {
            return true;
        }
        before = Some(character);
    }
    false
}

const fn is_joined(character: char) -> bool {
    !character.is_ascii() && !matches!(character, '\u{200c}' | '\u{200d}')
}

/// The format characters of Unicode, and the others of its property `Default_Ignorable_Code_Point`, but for
/// the joiners.
const fn is_ignored(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'
            | '\u{200e}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_the_writing_about_or_cannot_be_seen_is_found() {
        for character in ('\u{202a}'..='\u{202e}')
            .chain('\u{2066}'..='\u{2069}')
            .chain("\u{200b}\u{200e}\u{200f}\u{feff}\u{ad}\u{61c}\u{2060}\u{e0041}".chars())
        {
            for text in [
                format!("{character}"),
                format!("ann{character}@example.com"),
                format!("\u{e4}{character}\u{e4}"),
            ] {
                assert!(holds_unseen(&text), "{}", text.escape_unicode());
            }
        }
    }

    #[test]
    fn names_in_any_script_hold_none() {
        for text in [
            "ann@example.com",
            "J\u{f6}rg@b\u{fc}cher.example",
            "\u{7528}\u{6237}@\u{4f8b}\u{5b50}.example",
            "\u{627}\u{62d}\u{645}\u{62f}@example.com",
            // Combining marks, and what no table of a few years ago had.
            "e\u{301}@example.com",
            "\u{1f40c}@example.com",
        ] {
            assert!(!holds_unseen(text), "{text}");
        }
    }

    #[test]
    fn a_joiner_stands_between_letters_that_it_joins() {
        let (joiner, non_joiner) = ('\u{200d}', '\u{200c}');
        for (text, expected) in [
            (
                format!("\u{646}\u{627}\u{645}{non_joiner}\u{647}\u{627}"),
                false,
            ),
            (format!("\u{915}\u{94d}{joiner}\u{937}"), false),
            (format!("an{joiner}n"), true),
            (format!("{non_joiner}\u{646}"), true),
            (format!("\u{646}{non_joiner}"), true),
            (format!("\u{646}{joiner}{joiner}\u{646}"), true),
        ] {
            assert_eq!(holds_unseen(&text), expected, "{}", text.escape_unicode());
        }
    }
}
