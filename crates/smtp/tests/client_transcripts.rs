//! Plays the dialogues in `transcripts/client/*.txt` against `client::Session`: whole, octet by
//! octet, and cut at random.
//!
//! ```text
//! tls: off | opportunistic | require          default: opportunistic
//! ask: ADDRESS                                a question about a recipient, before any message
//! ask:                                        whether any mail is taken
//! message: FROM -> TO TO ...                  one line for each transaction; FROM may be <>
//! 8bit / binary / utf8 / size: N              of the message above
//! ret: R / envid: E                           of the message above
//! notify: N WHEN / orcpt: N WHOM              of the message's recipient number N
//! origin: ADDRESS NAME HELO                   who brought the message above, called ID1
//! lease: lost                                 of the message above: the final dot is refused
//! stall:                                      of the message above: its body never ends
//! body: TEXT                                  of the message above; \r \n \xHH are octets
//! fill: N                                     of the message above: so many times x
//! S: / C:                                     a line of the server, of the client
//! C| TEXT                                     octets of the client, with the escapes of body
//! C* N                                        the client's: so many times x
//! T:                                          the TLS handshake happens here
//! X:                                          the server closes the connection
//! = N ADDRESS VERDICT REPLY                   what became of message N's recipient
//! = ask ADDRESS OPINION REPLY                 what the server says of one; ADDRESS may be "anything"
//! = refused REPLY                             XCLIENT or XFORWARD was, and is not used any more
//! = closed | closed: WORDS | waiting          how the session ended
//! = another connection                        this one can not speak for who brought the next message
//! ```

#![expect(
    clippy::unwrap_used,
    reason = "a test: a failure here is a failure of the test"
)]

use std::fmt::Write as _;
use std::path::PathBuf;

use proptest::prelude::*;
use smtp::client::{HostName, Opinion, Origin, Output, Session, Tls, Verdict};
use smtp::{BodyType, Envelope, ForwardPath, Mailbox, ReversePath};

#[derive(Clone, Debug)]
struct Outgoing {
    envelope: Envelope,
    origin: Option<Origin>,
    body: Vec<u8>,
    lease: bool,
    stall: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Server(Vec<u8>),
    Client(Vec<u8>),
    Handshake,
    Disconnect,
}

#[derive(Clone, Debug)]
struct Transcript {
    name: String,
    tls: Tls,
    questions: Vec<Option<Mailbox>>,
    messages: Vec<Outgoing>,
    steps: Vec<Step>,
    expected: String,
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        match octet {
            b'\\' => match octets.next() {
                Some(b'r') => out.push(b'\r'),
                Some(b'n') => out.push(b'\n'),
                Some(b'x') => {
                    let digits: String = octets.by_ref().take(2).map(char::from).collect();
                    out.push(u8::from_str_radix(&digits, 16).unwrap());
                }
                other => panic!("unknown escape {other:?} in {text:?}"),
            },
            octet => out.push(octet),
        }
    }
    out
}

fn mailbox(address: &str) -> Mailbox {
    let (local_part, domain) = address.rsplit_once('@').unwrap();
    Mailbox {
        local_part: local_part.into(),
        domain: domain.into(),
    }
}

fn message(line: &str) -> Outgoing {
    let (from, to) = line.split_once(" -> ").unwrap();
    let mut envelope = Envelope::new(match from {
        "<>" => ReversePath::Null,
        from => ReversePath::Mailbox(mailbox(from)),
    });
    envelope.recipients = to
        .split(' ')
        .map(|to| match to {
            "postmaster" => ForwardPath::Postmaster.into(),
            to => ForwardPath::Mailbox(mailbox(to)).into(),
        })
        .collect();
    Outgoing {
        envelope,
        origin: None,
        body: Vec::new(),
        lease: true,
        stall: false,
    }
}

