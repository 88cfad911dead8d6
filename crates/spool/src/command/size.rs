//! How much room a command takes.

use smtp::{ForwardPath, Mailbox, ReversePath};

use super::{Accept, Attempt, Claims, Command, Lessons, Report, Stage};
use crate::{Action, Authentication, Fact, Handling, Reachability, Recovery, guard::Step};

/// What anything costs besides its text: the structure in memory, tags and lengths on the wire.
const EACH: usize = 64;

impl Command {
    /// About how many octets it takes in memory, and no fewer than it takes encoded. Whatever bounds
    /// requests, batches and caches goes by this: a body may be short where a thousand recipients are
    /// not.
    #[must_use]
    pub fn octets(&self) -> usize {
        EACH + match self {
            Self::Found { policy, .. } => policy.octets(),
            Self::Adopt(adopt) => adopt.policy.octets() + adopt.by.len(),
            Self::Stage(Stage { piece, .. }) => piece.len(),
            Self::Accept(accept) => accept.octets(),
            Self::Report(report) => report.octets(),
            Self::Observe {
                domain,
                reachability,
                ..
            } => {
                domain.len()
                    + match reachability {
                        Reachability::Up => 0,
                        Reachability::Down(words) => words.len(),
                    }
            }
            Self::Recover(recovery) => recovery.octets(),
            Self::NotePosted(notice) => notice.domain.len() + notice.name.len(),
            Self::Offers { domain, .. } => EACH + domain.len(),
            Self::Starttls(seen) => EACH + seen.domain.len() + seen.host.len(),
            Self::Flush { domain, .. } => domain.as_ref().map_or(0, String::len),
            Self::Confirm { ids } => ids.len() * EACH,
            Self::Claim(claims) | Self::Release(claims) => claims.octets(),
            Self::Visits(visits) => visits.visitors.len() * EACH,
            Self::Learn(lessons) => lessons.octets(),
            Self::Handle(handling) => handling.octets(),
            Self::Pause { domain, action, .. } | Self::Resume { domain, action } => {
                domain.len() + action.octets()
            }
            Self::Note(action) => action.octets(),
            Self::Expire(expire) => {
                expire.domain.len() + expire.sequences.len() * size_of::<u64>() * 2
            }
            Self::Lapse(lapse) => lapse.sequences.len() * size_of::<u64>() * 2,
            Self::Delay(delay) => delay.sequences.len() * size_of::<u64>() * 2,
            Self::Notify(notify) => {
                notify.recipients.len() * size_of::<u64>() + notify.report.octets()
            }
            Self::Replay(replay) => {
                replay.domain.as_ref().map_or(0, String::len) + replay.ids.len() * EACH
            }
            Self::Relinquish { .. } | Self::Discard { .. } | Self::Sweep { .. } => 0,
        }
    }
}

impl Accept {
    fn octets(&self) -> usize {
        let sender = match &self.reverse_path {
            ReversePath::Null => 0,
            ReversePath::Mailbox(mailbox) => octets(mailbox),
        };
        let recipients = self.recipients.iter().map(|(recipient, domain)| {
            let path = match &recipient.path {
                ForwardPath::Postmaster => 0,
                ForwardPath::Mailbox(mailbox) => octets(mailbox),
            };
            let orcpt = recipient.dsn.orcpt.as_ref();
            EACH + path + domain.len() + orcpt.map_or(0, |orcpt| orcpt.as_str().len())
        });
        let envid = self.dsn.envid.as_ref();
        let envid = envid.map_or(0, |envid| envid.as_str().len());
        let client = self.client.helo.len() + self.client.tls.as_ref().map_or(0, String::len);
        4 * EACH
            + sender
            + envid
            + recipients.sum::<usize>()
            + self.tail.len()
            + self.trace.len()
            + client
            + self
                .authentication
                .as_ref()
                .map_or(0, Authentication::octets)
            + self.confirmed.len() * EACH
    }
}

impl Report {
    fn octets(&self) -> usize {
        self.attempts.iter().map(Attempt::octets).sum()
    }
}

impl Attempt {
    /// About how many octets it takes in a report.
    #[must_use]
    pub fn octets(&self) -> usize {
        let verdicts = self.verdicts.iter();
        let verdicts = verdicts.map(|(_, verdict)| EACH + verdict.words().len());
        EACH + self.host.len() + verdicts.sum::<usize>()
    }
}

impl Recovery {
    fn octets(&self) -> usize {
        let why = match &self.step {
            Step::Tripped { why, .. } => why.len(),
            Step::Begun | Step::Passed { .. } => 0,
        };
        self.domain.len() + why
    }
}

impl Lessons {
    fn octets(&self) -> usize {
        self.facts.iter().map(Fact::octets).sum()
    }
}

impl Fact {
    fn octets(&self) -> usize {
        EACH + self.domain.len() + self.address.len()
    }
}

impl Handling {
    fn octets(&self) -> usize {
        self.action.octets() + self.ids.len() * EACH
    }
}

impl Action {
    const fn octets(&self) -> usize {
        EACH + self.by.len() + self.what.len() + self.reason.len()
    }
}

impl Claims {
    fn octets(&self) -> usize {
        self.domain.len() + self.sequences.len() * size_of::<u64>() * 2
    }
}

fn octets(mailbox: &Mailbox) -> usize {
    EACH + mailbox.local_part.len() + mailbox.domain.len()
}
