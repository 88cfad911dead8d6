//! Whether a primary that was down is ready for mail.
//!
//! A server greets before all that stands behind it is there: a directory, a content filter, a mount. So
//! it is asked about somebody whom it knows, as a message for him would (RFC 5321 section 3.3), and
//! nothing is sent. What it says for good is an answer: whether it is to be believed is for the trial.

use smtp::client::Opinion;
use smtp::{ForwardPath, Reply};
use spool::Outbox;
use spool::policy::{Domain, Recipients};
use spool::recipients::{address_of, in_dns_form};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::outbound::Shared;
use crate::outbound::connection::Connection;
use crate::outbound::delivery::Aborted;
use crate::outbound::limits::{CANARIES_MAX, CANARY_MESSAGES_MAX, PROBE_PATIENCE_MIN, Timeouts};
use crate::outbound::words::said;

/// Why a primary is not ready.
#[derive(Debug)]
pub(super) enum Unready {
    /// None of its hosts talks to us.
    Silent(String),
    /// It talks, and puts off everybody whom it was asked about, or breaks off.
    Hesitant(String),
}

impl<O: Outbox> Shared<O> {
    /// The same as [`Self::readied`], while a probe that hangs stands in the way of no other: of a host that went
    /// while it was waited for it hears no more, and a new one finds it as soon as it is back.
    pub(super) async fn probed(&self, domain: &Domain) -> Result<Connection, Unready> {
        let interval = domain.probe_interval.max(PROBE_PATIENCE_MIN);
        let beside = async {
            let mut next = Instant::now();
            loop {
                next += interval;
                sleep_until(next).await;
                let probe = timeout_at(next + interval, self.readied(domain));
                if let Ok(Ok(connection)) = probe.await {
                    return connection;
                }
            }
        };
        tokio::select! {
            probed = self.readied(domain) => probed,
            connection = beside => Ok(connection),
        }
    }

    /// Goes as far with a primary as is possible without a message: EHLO, STARTTLS where the policy
    /// wants it, MAIL, and RCPT for somebody whom it knows, where one is known.
    ///
    /// # Errors
    /// Why it is not ready.
    pub(super) async fn readied(&self, domain: &Domain) -> Result<Connection, Unready> {
        let connect = domain.probe_interval.max(PROBE_PATIENCE_MIN);
        let timeouts = Timeouts {
            connect: connect.min(self.config.timeouts.connect),
            ..self.config.timeouts
        };
        let connected = self.connect_within(domain, timeouts).await;
        let mut connection = connected.map_err(Unready::Silent)?;
        let canaries = self.canaries(domain).await;
        if canaries.is_empty() {
            return open_to_any(connection).await;
        }
        let mut canaries = canaries.into_iter().peekable();
        let mut put_off = None;
        while let Some(canary) = canaries.next() {
            match connection.ask(canary).await {
                Ok(Opinion::Later(reply)) if !is_about_mailbox(&reply) => {
                    put_off = Some(said(&connection, &reply.to_string()));
                }
                // Who is refused may have been known: the trial has to hear of it.
                Ok(_) => return Ok(connection),
                // It may be the question that it turns away from, or this mailbox: others may be taken.
                Err(broken) => {
                    let words = said(&connection, &broken.to_string());
                    if canaries.peek().is_none() {
                        return Err(Unready::Hesitant(words));
                    }
                    let again = self.connect(domain).await;
                    connection = again.map_err(|_| Unready::Hesitant(words.clone()))?;
                    put_off = Some(words);
                }
            }
        }
        let Some(words) = put_off else {
            return Ok(connection);
        };
        connection.quit().await;
        Err(Unready::Hesitant(words))
    }

    /// Whom the primary knows: to whom mail was delivered last, or, where recipients are verified,
    /// somebody among those who have mail now.
    async fn canaries(&self, domain: &Domain) -> Vec<ForwardPath> {
        let mut canaries = self.acquaintances.latest(&domain.name, CANARIES_MAX);
        if canaries.is_empty() && matches!(domain.recipients, Recipients::Verify { .. }) {
            canaries = self.known_recipients(domain).await;
        }
        // Of others it could only be asked with SMTPUTF8 (RFC 6531 section 3.1).
        let nameable = canaries
            .iter()
            .map(|canary| in_dns_form(canary).into_owned());
        nameable.filter(ForwardPath::is_ascii).collect()
    }

    async fn known_recipients(&self, domain: &Domain) -> Vec<ForwardPath> {
        let mut known = Vec::new();
        // A spool that can not be read shows elsewhere; the primary is asked about nobody then.
        let waiting = self.outbox.waiting(&domain.name, 0, CANARY_MESSAGES_MAX);
        for due in waiting.await.unwrap_or_default() {
            let first = due.recipients.first();
            let first = first.and_then(|first| due.message.recipients.get(*first as usize));
            let Some(recipient) = first.filter(|recipient| !known.contains(&recipient.path)) else {
                continue;
            };
            if self.knows(domain, &recipient.path).await.is_some() {
                known.push(recipient.path.clone());
            }
            if known.len() >= CANARIES_MAX {
                break;
            }
        }
        known
    }

    /// A recipient's address, if he is known to be valid by what was learned of him.
    pub(super) async fn knows(&self, domain: &Domain, path: &ForwardPath) -> Option<String> {
        let address = address_of(path)?;
        let learned = self.outbox.look_up(&domain.name, &address).await;
        let learned = learned.ok().flatten()?;
        let destination = self.outbox.destination(&domain.name);
        let counts = learned.counts(&destination, self.clock.now());
        (learned.is_valid && counts).then_some(address)
    }
}

/// Whether a primary takes mail, where nobody is known whom it could be asked about. Only that its mail system
/// takes none counts against it: anything else may be about the question, and a message will tell.
async fn open_to_any(mut connection: Connection) -> Result<Connection, Unready> {
    // One that hangs up has greeted, and told what it offers.
    let Ok(Some(reply)) = connection.shut().await else {
        return Ok(connection);
    };
    let words = said(&connection, &Aborted::Shut(reply).to_string());
    connection.quit().await;
    Err(Unready::Hesitant(words))
}

/// Whether a reply is about one mailbox, a full one for example (RFC 3463 section 3.3): the server itself is
/// ready.
fn is_about_mailbox(reply: &Reply) -> bool {
    reply.enhanced.is_some_and(|code| code.subject == 2)
}