fn parse(name: String, text: &str) -> Transcript {
    let mut transcript = Transcript {
        name,
        tls: Tls::Opportunistic,
        questions: Vec::new(),
        messages: Vec::new(),
        steps: Vec::new(),
        expected: String::new(),
    };
    for line in text.lines() {
        let (key, value) =
            line.split_at(line.find([':', '|', ' ']).map_or(line.len(), |at| at + 1));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match key {
            "#" | "# " | "" => {}
            "tls:" => {
                transcript.tls = match value {
                    "off" => Tls::Off,
                    "require" => Tls::Require,
                    _ => Tls::Opportunistic,
                };
            }
            "ask:" => {
                let asked = (!value.is_empty()).then(|| mailbox(value));
                transcript.questions.push(asked);
            }
            "message:" => transcript.messages.push(message(value)),
            "S:" => {
                let line = [value.as_bytes(), b"\r\n"].concat();
                match transcript.steps.last_mut() {
                    Some(Step::Server(lines)) => lines.extend(line),
                    _ => transcript.steps.push(Step::Server(line)),
                }
            }
            "S|" => transcript.steps.push(Step::Server(unescape(value))),
            "C:" => transcript
                .steps
                .push(Step::Client([value.as_bytes(), b"\r\n"].concat())),
            "C|" => transcript.steps.push(Step::Client(unescape(value))),
            "C* " => transcript.steps.push(Step::Client(filling(value))),
            "T:" => transcript.steps.push(Step::Handshake),
            "X:" => transcript.steps.push(Step::Disconnect),
            "= " | "=" => writeln!(transcript.expected, "= {value}").unwrap(),
            key => {
                let message = transcript.messages.last_mut();
                let known = message.is_some_and(|message| message.describe(key, value));
                assert!(known, "{}: unknown line {key:?}", transcript.name);
            }
        }
    }
    transcript
}

impl Outgoing {
    /// Takes in what a line says of it. Returns whether it was understood.
    fn describe(&mut self, key: &str, value: &str) -> bool {
        let envelope = &mut self.envelope;
        match key {
            "8bit" => envelope.body_type = BodyType::EightBitMime,
            "binary" => envelope.body_type = BodyType::BinaryMime,
            "utf8" => envelope.smtputf8 = true,
            "size:" => envelope.declared_size = Some(value.parse().unwrap()),
            "ret:" => envelope.dsn.ret = Some(value.parse().unwrap()),
            "envid:" => envelope.dsn.envid = Some(value.parse().unwrap()),
            "notify:" | "orcpt:" => {
                let (number, value) = value.split_once(' ').unwrap();
                let number: usize = number.parse().unwrap();
                let dsn = &mut envelope.recipients[number - 1].dsn;
                if key == "notify:" {
                    dsn.notify = Some(value.parse().unwrap());
                } else {
                    dsn.orcpt = Some(value.parse().unwrap());
                }
            }
            "origin:" => self.origin = Some(origin(value)),
            "lease:" => self.lease = value != "lost",
            "stall:" => self.stall = true,
            "body:" => self.body = unescape(value),
            "fill:" => self.body = filling(value),
            _ => return false,
        }
        true
    }
}

fn origin(words: &str) -> Origin {
    let words: Vec<&str> = words.split(' ').collect();
    let [address, name, helo] = words[..] else {
        panic!("no origin: {words:?}");
    };
    Origin {
        address: address.parse().unwrap(),
        name: match name {
            "-" => HostName::Unknown,
            name => HostName::Confirmed(name.into()),
        },
        helo: helo.into(),
        extended: true,
        ident: "ID1".into(),
    }
}

/// So many octets of a body of which nothing but the size matters.
fn filling(octets: &str) -> Vec<u8> {
    vec![b'x'; octets.parse().unwrap()]
}

fn transcripts() -> Vec<Transcript> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir("transcripts/client")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            parse(name, &std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// Drives a session through a transcript.
struct Player<'a> {
    transcript: &'a Transcript,
    session: Session,
    asked: usize,
    next: usize,
    /// Whether the next message's client is passed on.
    passed_on: bool,
    /// Octets of the present message's body that the session has.
    fed: usize,
    awaits_handshake: bool,
    closed: Option<String>,
    account: String,
}

