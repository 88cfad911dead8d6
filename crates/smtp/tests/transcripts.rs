//! Plays the server's dialogues against the bare session, cut into segments in several ways, and
//! throws arbitrary octets at it.

#[path = "../../../tests/harness/transcript.rs"]
#[expect(
    unreachable_pub,
    reason = "shared with the harness, where they are public"
)]
mod transcript;

use std::path::Path;

use bytes::BytesMut;
use proptest::prelude::*;
use smtp::{
    EnhancedCode, ForwardPath, Reply, ReversePath,
    command::EtrnNode,
    server::{Output, Question, Session, Settings},
};
use transcript::{Step, Transcript, matches};

/// What came out of a session, without regard to how it went in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Line(String),
    Message(String),
    Body(Vec<u8>),
    Tls,
    Closed,
}

struct Player {
    session: Session,
    body: BytesMut,
    events: Vec<Event>,
}

fn reply(code: u16, subject: u16, detail: u16) -> Reply {
    let class = u8::try_from(code / 100).expect("a code has three digits");
    Reply::new(
        code,
        EnhancedCode::new(class, subject, detail),
        "so the rules of this test have it",
    )
}

fn sender_answer(path: &ReversePath) -> Result<(), Reply> {
    match path.to_string().split('@').next() {
        Some("busy") => Err(reply(452, 3, 1)),
        Some("leaving") => Err(reply(421, 3, 2)),
        _ => Ok(()),
    }
}

fn recipient_answer(path: &ForwardPath) -> Result<(), Reply> {
    let ForwardPath::Mailbox(mailbox) = path else {
        return Ok(());
    };
    if !mailbox.domain.eq_ignore_ascii_case("example.com")
        || mailbox.local_part.contains(['@', '%', '!'])
    {
        let text = "relaying denied: we relay for our own domains only";
        return Err(Reply::new(550, EnhancedCode::new(5, 7, 1), text));
    }
    if mailbox.local_part == "unknown" {
        Err(reply(550, 1, 1))
    } else {
        Ok(())
    }
}

fn etrn_answer(node: &EtrnNode) -> Reply {
    match node.to_string().as_str() {
        "example.com" | "@example.com" => Reply::new(253, EnhancedCode::new(2, 0, 0), "started"),
        "elsewhere.example" => reply(459, 7, 1),
        _ => reply(458, 7, 1),
    }
}

impl Player {
    fn new(settings: Settings) -> Self {
        Self {
            session: Session::new(settings),
            body: BytesMut::new(),
            events: Vec::new(),
        }
    }

    fn gather_replies(&mut self) {
        let replies = self.session.replies().split();
        let text = std::str::from_utf8(&replies).expect("replies are text");
        assert!(text.is_empty() || text.ends_with("\r\n"), "{text:?}");
        self.events.extend(
            text.split_terminator("\r\n")
                .map(|line| Event::Line(line.into())),
        );
    }

    /// Goes on until the session needs input, a handshake, or is over.
    fn run(&mut self) -> Output {
        loop {
            match self.session.next(&mut self.body) {
                Output::Ask(Question::Sender { reverse_path, .. }) => {
                    self.session.answer_sender(sender_answer(&reverse_path));
                }
                Output::Ask(Question::Recipient(path)) => {
                    self.session.answer_recipient(recipient_answer(&path));
                }
                Output::Ask(Question::Etrn(node)) => {
                    self.session.answer_etrn(&etrn_answer(&node));
                }
                Output::Ask(Question::Message(envelope)) => {
                    self.gather_replies();
                    let mut line = format!("<{}>", envelope.reverse_path);
                    for recipient in &envelope.recipients {
                        line.push_str(&format!(" <{}>", recipient.path));
                    }
                    let lost = line.starts_with("<lost@");
                    self.events.push(Event::Message(line));
                    self.events.push(Event::Body(self.body.split().to_vec()));
                    self.session.answer_message(&if lost {
                        reply(451, 3, 0)
                    } else {
                        let text = "Ok: queued as 01ARZ3NDEKTSV4RRFFQ69G5FAV";
                        Reply::new(250, EnhancedCode::new(2, 0, 0), text)
                    });
                }
                Output::Body => assert!(!self.body.is_empty()),
                Output::Discard | Output::Abandon => self.body.clear(),
                Output::Flush => self.gather_replies(),
                output @ (Output::Read | Output::StartTls | Output::Close) => {
                    self.gather_replies();
                    return output;
                }
            }
        }
    }
}

/// How many octets go into each segment.
type Cut<'a> = &'a mut dyn FnMut() -> usize;

fn settings_of(transcript: &Transcript) -> Settings {
    let number = |key: &str| {
        transcript
            .setting(key)
            .map(|value| value.parse::<u64>().expect("a setting is a number"))
    };
    Settings {
        hostname: "mx.example.net".into(),
        size_max: number("size_max").unwrap_or(10_000_000),
        recipients_max: usize::try_from(number("recipients_max").unwrap_or(1000))
            .unwrap_or(usize::MAX),
        starttls: !transcript.has("no-starttls"),
        smtputf8: !transcript.has("no-smtputf8"),
        binary_mime: transcript.has("binarymime"),
    }
}

