//! What deliveries teach about recipients.

use smtp::client::Verdict;
use spool::policy::{Domain, Recipients};
use spool::recipients::{News, Source, address_of};
use spool::{AddressBook, Message};

/// Tells the address book whom the primary has taken a message for and whom it does not know, when the
/// policy wants recipients to be verified. Whatever else it may have said proves nothing. `recipients`
/// are those that were tried, as indices into the message's.
pub(super) fn teach(
    book: &impl AddressBook,
    domain: &Domain,
    message: &Message,
    recipients: &[u32],
    verdicts: &[Verdict],
) {
    if !matches!(domain.recipients, Recipients::Verify { .. }) {
        return;
    }
    for (index, verdict) in recipients.iter().zip(verdicts) {
        let news = match verdict {
            Verdict::Delivered(_) => News::Valid(Source::Delivery),
            Verdict::Unknown(_) => News::Unknown(Source::Delivery),
            Verdict::Deferred(_) | Verdict::Rejected(_) | Verdict::Refused(_) => continue,
        };
        let recipient = message.recipients.get(*index as usize);
        if let Some(address) = recipient.and_then(|recipient| address_of(&recipient.path)) {
            book.learn(domain, address, news);
        }
    }
}