impl<'a> Player<'a> {
    fn new(transcript: &'a Transcript) -> Self {
        Self {
            transcript,
            session: Session::new("client.test", transcript.tls),
            asked: 0,
            next: 0,
            passed_on: false,
            fed: 0,
            awaits_handshake: false,
            closed: None,
            account: String::new(),
        }
    }

    fn record(&mut self, verdicts: Vec<Verdict>) {
        let number = self.next;
        let recipients = &self.transcript.messages[number - 1].envelope.recipients;
        assert_eq!(recipients.len(), verdicts.len(), "{}", self.transcript.name);
        for (recipient, verdict) in recipients.iter().zip(verdicts) {
            let path = &recipient.path;
            let word = match verdict {
                Verdict::Delivered(_) => "delivered",
                Verdict::Deferred(_) => "deferred",
                Verdict::Rejected(_) | Verdict::Refused(_) | Verdict::Unknown(_) => "rejected",
            };
            writeln!(self.account, "= {number} {path} {word} {}", verdict.reply()).unwrap();
        }
    }

    fn record_opinion(&mut self, opinion: &Opinion) {
        let asked = self.transcript.questions[self.asked - 1].as_ref();
        let asked = asked.map_or_else(|| "anything".to_owned(), ToString::to_string);
        let word = match opinion {
            Opinion::Taken(_) => "taken",
            Opinion::Unknown(_) => "unknown",
            Opinion::Unproven(_) => "unproven",
            Opinion::Later(_) => "later",
        };
        writeln!(self.account, "= ask {asked} {word} {}", opinion.reply()).unwrap();
    }

    /// Does the next of what is to be done on a session that is ready.
    fn go_on(&mut self) {
        if let Some(asked) = self.transcript.questions.get(self.asked) {
            self.asked += 1;
            match asked {
                Some(asked) => self.session.ask(ForwardPath::Mailbox(asked.clone())),
                None => self.session.ask_for_any(),
            }
        } else if let Some(message) = self.transcript.messages.get(self.next) {
            if !self.passed_on && !self.session.can_speak_for(message.origin.as_ref()) {
                self.closed = Some("= another connection".into());
                return;
            }
            if let Some(origin) = message.origin.as_ref().filter(|_| !self.passed_on) {
                self.passed_on = true;
                self.session.pass_on(origin.clone());
                return;
            }
            if let Some(refusal) = self.session.take_refusal() {
                writeln!(self.account, "= refused {refusal}").unwrap();
            }
            self.next += 1;
            self.passed_on = false;
            self.fed = 0;
            self.session.deliver(message.envelope.clone());
        } else {
            self.session.quit();
        }
    }

    /// Does all that the session asks for, until it wants the server to speak.
    fn settle(&mut self) {
        while self.closed.is_none() {
            match self.session.poll() {
                Output::Read(_) => return,
                Output::StartTls => {
                    self.awaits_handshake = true;
                    return;
                }
                Output::Ready => self.go_on(),
                Output::SendBody => {
                    let message = &self.transcript.messages[self.next - 1];
                    while self.fed < message.body.len() && !self.session.awaits_chunk() {
                        let rest = &message.body[self.fed..];
                        let part = &rest[..rest.len().min(3)];
                        self.session.send_body(part);
                        self.fed += part.len();
                    }
                    if message.stall {
                        return;
                    }
                    if !self.session.awaits_chunk() {
                        self.session.end_body();
                    }
                }
                Output::ConfirmFinalDot => {
                    if !self.transcript.messages[self.next - 1].lease {
                        self.closed = Some("= dropped".into());
                        return;
                    }
                    self.session.send_final_dot();
                }
                Output::Completed(verdicts) => self.record(verdicts),
                Output::Answered(opinion) => self.record_opinion(&opinion),
                Output::Closed(failure) => {
                    self.closed = Some(match failure {
                        None => "= closed".to_owned(),
                        Some(why) => format!("= closed: {why}"),
                    });
                    return;
                }
            }
        }
    }

