//! Fields that claim to be ours.

use proptest::{collection::vec, prelude::*, sample::select};

use smtp::limits::AUTHSERV_ID_WITHIN;

use super::*;

fn spooled(message: &str) -> String {
    let passed = pass(Screen::new(Some(own_ids())), [message.as_bytes()]);
    assert_eq!(
        passed.sent,
        (message.len() as u64, digest(message.as_bytes()))
    );
    String::from_utf8(passed.spooled).unwrap()
}

/// Whether a field is taken out, alone, first, between others and last of a header.
fn is_taken_out(field: &str) -> bool {
    let (front, back, body) = (
        "From: a@sender.example\r\n",
        "Subject: x\r\n",
        "\r\nbody\r\n",
    );
    let mut taken_out = Vec::new();
    for (front, back) in [("", ""), ("", back), (front, back), (front, "")] {
        let without = format!("{front}{back}{body}");
        let with = format!("{front}{field}\r\n{back}{body}");
        let spooled = spooled(&with);
        assert!(spooled == with || spooled == without, "{spooled}");
        taken_out.push(spooled == without);
    }
    assert!(taken_out.iter().all(|it| *it == taken_out[0]), "{field}");
    taken_out[0]
}

#[test]
fn every_form_of_a_field_that_claims_to_be_ours_is_taken_out() {
    for field in [
        "Authentication-Results: mx1.example.net; spf=pass smtp.mailfrom=a@sender.example",
        "Authentication-Results: mx3.example.net; spf=pass",
        "Authentication-Results: mx.example.com; none",
        "authentication-RESULTS:MX.Example.COM;dkim=pass",
        "Authentication-Results: mx.example.com.; none",
        "Authentication-Results : mx.example.com; none",
        "Authentication-Results\t: mx.example.com; none",
        "Authentication-Results\r\n : mx.example.com; none",
        "Authentication-Results: mx.example.com 1; none",
        "Authentication-Results: mx.example.com(comment)1; none",
        "Authentication-Results: mx.example.com/1; none",
        "Authentication-Results: \"mx.example.com\"; none",
        "Authentication-Results: \"mx\\.example\\.com\"; none",
        "Authentication-Results: \"mx.\r\n example.com\"",
        "Authentication-Results: (a (nested\\) \"one) b) mx.example.com; none",
        "Authentication-Results:\r\n\tmx.example.com;\r\n\tdkim=pass;\r\n\tspf=pass",
        "Authentication-Results: mx.example.com",
        "Authentication-Results:\r\n (x)\r\n\t \"mx.example.com\" ; none\r\n more",
    ] {
        assert!(is_taken_out(field), "{field}");
    }
}

/// OpenDMARC, for one, reads our id in the first five.
#[test]
fn an_id_in_pieces_is_taken_for_ours() {
    for id in [
        "mx1 . example . net",
        "mx1 (c) .example.net",
        "\"mx1\".example.net",
        "m\\x1.example.net",
        "mx)1.example.net",
        "mx1(c).example.net",
        "mx1\r\n .\r\n\texample.net 1",
        "\"\" mx1.example.net",
        "mx1.exam\0ple.net",
        "mx1.example.net\\(",
        "mx1.example.net. .",
        "(a (b) mx1.example.net",
    ] {
        let field = format!("Authentication-Results: {id}; dkim=pass header.d=victim.example");
        assert!(is_taken_out(&field), "{field}");
    }
}

