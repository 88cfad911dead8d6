//! How a primary is to misbehave.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The points of a session at which something can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Before the greeting.
    Connect,
    /// EHLO or HELO.
    Ehlo,
    /// MAIL.
    Mail,
    /// RCPT.
    Recipient,
    /// DATA.
    Data,
    /// The final dot, before the message is recorded.
    Dot,
    /// The message is recorded, its 250 not yet written.
    AfterDot,
}

/// An extension that a primary offers only when it is told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Offer {
    /// SMTPUTF8.
    SmtpUtf8,
    /// CHUNKING.
    Chunking,
    /// BINARYMIME.
    BinaryMime,
    /// DSN.
    Dsn,
}

impl Offer {
    /// Its name in the reply to EHLO.
    pub(super) const fn keyword(self) -> &'static str {
        match self {
            Self::SmtpUtf8 => "SMTPUTF8",
            Self::Chunking => "CHUNKING",
            Self::BinaryMime => "BINARYMIME",
            Self::Dsn => "DSN",
        }
    }

    /// What must be offered for a parameter of MAIL or RCPT to be taken.
    pub(super) fn for_parameter(parameter: &str) -> Option<Self> {
        let parameter = parameter.to_ascii_uppercase();
        let keyword = parameter.split('=').next().unwrap_or_default();
        match keyword {
            "SMTPUTF8" => Some(Self::SmtpUtf8),
            "RET" | "ENVID" | "NOTIFY" | "ORCPT" => Some(Self::Dsn),
            "BODY" if parameter == "BODY=BINARYMIME" => Some(Self::BinaryMime),
            _ => None,
        }
    }
}

/// Standing orders of a primary; the default is to behave.
#[derive(Clone, Debug, Default)]
pub struct Cue {
    /// Full reply lines by recipient, as `450 4.2.1 mailbox busy`; each time it is named.
    pub recipients: BTreeMap<String, String>,
    /// The only recipients there are besides the postmaster; everybody when there is no such list.
    pub mailboxes: Option<BTreeSet<String>>,
    /// Full reply lines by stage, said instead of the usual reply, so many times.
    pub replies: BTreeMap<Stage, (usize, String)>,
    /// The connection breaks at this stage, so many times.
    pub drops: BTreeMap<Stage, usize>,
    /// A wait before the reply at this stage.
    pub pauses: BTreeMap<Stage, Duration>,
    /// What is offered besides PIPELINING, SIZE, 8BITMIME and ENHANCEDSTATUSCODES.
    pub offers: BTreeSet<Offer>,
    /// The SIZE that EHLO tells instead of the usual; 0 is no limit.
    pub size: Option<usize>,
}

impl Cue {
    /// Says `reply` to a recipient until [`Self::forgive`].
    pub fn refuse(&mut self, recipient: &str, reply: &str) {
        self.recipients
            .insert(recipient.to_owned(), reply.to_owned());
    }

    /// Has no recipients but these until [`Self::forgive`].
    pub fn have(&mut self, mailboxes: &[&str]) {
        let mailboxes = mailboxes.iter().map(|mailbox| (*mailbox).to_owned());
        self.mailboxes = Some(mailboxes.collect());
    }

    /// Takes mail for every recipient again.
    pub fn forgive(&mut self) {
        self.recipients.clear();
        self.mailboxes = None;
    }

    /// Why a recipient is refused.
    pub(super) fn refusal(&self, to: &str) -> Option<String> {
        let unknown = self.mailboxes.as_ref().is_some_and(|mailboxes| {
            let to = to.to_ascii_lowercase();
            !mailboxes.contains(&to) && !to.starts_with("postmaster")
        });
        let refused = self.recipients.get(to).cloned();
        refused.or_else(|| unknown.then(|| "550 5.1.1 no such user here".to_owned()))
    }

    /// Tells this SIZE from now on.
    pub fn tell_size(&mut self, octets: usize) {
        self.size = Some(octets);
    }

    /// Says `reply` the next `times` at a stage.
    pub fn answer(&mut self, stage: Stage, times: usize, reply: &str) {
        self.replies.insert(stage, (times, reply.to_owned()));
    }

    /// Breaks the connection the next `times` at a stage.
    pub fn hang_up(&mut self, stage: Stage, times: usize) {
        self.drops.insert(stage, times);
    }

    /// Waits before each reply at a stage.
    pub fn pause(&mut self, stage: Stage, time: Duration) {
        self.pauses.insert(stage, time);
    }

    /// Offers these extensions besides those that it offers in any case.
    pub fn offer(&mut self, offers: &[Offer]) {
        self.offers.extend(offers);
    }

    /// Whether the connection is to break now; counts it.
    pub(super) fn take_drop(&mut self, stage: Stage) -> bool {
        self.drops.get_mut(&stage).is_some_and(take_one)
    }

    /// The reply to say instead of the usual one; counts it.
    pub(super) fn take_reply(&mut self, stage: Stage) -> Option<String> {
        let (times, reply) = self.replies.get_mut(&stage)?;
        take_one(times).then(|| reply.clone())
    }
}

fn take_one(times: &mut usize) -> bool {
    let left = *times > 0;
    *times = times.saturating_sub(1);
    left
}