/// Feeds everything the client says up to the next barrier, cut as told.
fn feed(player: &mut Player, octets: &mut Vec<u8>, cut: Cut<'_>) {
    let mut rest = octets.as_slice();
    while !rest.is_empty() {
        let (segment, behind) = rest.split_at(cut().clamp(1, rest.len()));
        player.session.receive(segment);
        rest = behind;
        player.run();
    }
    octets.clear();
}

fn play(transcript: &Transcript, cut: Cut<'_>) -> Vec<Event> {
    let mut player = Player::new(settings_of(transcript));
    let mut octets = Vec::new();
    if !matches!(transcript.steps.first(), Some(Step::Client(_))) {
        player.run();
    }
    for step in &transcript.steps {
        match step {
            Step::Client(part) => octets.extend_from_slice(part),
            Step::Server(_) | Step::Message(_) | Step::Body(_) | Step::Closed => {}
            Step::Tls => {
                feed(&mut player, &mut octets, cut);
                assert_eq!(player.run(), Output::StartTls, "{}", transcript.name);
                player.events.push(Event::Tls);
                player.session.secured();
            }
            Step::TimeOut | Step::Retire | Step::ShutDown => {
                feed(&mut player, &mut octets, cut);
                match step {
                    Step::TimeOut => player.session.time_out(),
                    Step::Retire => player.session.retire(),
                    _ => player.session.shut_down(),
                }
                player.run();
            }
        }
    }
    feed(&mut player, &mut octets, cut);
    if player.run() == Output::Close {
        player.events.push(Event::Closed);
    }
    player.events
}

fn check(transcript: &Transcript, events: &[Event]) {
    let expected: Vec<&Step> = transcript
        .steps
        .iter()
        .filter(|step| {
            !matches!(
                step,
                Step::Client(_) | Step::TimeOut | Step::Retire | Step::ShutDown
            )
        })
        .collect();
    for (number, step) in expected.iter().enumerate() {
        let agrees = match (step, events.get(number)) {
            (Step::Server(pattern), Some(Event::Line(line))) => matches(pattern, line),
            (Step::Message(envelope), Some(Event::Message(taken))) => envelope == taken,
            (Step::Body(body), Some(Event::Body(taken))) => body == taken,
            (Step::Tls, Some(Event::Tls)) | (Step::Closed, Some(Event::Closed)) => true,
            _ => false,
        };
        let (name, got) = (&transcript.name, events.get(number));
        assert!(
            agrees,
            "{name}: expected {step:?}, got {got:?}\nall of it: {events:#?}"
        );
    }
    let extra = &events[expected.len()..];
    assert!(
        extra.is_empty(),
        "{}: unexpected {extra:?}",
        transcript.name
    );
}

fn corpus() -> Vec<Transcript> {
    Transcript::read_all(Path::new("transcripts/server"))
}

#[test]
fn dialogues_go_as_written_with_all_input_in_one_segment() {
    let corpus = corpus();
    assert!(corpus.len() >= 40);
    for transcript in corpus {
        check(&transcript, &play(&transcript, &mut || usize::MAX));
    }
}

#[test]
fn dialogues_go_the_same_with_every_octet_in_a_segment_of_its_own() {
    for transcript in corpus()
        .iter()
        .filter(|transcript| !transcript.has("whole"))
    {
        check(transcript, &play(transcript, &mut || 1));
    }
}

#[test]
fn dialogues_go_the_same_however_the_input_is_cut() {
    for transcript in corpus()
        .iter()
        .filter(|transcript| !transcript.has("whole"))
    {
        for seed in 0..20_u64 {
            let mut state = seed;
            let mut cut = || {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(seed * 2 + 1);
                1 + usize::try_from(state >> 33).unwrap() % [3, 30, 300][state as usize % 3]
            };
            check(transcript, &play(transcript, &mut cut));
        }
    }
}

#[test]
fn an_unanswered_question_is_a_refusal() {
    let mut player = Player::new(settings_of(&Transcript::parse("", "")));
    player.run();
    player
        .session
        .receive(b"HELO a\r\nMAIL FROM:<a@b.example>\r\n");
    let mut body = BytesMut::new();
    assert!(matches!(player.session.next(&mut body), Output::Ask(_)));
    assert_eq!(player.session.next(&mut body), Output::Read);
    assert!(String::from_utf8_lossy(player.session.replies()).contains("\r\n451 4.3.0 "));
}

#[test]
fn a_flood_of_commands_does_not_gather_replies_without_bound() {
    let mut session = Session::new(settings_of(&Transcript::parse("", "")));
    let mut body = BytesMut::new();
    assert_eq!(session.next(&mut body), Output::Read);
    session.receive(&b"NOOP\r\n".repeat(20_000));
    let mut flushes = 0;
    loop {
        match session.next(&mut body) {
            Output::Flush => flushes += 1,
            Output::Close => break,
            other => panic!("{other:?}"),
        }
        assert!(session.replies().len() < 2 * smtp::limits::REPLIES_MAX);
        session.replies().clear();
    }
    assert!(flushes > 5);
}