#[test]
fn what_others_found_out_stays_and_so_does_all_else() {
    for field in [
        "Authentication-Results: mx2.example.net; spf=pass",
        "Authentication-Results: sub.mx.example.com; spf=pass",
        "Authentication-Results: mx.example.co; spf=pass",
        "Authentication-Results: mx.example.community; spf=pass",
        "Authentication-Results: mx.example.com.au; spf=pass",
        "Authentication-Results: mx.example.com-2; spf=pass",
        "Authentication-Results: x (mx.example.com); spf=pass",
        "Authentication-Results: ; mx.example.com",
        "Authentication-Results:",
        "Authentication-Results",
        "Authentication-Result: mx.example.com; spf=pass",
        "Authentication-Results-: mx.example.com; spf=pass",
        "X-Authentication-Results: mx.example.com; spf=pass",
        "ARC-Authentication-Results: i=1; mx.example.com; spf=pass",
        "Subject: x\r\n Authentication-Results: mx.example.com",
        "Subject: x\r\n\tAuthentication-Results: mx.example.com",
    ] {
        assert!(!is_taken_out(field), "{field}");
    }
    let body = "From: a\r\n\r\nAuthentication-Results: mx.example.com; none\r\n";
    assert_eq!(spooled(body), body);
    assert_eq!(spooled(&body[9..]), body[9..]);
    assert_eq!(spooled(""), "");
}

/// Each octet that stays is moved once: otherwise this would take minutes.
#[test]
fn ten_thousands_of_forged_fields_are_taken_out_of_one_read() {
    let forged = "Authentication-Results: mx.example.com; dkim=pass header.d=sender.example\r\n";
    let (mut with, mut without) = (String::new(), String::new());
    for number in 0..50_000 {
        let kept = format!("X-{number}: {}\r\n", "x".repeat(number % 20));
        with += &kept;
        with += &forged.repeat(number % 3);
        without += &kept;
    }
    let body = "\r\nbody\r\n";
    assert_eq!(
        spooled(&format!("{with}{body}")),
        format!("{without}{body}")
    );
}

#[test]
fn a_lone_line_end_hides_no_field_and_ends_no_header() {
    let forged = "Authentication-Results: mx.example.com; none";
    for end in ["\r", "\n"] {
        let with = format!("From: a{end}{forged}\r\n\r\nbody\r\n");
        assert_eq!(spooled(&with), format!("From: a{end}\r\nbody\r\n"));
        let with = format!("From: a{end}{end}{forged}\r\n\r\nbody\r\n");
        assert_eq!(spooled(&with), format!("From: a{end}{end}\r\nbody\r\n"));
    }
}

/// Whether a lone line end ends a field or not, none is left that claims to be ours.
#[test]
fn no_field_comes_together_at_a_lone_line_end() {
    let forged = "Authentication-Results: mx.example.com; none";
    for end in ["\r", "\n"] {
        for field in [
            format!("Authentication-Results:{end}mx.example.com; none"),
            format!("Authentication-Results{end}: mx.example.com; none"),
            format!("Authentication-Results: mx2{end}X: y"),
            format!("{forged}{end}Subject: x"),
            format!("Authentication-Results: {end}{forged}"),
        ] {
            assert!(is_taken_out(&field), "{}", field.escape_debug());
        }
    }
    // What stood behind the empty line stands in the header, for who sees one line end here.
    let with = format!("From: a\r{forged}\r\n\r\n{forged}\r\n\r\nbody\r\n");
    assert_eq!(spooled(&with), "From: a\r\r\n\r\nbody\r\n");
    let with = format!("From: a\r{forged}\r\n\n{forged}\r\n\r\nbody\r\n");
    assert_eq!(spooled(&with), "From: a\r\n\r\nbody\r\n");
}

#[test]
fn an_id_that_is_hidden_behind_much_else_is_taken_for_ours() {
    let hidden = |octets| {
        let comment = "x".repeat(octets);
        format!("Authentication-Results: ({comment}) mx.example.org; none")
    };
    assert!(!is_taken_out(&hidden(AUTHSERV_ID_WITHIN / 2)));
    assert!(is_taken_out(&hidden(AUTHSERV_ID_WITHIN)));
    let spaces = " ".repeat(AUTHSERV_ID_WITHIN);
    assert!(is_taken_out(&format!("Authentication-Results{spaces}")));
    let long = "x".repeat(AUTHSERV_ID_WITHIN);
    assert!(!is_taken_out(&format!("Authentication-Results: {long}")));
}

