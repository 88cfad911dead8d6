//! A client's whole dialogue with the server: commands, DATA, BDAT and STARTTLS.

use bytes::BytesMut;
use smtp::{
    BodyType, EnhancedCode, ForwardPath, Reply, ReversePath,
    command::EtrnNode,
    limits::COMMAND_LINE_MAX,
    reply::Parser,
    server::{Output, Question, Session, Settings},
};

use crate::segments::{Cut, Sent};

/// Octets of the largest message, so that small input finds the limit.
const SIZE_MAX: u64 = 300;

/// Recipients of a message at most.
const RECIPIENTS_MAX: usize = 3;

/// A client's octets come to the same however they arrive: replies, questions, and the octets of
/// bodies. No body that is taken is too long, or has in it what could be taken for the end of one.
///
/// What is sent behind STARTTLS, in clear, is noticed when it is there by then, and else is taken for
/// the handshake: nothing is said of a client that does this.
pub fn server_session(data: &[u8]) {
    let Some(sent) = Sent::read(data) else {
        return;
    };
    let [Some(whole), Some(single), Some(cut)] = sent.cuts().map(|cut| Dialogue::play(&sent, cut))
    else {
        return;
    };
    assert_eq!(single, whole, "octet by octet");
    assert_eq!(cut, whole, "cut as the input says");
    for event in &whole {
        if let Event::Replies(replies) = event {
            are_replies(replies);
        }
    }
}

/// What comes out of a session, without regard to how the client's octets arrived.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    /// Octets to the client.
    Replies(Vec<u8>),
    Question(Question),
    Body(Vec<u8>),
    Secured,
    Closed,
}

struct Dialogue {
    session: Session,
    body: BytesMut,
    events: Vec<Event>,
}

impl Dialogue {
    /// Nothing when the client does not wait for the handshake.
    fn play(sent: &Sent<'_>, mut cut: Cut<'_>) -> Option<Vec<Event>> {
        let mut dialogue = Self {
            session: Session::new(Settings {
                hostname: "mx.example.net".into(),
                size_max: SIZE_MAX,
                recipients_max: RECIPIENTS_MAX,
                starttls: !sent.chooses(2),
                smtputf8: sent.chooses(0),
                binary_mime: sent.chooses(1),
            }),
            body: BytesMut::new(),
            events: Vec::new(),
        };
        let mut wanted = dialogue.go_on();
        for turn in sent.turns() {
            for segment in cut.segments(turn) {
                if wanted == Output::StartTls {
                    return None;
                }
                dialogue.session.receive(segment);
                wanted = dialogue.go_on();
            }
            if wanted == Output::StartTls {
                dialogue.events.push(Event::Secured);
                dialogue.session.secured();
                wanted = dialogue.go_on();
            }
        }
        if wanted == Output::Close {
            dialogue.events.push(Event::Closed);
        }
        Some(dialogue.events)
    }

    /// Goes on until the session needs octets or a handshake, or is over.
    fn go_on(&mut self) -> Output {
        loop {
            let output = self.session.next(&mut self.body);
            self.gather_replies();
            match output {
                Output::Ask(question) => self.answer(question),
                Output::Body => assert!(!self.body.is_empty()),
                Output::Discard | Output::Abandon => self.body.clear(),
                Output::Flush => {}
                Output::Read => {
                    assert!(self.session.unread().len() < COMMAND_LINE_MAX);
                    return output;
                }
                Output::StartTls | Output::Close => return output,
            }
        }
    }

    fn gather_replies(&mut self) {
        let fresh = self.session.replies().split();
        match self.events.last_mut() {
            _ if fresh.is_empty() => {}
            Some(Event::Replies(replies)) => replies.extend_from_slice(&fresh),
            _ => self.events.push(Event::Replies(fresh.to_vec())),
        }
    }

    fn answer(&mut self, question: Question) {
        match &question {
            Question::Sender { reverse_path, .. } => {
                self.session.answer_sender(sender_answer(reverse_path));
            }
            Question::Recipient(path) => self.session.answer_recipient(recipient_answer(path)),
            Question::Etrn(node) => self.session.answer_etrn(&etrn_answer(node)),
            Question::Message(envelope) => {
                let body = self.body.split().to_vec();
                assert!(body.len() as u64 <= SIZE_MAX);
                assert!((1..=RECIPIENTS_MAX).contains(&envelope.recipients.len()));
                assert!(envelope.body_type == BodyType::BinaryMime || !has_bare_line_end(&body));
                self.events.push(Event::Body(body));
                self.session.answer_message(&match &envelope.reverse_path {
                    ReversePath::Null => reply(451, 3, 0),
                    ReversePath::Mailbox(_) => reply(250, 0, 0),
                });
            }
        }
        self.events.push(Event::Question(question));
    }
}

fn reply(code: u16, subject: u16, detail: u16) -> Reply {
    let class = if code < 400 { 2 } else { 4 };
    Reply::new(code, EnhancedCode::new(class, subject, detail), "so it is")
}

fn sender_answer(path: &ReversePath) -> Result<(), Reply> {
    match path {
        ReversePath::Mailbox(mailbox) if mailbox.local_part == "busy" => Err(reply(452, 3, 1)),
        ReversePath::Mailbox(mailbox) if mailbox.local_part == "leaving" => Err(reply(421, 3, 2)),
        _ => Ok(()),
    }
}

fn recipient_answer(path: &ForwardPath) -> Result<(), Reply> {
    match path {
        ForwardPath::Mailbox(mailbox) if mailbox.local_part == "later" => Err(reply(450, 2, 0)),
        _ => Ok(()),
    }
}

fn etrn_answer(node: &EtrnNode) -> Reply {
    match node {
        EtrnNode::Domain(_) => reply(253, 0, 0),
        EtrnNode::Subdomains(_) | EtrnNode::Queue(_) => reply(458, 7, 1),
    }
}

fn has_bare_line_end(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).replace("\r\n", "");
    text.contains(['\r', '\n'])
}

fn are_replies(octets: &[u8]) {
    let mut parser = Parser::default();
    let mut rest = octets;
    while !rest.is_empty() {
        let (used, _) = parser.advance(rest).expect("the server sends replies only");
        rest = &rest[used..];
    }
    assert!(!parser.is_mid_reply());
}