/// Words of the language and noise, so that random input gets far into a session.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "HELO a\r\n",
        "MAIL FROM:<a@b.example>\r\n",
        "MAIL FROM:<> SIZE=10\r\n",
        "MAIL FROM:<\u{e4}@b.example> SMTPUTF8 RET=FULL ENVID=x\r\n",
        "MAIL FROM:<> BODY=BINARYMIME\r\n",
        "RCPT TO:<c@example.com>\r\n",
        "RCPT TO:<c@other.example>\r\n",
        "RCPT TO:<\u{e4}@example.com> NOTIFY=NEVER ORCPT=rfc822;x\r\n",
        "DATA\r\n",
        "ETRN example.com\r\n",
        "ETRN #x\r\n",
        "BDAT 0 LAST\r\n",
        "BDAT 9\r\n",
        "BDAT 13 LAST\r\n",
        "BDAT 1999\r\n",
        "BDAT 99999999999\r\n",
        "RSET\r\n",
        "text\r\n",
        "Received: x\r\n",
        "..\r\n",
        ".\r\n",
        "\r\n",
        "\r",
        "\n",
        ".",
    ];
    let word = prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec());
    let noise = prop::collection::vec(any::<u8>(), 0..20);
    let long = (900_usize..1200).prop_map(|length| vec![b'x'; length]);
    prop::collection::vec(prop_oneof![20 => word, 2 => noise, 1 => long], 0..60)
        .prop_map(|parts| parts.concat())
}

fn outcome(octets: &[u8], cut: Cut<'_>) -> (Vec<Event>, bool) {
    let settings = Settings {
        hostname: "mx.example.net".into(),
        size_max: 2000,
        recipients_max: 3,
        starttls: false,
        smtputf8: true,
        binary_mime: true,
    };
    let mut player = Player::new(settings);
    player.run();
    feed(&mut player, &mut octets.to_vec(), cut);
    let closed = player.run() == Output::Close;
    (player.events, closed)
}

proptest! {
    #[test]
    fn any_octets_cut_in_any_way_come_to_the_same(
        octets in fragments(),
        cuts in prop::collection::vec(1_usize..100, 1..20),
    ) {
        let whole = outcome(&octets, &mut || usize::MAX);
        prop_assert_eq!(&outcome(&octets, &mut || 1), &whole);
        let mut cuts = cuts.into_iter().cycle();
        prop_assert_eq!(&outcome(&octets, &mut || cuts.next().unwrap_or(1)), &whole);
    }

    #[test]
    fn a_body_in_chunks_comes_out_as_it_was_or_not_at_all(
        body in prop::collection::vec(prop::sample::select(b"\r\n.a".to_vec()), 0..40),
        sizes in prop::collection::vec(0_usize..8, 0..8),
        segment in 1_usize..50,
    ) {
        let mut wire = b"HELO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@example.com>\r\n".to_vec();
        let mut rest = body.as_slice();
        for size in sizes {
            let (chunk, behind) = rest.split_at(size.min(rest.len()));
            wire.extend_from_slice(format!("BDAT {}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            rest = behind;
        }
        wire.extend_from_slice(format!("BDAT {} LAST\r\n", rest.len()).as_bytes());
        wire.extend_from_slice(rest);
        wire.extend_from_slice(b"QUIT\r\n");
        let (events, closed) = outcome(&wire, &mut || segment);
        let bodies: Vec<&Event> = events.iter().filter(|e| matches!(e, Event::Body(_))).collect();
        let text = String::from_utf8_lossy(&body).replace("\r\n", "");
        let expected = Event::Body(body);
        if text.contains(['\r', '\n']) {
            prop_assert!(bodies.is_empty());
        } else {
            prop_assert_eq!(bodies, [&expected]);
        }
        let farewell = Event::Line("221 2.0.0 Bye".to_owned());
        prop_assert_eq!(events.last(), Some(&farewell));
        prop_assert!(closed);
    }

    #[test]
    fn a_body_that_was_stuffed_comes_out_as_it_was(
        lines in prop::collection::vec("[.a-c]{0,5}", 0..20),
        at in any::<prop::sample::Index>(),
    ) {
        let body: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let stuffed: String = lines
            .iter()
            .map(|line| if line.starts_with('.') { format!(".{line}\r\n") } else { format!("{line}\r\n") })
            .collect();
        let wire = stuffed + ".\r\n";
        let (first, second) = wire.as_bytes().split_at(at.index(wire.len()));
        let mut decoder = smtp::data::Decoder::new();
        let mut decoded = Vec::new();
        prop_assert!(!decoder.decode(first, |run| decoded.extend_from_slice(run)).ended);
        let consumed = decoder.decode(second, |run| decoded.extend_from_slice(run));
        prop_assert_eq!((consumed.ended, consumed.octets), (true, second.len()));
        prop_assert!(!decoder.has_bare_line_end());
        prop_assert_eq!(decoded, body.into_bytes());
    }
}