#[test]
fn a_field_is_taken_out_also_at_the_end_of_a_message_without_a_body() {
    for end in ["", "\r", "\r\n"] {
        let message = format!("From: a\r\nAuthentication-Results: mx.example.com{end}");
        assert_eq!(spooled(&message), "From: a\r\n");
    }
}

#[test]
fn who_is_trusted_keeps_his_fields() {
    let message = b"Authentication-Results: mx.example.com; none\r\n\r\nbody\r\n";
    let passed = pass(Screen::new(None), [&message[..]]);
    assert_eq!(passed.spooled, message);
    let spaces = " ".repeat(AUTHSERV_ID_WITHIN);
    let message = format!("Authentication-Results{spaces}");
    let passed = pass(Screen::new(None), [message.as_bytes()]);
    assert_eq!(passed.spooled, message.as_bytes());
}

#[test]
fn little_is_held_back_however_long_a_field_is() {
    for (front, ids) in [
        ("Authentication-Results: mx.example.com", Some(own_ids())),
        ("Authentication-Results: (", Some(own_ids())),
        ("Authentication-Results: (", None),
        ("x", Some(own_ids())),
    ] {
        let mut screen = Screen::new(ids);
        let mut held = BytesMut::from(front);
        let hasher = Sha256::new();
        let before = Before {
            hasher: &hasher,
            size: 0,
        };
        for _ in 0..100 {
            held.extend_from_slice(&[b'x'; 1000]);
            screen.look(&mut held, before);
            let front = held.split_to(screen.settled(held.len()));
            screen.let_go(&front);
            assert!(held.len() <= AUTHSERV_ID_WITHIN + 1000, "{}", held.len());
        }
    }
}

/// Bits of headers that meet all that the filter looks for.
fn header() -> impl Strategy<Value = String> {
    let bits = select(vec![
        "Authentication-Results:",
        "authentication-results",
        ":",
        " ",
        "\t",
        "\r\n",
        "\r\n",
        "\r",
        "\n",
        "mx.example.com",
        "mx1.example.net",
        "mx2.example.net",
        ".",
        ";",
        "(",
        ")",
        "\"",
        "\\",
        "1",
        "Subject: x\r\n",
        "\r\n\r\n",
        "spf=pass",
        "\r\nAuthentication-Results: mx.example.com; spf=pass\r\n",
        "\r\nAuthentication-Results: (x) \"MX1.example.net\"\r\n\t; spf=pass\r\n",
    ]);
    vec(bits, 0..40).prop_map(|bits| bits.concat())
}

proptest! {
    /// However the octets of a message are split, the same comes of it: what is spooled, what is known to
    /// have been sent, and what it is judged by.
    #[test]
    fn any_split_gives_the_same(message in header(), cuts in vec(1..20_usize, 1..20)) {
        let whole = pass(gathering(Some(own_ids())), [message.as_bytes()]);
        let (mut pieces, mut rest, mut cuts) = (Vec::new(), message.as_bytes(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            pieces.push(piece);
            rest = behind;
        }
        let split = pass(gathering(Some(own_ids())), pieces);
        prop_assert_eq!(&split.spooled, &whole.spooled);
        prop_assert_eq!(whole.sent, (message.len() as u64, digest(message.as_bytes())));
        prop_assert_eq!(split.sent, whole.sent);
        let (split, whole) = (split.gathered.unwrap(), whole.gathered.unwrap());
        prop_assert_eq!(&split.header, &whole.header);
        prop_assert!(message.as_bytes().starts_with(&whole.header.unwrap()));
    }

    /// A message in which nobody claims to be us stays as it is, octet by octet.
    #[test]
    fn nothing_else_is_changed(message in "([A-Z][a-z-]{0,20}:? [ -~]{0,30}(\r\n[ \t][ -~]{0,9})?\r\n){0,5}(\r\n)?(?s:.){0,40}") {
        let passed = pass(Screen::new(Some(own_ids())), [message.as_bytes()]);
        prop_assert_eq!(passed.spooled, message.as_bytes());
    }
}
