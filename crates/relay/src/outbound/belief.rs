//! What a primary's verdicts come to: while it is on trial, not all that it says is believed.

use smtp::client;
use spool::guard::{Answer, Standing};
use spool::{Due, Outbox, Verdict};

use crate::outbound::words::{in_words, shortened};
use crate::outbound::worker::Worker;

/// What stands behind a refusal that is not believed.
const DOUBT: &str = "not believed so soon after an outage, and tried again";

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
            return verdicts.into_iter().map(in_words).collect();
        };
        let mut believed = Vec::with_capacity(verdicts.len());
        for (recipient, verdict) in recipients.iter().zip(verdicts) {
            let known_good = match trial.standing() {
                Standing::Open => self.known_good(due, *recipient, &verdict).await,
                Standing::Passed | Standing::Failed(_) => None,
            };
            let verdict = in_words(verdict);
            let answer = match &verdict {
                Verdict::Delivered(_) | Verdict::Relayed(_) => Some(Answer::Taken),
                Verdict::Deferred(_) => None,
                Verdict::Rejected(words) => Some(Answer::Refused {
                    words,
                    known_good: known_good.as_deref(),
                }),
            };
            if let Some(answer) = answer {
                trial.hear(due.message.sequence, *recipient, answer);
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
