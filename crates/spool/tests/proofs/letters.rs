//! Messages to play with: everything about one follows from its id, so that a repeated proposal
//! is the same one and a body can be checked wherever it turns up. A sender that repeats itself sends
//! the same octets under another id.

use std::net::SocketAddr;

use bytes::Bytes;
use smtp::{
    BodyType, ForwardPath, Mailbox, Recipient, ReversePath,
    dsn::{Notify as Wanted, PerMessage, PerRecipient},
};
use spool::{
    Accept, Attempt, Client, Command, Digest, Fingerprint, MessageId, Notify, Report, Stage,
    Timestamp, Verdict,
    notice::{Kind, QUEUE},
    policy::Document,
};

/// The domains that letters go to.
pub(crate) const DOMAINS: [&str; 3] = ["a.example", "b.example", "*.c.example"];

/// A policy that can be founded.
pub(crate) const POLICY: &str =
    "[[domain]]\nname = \"a.example\"\nprimary = [\"mail.a.example\"]\nrecipients = \"verify\"\n";

/// What makes a policy tell every sender, also that his mail waits.
pub(crate) const TALKATIVE: &str = "[queue]\ndsn = \"always\"\ndelay_notice_after = \"30m\"\n";

/// Who is asked to take them.
pub(crate) const HOST: &str = "mail.a.example:25";

/// What the ids of a letter and of the same one sent again differ by.
const AGAIN: u32 = 1 << 16;

/// Letters from this number on are reports on others.
const REPORTS: u32 = 1 << 15;

/// One message before it is in the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Letter(pub(crate) u32);

impl Letter {
    /// The same message, sent once more.
    pub(crate) const fn again(self) -> Self {
        Self(self.0 + AGAIN)
    }

    /// How often it was sent before.
    pub(crate) const fn sendings(self) -> u32 {
        self.0 / AGAIN
    }

    /// What all letters have in common that are the same message.
    pub(crate) const fn content(self) -> u32 {
        self.0 % AGAIN
    }

    pub(crate) fn fingerprint(self) -> Fingerprint {
        Fingerprint(u128::from(self.content()) + 1)
    }

    pub(crate) fn id(self) -> MessageId {
        MessageId(u128::from(self.0))
    }

    pub(crate) fn of(id: MessageId) -> Self {
        Self(u32::try_from(id.0).expect("a letter made the id"))
    }

    /// The report that tells a notice of it. It comes in one piece, or in none.
    pub(crate) const fn told_by(self, kind: Kind) -> Self {
        let number = 3 * self.content() + kind as u32;
        Self(self.sendings() * AGAIN + REPORTS + 4 * number)
    }

    pub(crate) const fn is_report(self) -> bool {
        self.content() >= REPORTS
    }

    /// How many pieces are staged before the tail: 0, 1, 2 or 3.
    pub(crate) const fn pieces(self) -> u32 {
        self.content() % 4
    }

