//! A server's whole dialogue with the client.

use smtp::{
    BodyType, Envelope, ForwardPath, Mailbox, ReversePath,
    client::{Failure, Opinion, Output, Session, Tls, Verdict},
    limits::LAST_CHUNK_MAX,
};

use crate::segments::{Cut, Sent};

/// Transactions and questions in one session.
const ERRANDS_MAX: usize = 8;

/// A server's octets come to the same however they arrive: commands, verdicts, and how the session
/// ends. Only a message whose end was sent is delivered, and only a permanent reply refuses it for good.
pub fn client_session(data: &[u8]) {
    let Some(sent) = Sent::read(data) else {
        return;
    };
    let [whole, single, cut] = sent.cuts().map(|cut| Dialogue::play(&sent, cut));
    assert_eq!(single, whole, "octet by octet");
    assert_eq!(cut, whole, "cut as the input says");
}

/// What comes out of a session, without regard to how the server's octets arrived.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Said(Vec<u8>),
    Secured,
    Completed(Vec<Verdict>),
    Answered(Opinion),
    Closed(Option<Failure>),
}

struct Dialogue {
    session: Session,
    envelope: Envelope,
    body: Vec<u8>,
    /// What is left to be fed of it in this transaction.
    to_feed: usize,
    end_sent: bool,
    errands: usize,
    events: Vec<Event>,
}

impl Dialogue {
    fn play(sent: &Sent<'_>, mut cut: Cut<'_>) -> Vec<Event> {
        let tls = match (sent.chooses(0), sent.chooses(1)) {
            (false, false) => Tls::Opportunistic,
            (false, true) => Tls::Off,
            (true, _) => Tls::Require,
        };
        let large = if sent.chooses(2) { LAST_CHUNK_MAX } else { 0 };
        let mut dialogue = Self {
            session: Session::new("relay.example.net", tls),
            envelope: envelope(sent.chooses(3)),
            body: [b".\r\nx\r\n..\r\n\n.\n\r.".as_slice(), &vec![b'x'; large]].concat(),
            to_feed: 0,
            end_sent: false,
            errands: 0,
            events: Vec::new(),
        };
        for turn in sent.turns() {
            for segment in cut.segments(turn) {
                dialogue.session.receive(segment);
            }
            dialogue.go_on();
        }
        dialogue.session.disconnected();
        dialogue.go_on();
        dialogue.events
    }

    /// Does all that the session asks for, until it wants the server to speak.
    fn go_on(&mut self) {
        loop {
            match self.session.poll() {
                Output::Read(_) => break,
                Output::StartTls => {
                    self.events.push(Event::Secured);
                    self.session.tls_started();
                }
                Output::Ready => self.begin(),
                Output::SendBody => self.feed(),
                Output::ConfirmFinalDot => {
                    self.end_sent = true;
                    self.session.send_final_dot();
                }
                Output::Completed(verdicts) => {
                    self.check(&verdicts);
                    self.events.push(Event::Completed(verdicts));
                }
                Output::Answered(opinion) => self.events.push(Event::Answered(opinion)),
                Output::Closed(failure) => {
                    self.events.push(Event::Closed(failure));
                    break;
                }
            }
        }
        let said = self.session.outgoing().split().to_vec();
        self.events.push(Event::Said(said));
    }

    /// The next question or message on a session that is ready.
    fn begin(&mut self) {
        self.errands += 1;
        self.end_sent = false;
        self.to_feed = self.body.len();
        if self.errands > ERRANDS_MAX {
            self.session.quit();
        } else if self.errands % 3 == 1 {
            self.session.ask(ForwardPath::Postmaster);
        } else {
            self.session.deliver(self.envelope.clone());
        }
    }

    fn feed(&mut self) {
        while self.to_feed > 0 && !self.session.awaits_chunk() {
            let rest = &self.body[self.body.len() - self.to_feed..];
            let part = &rest[..rest.len().min(1000)];
            self.session.send_body(part);
            self.to_feed -= part.len();
        }
        if !self.session.awaits_chunk() {
            self.session.end_body();
        }
    }

    fn check(&self, verdicts: &[Verdict]) {
        assert_eq!(verdicts.len(), self.envelope.recipients.len());
        for verdict in verdicts {
            let reply = verdict.reply();
            match verdict {
                Verdict::Delivered(_) => assert!(self.end_sent && reply.is_positive()),
                Verdict::Rejected(_) | Verdict::Refused(_) | Verdict::Unknown(_) => {
                    assert!(reply.is_permanent());
                }
                Verdict::Deferred(_) => {}
            }
        }
    }
}

/// One with something that only some servers take, if that is wanted.
fn envelope(demanding: bool) -> Envelope {
    let mailbox = |local_part: &str| Mailbox {
        local_part: local_part.into(),
        domain: "example.com".into(),
    };
    let mut envelope = Envelope::new(ReversePath::Mailbox(mailbox("sender")));
    let names = if demanding {
        ["a", "\u{e4}"]
    } else {
        ["a", "b"]
    };
    envelope.recipients = names
        .map(|name| ForwardPath::Mailbox(mailbox(name)).into())
        .into();
    if demanding {
        envelope.smtputf8 = true;
        envelope.body_type = BodyType::BinaryMime;
    }
    envelope
}
