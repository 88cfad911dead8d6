//! What is hashed while a message arrives, against what the library makes of the whole of it.

use mail_auth::{AuthenticatedMessage, dkim::Canonicalization};
use proptest::{collection::vec, prelude::*, sample::select};

use super::{evidence::Unreadable, signer::Form, *};
use crate::inbound::limits::{HEADER_MAX, SHORT_HEADER_MAX};

const HEADER: &[u8] = b"From: a@sender.example\r\nSubject: a  subject \r\n\r\n";

/// Signed in every form at once.
fn signed(body: &[u8]) -> Vec<u8> {
    let mut message = [HEADER, body].concat();
    for form in [Form::Simple, Form::Relaxed] {
        let signer = Signer {
            body: form,
            header: form,
            ..Signer::new("sender.example")
        };
        message = signer.signed(&message);
    }
    message
}

fn gather<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Gathered {
    pass(gathering(Some(own_ids())), pieces).gathered.unwrap()
}

fn hashes(gathered: &Gathered) -> Vec<(Canonicalization, Vec<u8>)> {
    let hash = |(form, hash): &(Canonicalization, _)| (*form, AsRef::<[u8]>::as_ref(hash).to_vec());
    gathered
        .bodies
        .iter()
        .map(|(form, output)| hash(&(*form, output)))
        .collect()
}

/// What the library makes of a message that is there as a whole.
fn whole(message: &[u8]) -> Vec<(Canonicalization, Vec<u8>)> {
    let message = AuthenticatedMessage::parse(message).unwrap();
    let hash = |(form, _, _, hash): &(_, _, _, Vec<u8>)| (*form, hash.clone());
    message.body_hashes.iter().map(hash).collect()
}

#[test]
fn bodies_come_to_what_the_library_makes_of_them() {
    for body in [
        &b""[..],
        b"\r\n",
        b"\r\n\r\n\r\n",
        b"text\r\n",
        b"text",
        b"text\r\n\r\n\r\n",
        b" text  with \t white space \r\n \r\n\t\r\n",
        b"a\rb\nc\r\n",
    ] {
        let message = signed(body);
        let gathered = gather([&message[..]]);
        assert_eq!(
            hashes(&gathered),
            whole(&message),
            "{}",
            body.escape_ascii()
        );
        assert_eq!(gathered.bodies.len(), 2);
    }
}

#[test]
fn nothing_is_hashed_for_nobody() {
    let message = [HEADER, b"DKIM-Signature: v=1\r\n"].concat();
    assert!(gather([&message[..]]).bodies.is_empty());
    let broken = b"DKIM-Signature: v=1; a=rsa-sha256; d=x\r\nFrom: a\r\n\r\nbody\r\n";
    assert!(gather([&broken[..]]).bodies.is_empty());
}

#[test]
fn a_header_that_is_too_long_is_not_kept() {
    let long = |octets| [&b"X: "[..], &vec![b'x'; octets], b"\r\n\r\nbody\r\n"].concat();
    let lost = |screen, octets| {
        let message = long(octets);
        let gathered = pass(screen, message.chunks(1000)).gathered.unwrap();
        gathered.header.err()
    };
    let of_places = |places| {
        let mut screen = Screen::new(None);
        screen.gather(Evidence::new(Arc::new(Semaphore::new(places))));
        screen
    };
    let (too_long, no_room) = (Some(Unreadable::TooLong), Some(Unreadable::NoRoom));
    assert_eq!(lost(of_places(1), HEADER_MAX - 100), None);
    assert_eq!(lost(of_places(1), HEADER_MAX), too_long);
    assert_eq!(lost(of_places(0), SHORT_HEADER_MAX - 100), None);
    assert_eq!(lost(of_places(0), SHORT_HEADER_MAX), no_room);
}

#[test]
fn a_place_for_a_long_header_is_given_back() {
    let places = Arc::new(Semaphore::new(1));
    let mut screen = Screen::new(None);
    screen.gather(Evidence::new(Arc::clone(&places)));
    let message = [&b"X: "[..], &[b'x'; 2 * SHORT_HEADER_MAX], b"\r\n\r\n"].concat();
    let passed = pass(screen, [&message[..]]);
    assert_eq!(places.available_permits(), 0);
    drop(passed);
    assert_eq!(places.available_permits(), 1);
}

proptest! {
    /// However a body is split on its way, it comes to the same.
    #[test]
    fn any_split_comes_to_the_same(
        bits in vec(select(vec!["a", " ", "\t", "\r\n", "\r\n", "\r", "\n", "text"]), 0..30),
        cut in 1..50_usize,
    ) {
        let message = signed(bits.concat().as_bytes());
        let gathered = gather(message.chunks(cut));
        prop_assert_eq!(hashes(&gathered), whole(&message));
    }
}