    fn play(mut self, cut: &mut dyn FnMut(&[u8]) -> usize) {
        let name = &self.transcript.name;
        for step in &self.transcript.steps {
            self.settle();
            match step {
                Step::Server(octets) => {
                    let mut rest = octets.as_slice();
                    while !rest.is_empty() {
                        let (part, after) = rest.split_at(cut(rest).clamp(1, rest.len()));
                        self.session.receive(part);
                        self.settle();
                        rest = after;
                    }
                }
                Step::Client(octets) => {
                    let outgoing = self.session.outgoing();
                    let sent = outgoing.split_to(octets.len().min(outgoing.len()));
                    assert_eq!(
                        String::from_utf8_lossy(&sent),
                        String::from_utf8_lossy(octets),
                        "{name}: what the client says"
                    );
                }
                Step::Handshake => {
                    assert!(self.awaits_handshake, "{name}: no handshake wanted");
                    self.session.tls_started();
                }
                Step::Disconnect => self.session.disconnected(),
            }
        }
        self.settle();
        let end = self.closed.unwrap_or_else(|| "= waiting".into());
        assert_eq!(
            format!("{}{end}\n", self.account),
            self.transcript.expected,
            "{name}"
        );
        let left = self.session.outgoing();
        assert!(
            end == "= dropped" || left.is_empty(),
            "{name}: unsaid: {left:?}"
        );
    }
}

#[test]
fn every_transcript_plays_whole() {
    let transcripts = transcripts();
    assert!(transcripts.len() >= 20);
    for transcript in &transcripts {
        Player::new(transcript).play(&mut |rest| rest.len());
    }
}

#[test]
fn every_transcript_plays_octet_by_octet() {
    for transcript in &transcripts() {
        Player::new(transcript).play(&mut |_| 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_transcript_plays_cut_at_random(cuts in prop::collection::vec(1usize..40, 1..50)) {
        for transcript in &transcripts() {
            let mut cuts = cuts.iter().cycle();
            Player::new(transcript).play(&mut |_| *cuts.next().unwrap());
        }
    }

    #[test]
    fn arbitrary_servers_neither_break_nor_fill_the_session(
        lines in prop::collection::vec(
            prop_oneof![
                4 => prop::sample::select(vec![
                    "220 x\r\n", "250 x\r\n", "250-x\r\n250 PIPELINING\r\n", "250-x\r\n250 STARTTLS\r\n",
                    "250-x\r\n250 XCLIENT ADDR HELO\r\n", "250-x\r\n250 XFORWARD ADDR\r\n",
                    "250-x\r\n250 CHUNKING\r\n", "250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n",
                    "354 go\r\n", "421 bye\r\n", "452 later\r\n", "550 no\r\n", "250-",
                ]).prop_map(|line| line.as_bytes().to_vec()),
                1 => prop::collection::vec(any::<u8>(), 0..40),
            ],
            0..30,
        ),
        tls in prop::sample::select(vec![Tls::Off, Tls::Opportunistic, Tls::Require]),
    ) {
        let mut session = Session::new("client.test", tls);
        let mut turn = 0;
        let envelope = message("a@b.test -> c@d.test e@d.test").envelope;
        for line in lines {
            session.receive(&line);
            for _ in 0..10 {
                match session.poll() {
                    Output::Read(_) | Output::Closed(_) => break,
                    Output::StartTls => session.tls_started(),
                    Output::Ready => {
                        turn += 1;
                        match turn % 3 {
                            0 => session.ask(ForwardPath::Postmaster),
                            1 => session.pass_on(origin(&format!("192.0.2.{turn}:25 - x"))),
                            _ => session.deliver(envelope.clone()),
                        }
                    }
                    Output::SendBody => {
                        session.send_body(b".x\r\n");
                        session.end_body();
                    }
                    Output::ConfirmFinalDot => session.send_final_dot(),
                    Output::Completed(verdicts) => prop_assert_eq!(verdicts.len(), 2),
                    Output::Answered(_) => {}
                }
            }
            prop_assert!(session.outgoing().len() < 1000);
            session.outgoing().clear();
        }
    }
}
