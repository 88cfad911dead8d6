//! Bodies that come by BDAT.

use harness::{Letter, Sender, letter::Text};

use crate::scene;

#[test]
fn messages_in_chunks_arrive_octet_for_octet_in_order() {
    let (mut primary, cluster) = scene::outage(3);
    let to = ["a@example.com", "b@example.com"];
    let letters = [
        Letter::of(1, &to[..1], 3_000, Text::Dots),
        Letter::of(2, &to, 3_000, Text::EightBit),
        Letter::of(3, &to[..1], 3 << 20, Text::Dots),
        Letter::of(4, &to, 2 << 20, Text::Plain),
    ];
    let chunks = [7, 1_000, 64 * 1024, usize::MAX];
    for ((letter, octets), host) in letters
        .iter()
        .zip(chunks)
        .zip(cluster.hosts().iter().cycle())
    {
        let mut sender = Sender::connect(*host).unwrap();
        assert!(sender.offers("CHUNKING"));
        let reply = sender.send_in_chunks(letter, octets).unwrap();
        assert!(reply.queued_as().is_some(), "{reply}");
    }
    let account = scene::drain(&cluster, &mut primary, &letters);
    assert_eq!(account.repeated, Vec::<usize>::new());
}

#[test]
fn a_body_that_lacks_its_last_line_end_is_followed_by_nothing_of_the_next() {
    let (mut primary, cluster) = scene::outage(1);
    let mut letters = scene::letters(1..4);
    let mut sender = Sender::connect(cluster.nodes[0].smtp()).unwrap();
    for letter in &mut letters {
        letter.body.extend_from_slice(b"the end.");
        let reply = sender.send_in_chunks(letter, 500).unwrap();
        assert!(reply.queued_as().is_some(), "{reply}");
        // DATA can not carry such a body: it ends in a line of its own.
        letter.body.extend_from_slice(b"\r\n");
    }
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn a_stray_line_end_in_a_chunk_lets_nothing_out() {
    let (_primary, cluster) = scene::outage(1);
    let mut sender = Sender::connect(cluster.nodes[0].smtp()).unwrap();
    for smuggled in ["\n.\n", "\n.\r\n", "\r.\r", "\r\n.\n", "\r.\r\n"] {
        let mut letter = Letter::new(1, "a@example.com", 1_000);
        let text = format!("{smuggled}MAIL FROM:<evil@sender.test>\r\n");
        letter.body.extend_from_slice(text.as_bytes());
        let reply = sender.send_in_chunks(&letter, usize::MAX).unwrap();
        assert_eq!(reply.code, 550, "{smuggled:?}: {reply}");
        assert!(reply.lines[0].starts_with("5.6.11 "), "{reply}");
    }
    assert_eq!(cluster.nodes[0].queued(), Some(0));
}