    /// One to three recipients, each as the domain it falls under. Every third letter goes to
    /// two domains.
    pub(crate) fn domains(self) -> Vec<&'static str> {
        let first = DOMAINS[self.content() as usize % DOMAINS.len()];
        if self.is_report() {
            return vec![QUEUE];
        }
        let second = DOMAINS[(self.content() as usize + 1) % DOMAINS.len()];
        match self.content() % 3 {
            0 => vec![first],
            1 => vec![first, second, first],
            _ => vec![first, first],
        }
    }

    pub(crate) fn piece(self, number: u32) -> Bytes {
        Bytes::from(format!("piece {number} of {}\r\n", self.content()))
    }

    /// What comes with the acceptance; every fifth letter has nothing left by then.
    pub(crate) fn tail(self) -> Bytes {
        match self.content() % 5 {
            4 => Bytes::new(),
            _ => Bytes::from(format!("tail of {}\r\n", self.content())),
        }
    }

    pub(crate) fn body(self) -> Vec<u8> {
        let pieces = (0..self.pieces()).flat_map(|number| self.piece(number));
        pieces.chain(self.tail()).collect()
    }

    pub(crate) fn stage(self, number: u32, at: Timestamp) -> Command {
        Command::Stage(Stage {
            id: self.id(),
            number,
            at,
            piece: self.piece(number),
        })
    }

    pub(crate) fn accept(self, received_at: Timestamp) -> Command {
        self.accept_after(received_at, Vec::new())
    }

    /// An acceptance that tells of others whose 250 was read.
    pub(crate) fn accept_after(self, received_at: Timestamp, confirmed: Vec<MessageId>) -> Command {
        Command::Accept(Box::new(self.acceptance(received_at, confirmed)))
    }

    /// Tells its sender of these recipients.
    pub(crate) fn notify(self, kind: Kind, recipients: &[u32], at: Timestamp) -> Command {
        Command::Notify(Notify {
            id: self.id(),
            kind,
            recipients: recipients.to_vec(),
            at,
            report: Box::new(Accept {
                fingerprint: None,
                ..self.told_by(kind).acceptance(at, Vec::new())
            }),
        })
    }

    /// Every fourth letter has nobody to tell, and so have reports.
    fn reverse_path(self) -> ReversePath {
        if self.is_report() || self.content() % 4 == 3 {
            return ReversePath::Null;
        }
        ReversePath::Mailbox(Mailbox {
            local_part: "sender".to_owned(),
            domain: "there.example".to_owned(),
        })
    }

    fn acceptance(self, received_at: Timestamp, confirmed: Vec<MessageId>) -> Accept {
        let recipient = |(number, domain): (usize, &str)| {
            let path = ForwardPath::Mailbox(Mailbox {
                local_part: format!("user{number}"),
                domain: domain.trim_start_matches("*.").to_owned(),
            });
            let recipient = Recipient {
                path,
                dsn: PerRecipient {
                    notify: wanted(number),
                    orcpt: None,
                },
            };
            (recipient, domain.to_owned())
        };
        Accept {
            id: self.id(),
            received_at,
            reverse_path: self.reverse_path(),
            body_type: BodyType::SevenBit,
            smtputf8: false,
            dsn: PerMessage::default(),
            recipients: self
                .domains()
                .into_iter()
                .enumerate()
                .map(recipient)
                .collect(),
            staged: self.pieces(),
            tail: self.tail(),
            size: self.body().len() as u64,
            digest: Digest([0; 32]),
            trace: Bytes::from_static(b"Received: from there by here\r\n"),
            authentication: None,
            client: Client {
                address: SocketAddr::from(([192, 0, 2, 1], 2525)),
                helo: "there".to_owned(),
                tls: None,
            },
            fingerprint: Some(self.fingerprint()),
            confirmed,
        }
    }

    pub(crate) fn confirm(self) -> Command {
        Command::Confirm {
            ids: vec![self.id()],
        }
    }

    pub(crate) fn discard(self) -> Command {
        Command::Discard { id: self.id() }
    }

    pub(crate) fn attempt(self, verdicts: Vec<(u32, Verdict)>) -> Attempt {
        Attempt {
            id: self.id(),
            host: HOST.to_owned(),
            verdicts,
        }
    }

    /// A report of this letter alone.
    pub(crate) fn report(self, at: Timestamp, verdicts: Vec<(u32, Verdict)>) -> Command {
        let attempts = vec![self.attempt(verdicts)];
        Command::Report(Report {
            term: 1,
            at,
            attempts,
        })
    }

    /// A report that everyone has it.
    pub(crate) fn delivered(self, at: Timestamp) -> Command {
        let recipients = 0..self.domains().len() as u32;
        self.report(at, recipients.map(|number| (number, delivered())).collect())
    }
}

/// What a sender wants to know of each recipient: of the first nothing is said, of the second all, of the third
/// nothing.
const fn wanted(number: usize) -> Option<Wanted> {
    match number {
        0 => None,
        1 => Some(Wanted {
            success: true,
            failure: true,
            delay: true,
        }),
        _ => Some(Wanted::NEVER),
    }
}

pub(crate) fn delivered() -> Verdict {
    Verdict::Delivered("250 2.0.0 taken".to_owned())
}

pub(crate) fn relayed() -> Verdict {
    Verdict::Relayed("250 2.0.0 taken, and I tell nothing".to_owned())
}

pub(crate) fn deferred() -> Verdict {
    Verdict::Deferred("451 4.3.0 not now".to_owned())
}

pub(crate) fn rejected() -> Verdict {
    Verdict::Rejected("550 5.1.1 no such user".to_owned())
}

pub(crate) fn found() -> Command {
    found_with("")
}

/// Founds a spool with more in its policy, in front of the rest.
pub(crate) fn found_with(text: &str) -> Command {
    Command::Found {
        cluster: 7,
        policy: Document::of_text(format!("{text}{POLICY}")),
        at: Timestamp(1),
    }
}
