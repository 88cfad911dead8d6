//! What a primary says while it is on trial, and what that comes to (`spool::guard`).

use std::sync::{Mutex, MutexGuard, PoisonError};

use smtp::client;
use spool::guard::{Answer, Standing, Trial};
use spool::{Due, Outbox, Timestamp, Verdict};
use tokio::time::Instant;

use crate::outbound::transaction::words;
use crate::outbound::worker::{Worker, shortened};

/// What stands behind a refusal that is not believed.
const DOUBT: &str = "not believed so soon after an outage, and tried again";

/// A trial that a domain's task and its worker share.
#[derive(Debug)]
pub(super) struct OpenTrial {
    /// Of the recovery.
    pub(super) begun_at: Timestamp,
    /// Since when this leader lets it run.
    since: Instant,
    trial: Mutex<Trial>,
}

impl OpenTrial {
    pub(super) fn new(begun_at: Timestamp) -> Self {
        Self {
            begun_at,
            since: Instant::now(),
            trial: Mutex::default(),
        }
    }

    fn trial(&self) -> MutexGuard<'_, Trial> {
        self.trial.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn standing(&self) -> Standing {
        self.trial().standing()
    }

    /// Ends it: nothing more is there to be answered.
    pub(super) fn conclude(&self) -> Standing {
        let mut trial = self.trial();
        trial.conclude();
        trial.standing()
    }

    /// Ends it in the primary's favour.
    pub(super) fn call_off(&self) {
        self.trial().call_off();
    }

    /// Whether it is over by its age. The time in which nothing was sent, under an earlier leader or in a pause,
    /// does not count: nobody was heard in it.
    pub(super) fn is_outlived(&self) -> bool {
        self.trial().is_outlived(self.since.elapsed())
    }

    /// How many messages have a recipient whose refusal was not believed.
    pub(super) fn put_off(&self) -> u64 {
        self.trial().put_off()
    }
}

impl<O: Outbox> Worker<O> {
    /// What a transaction's verdicts come to: as they are, or, while the primary is on trial, with none
    /// that is final against a recipient.
    pub(super) async fn believed(
        &self,
        due: &Due,
        recipients: &[u32],
        verdicts: Vec<client::Verdict>,
    ) -> Vec<Verdict> {
        let trial = self.trial.as_ref();
        let Some(trial) = trial.filter(|trial| trial.standing() != Standing::Passed) else {
            return verdicts.into_iter().map(words).collect();
        };
        let mut believed = Vec::with_capacity(verdicts.len());
        for (recipient, verdict) in recipients.iter().zip(verdicts) {
            let known_good = match trial.standing() {
                Standing::Open => self.known_good(due, *recipient, &verdict).await,
                Standing::Passed | Standing::Failed(_) => None,
            };
            let verdict = words(verdict);
            let answer = match &verdict {
                Verdict::Delivered(_) | Verdict::Relayed(_) => Some(Answer::Taken),
                Verdict::Deferred(_) => None,
                Verdict::Rejected(words) => Some(Answer::Refused {
                    words,
                    known_good: known_good.as_deref(),
                }),
            };
            if let Some(answer) = answer {
                trial.trial().hear(due.message.sequence, *recipient, answer);
            }
            believed.push(match verdict {
                Verdict::Rejected(words) => {
                    Verdict::Deferred(shortened(format!("{words} ({DOUBT})")))
                }
                verdict => verdict,
            });
        }
        if trial.standing() != Standing::Open {
            self.queue.call_attention();
        }
        believed
    }

    /// Why nothing more is to be sent: the primary has failed its trial.
    pub(super) fn distrust(&self) -> Option<String> {
        match self.trial.as_ref()?.standing() {
            Standing::Failed(why) => Some(why),
            Standing::Open | Standing::Passed => None,
        }
    }

    /// Who is refused, if he himself is and the primary knew him before.
    async fn known_good(
        &self,
        due: &Due,
        recipient: u32,
        verdict: &client::Verdict,
    ) -> Option<String> {
        if !is_about_recipient(verdict) {
            return None;
        }
        let path = &due.message.recipients.get(recipient as usize)?.path;
        if self.shared.acquaintances.include(&self.domain.name, path) {
            return Some(path.to_string());
        }
        self.shared.knows(&self.domain, path).await
    }
}

/// Whether a refusal is about the recipient. Servers judge the sender and his network at RCPT, too, and an
/// outage brings spam: X.1.7 and X.1.8 are about his address, X.7 is policy (RFC 3463). A filter that
/// takes us for a stranger says X.7 of everybody, and the number of refusals tells.
fn is_about_recipient(verdict: &client::Verdict) -> bool {
    match verdict {
        client::Verdict::Unknown(_) => true,
        client::Verdict::Refused(reply) => reply.enhanced.is_none_or(|code| {
            code.subject != 7 && !(code.subject == 1 && matches!(code.detail, 7 | 8))
        }),
        client::Verdict::Delivered(_)
        | client::Verdict::Deferred(_)
        | client::Verdict::Rejected(_) => false,
    }
}
