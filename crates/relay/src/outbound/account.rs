//! What became of deliveries, for whoever reads the mail log and the metrics.

use spool::{MessageId, Outbox, Verdict, notice};

use crate::outbound::Shared;
use crate::outbound::metrics::DeliveryResult;

impl<O: Outbox> Shared<O> {
    /// One line in the mail log for each kind of verdict, and the metrics.
    pub(super) fn account(
        &self,
        message: MessageId,
        domain: &str,
        host: &str,
        verdicts: &[Verdict],
    ) {
        let kinds = [
            DeliveryResult::delivered,
            DeliveryResult::deferred,
            DeliveryResult::rejected,
        ];
        for result in kinds {
            let mut such = verdicts.iter().filter(|verdict| result == kind(verdict));
            let Some(reply) = such.next().map(Verdict::words) else {
                continue;
            };
            let recipients = 1 + such.count();
            self.metrics.count(domain, result);
            match result {
                DeliveryResult::delivered => {
                    self.config.progress.delivered(domain);
                    tracing::info!(target: "mail", id = %message, domain, host, recipients, reply, "delivered");
                }
                DeliveryResult::deferred => {
                    tracing::info!(target: "mail", id = %message, domain, host, recipients, reply, "deferred");
                }
                DeliveryResult::rejected => {
                    tracing::info!(target: "mail", id = %message, domain, host, recipients, reply, "rejected");
                    if domain == notice::QUEUE {
                        tracing::info!(target: "mail", id = %message, "report is dropped, nobody is told");
                    }
                }
            }
        }
    }
}

const fn kind(verdict: &Verdict) -> DeliveryResult {
    match verdict {
        Verdict::Delivered(_) | Verdict::Relayed(_) => DeliveryResult::delivered,
        Verdict::Deferred(_) => DeliveryResult::deferred,
        Verdict::Rejected(_) => DeliveryResult::rejected,
    }
}
