//! What senders are offered: what can be handed over, whether a primary is up or not.
//!
//! Before a recipient is named, that is what some domain's primary takes, or may take: nothing is known
//! of one that was never talked to. Each recipient is then measured by his own primary.

use smtp::{BodyType, EnhancedCode, ForwardPath, Reply};
use spool::{Intake, Offers};

/// What the primaries of all domains together let a node offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offered {
    /// Octets of the largest message.
    pub(super) size_max: u64,
    /// SMTPUTF8 (RFC 6531).
    pub(super) smtputf8: bool,
    /// BINARYMIME (RFC 3030): only where every primary is known to take it. A sender who is not
    /// offered it encodes his message himself.
    pub(super) binary_mime: bool,
}

impl Offered {
    /// What a node offers that takes so many octets itself.
    pub(super) fn by(intake: &impl Intake, own_size_max: u64) -> Self {
        let policy = intake.policy();
        let domains = policy.iter().flat_map(|policy| &policy.domains);
        let known: Option<Vec<Offers>> = domains.map(|it| intake.offers(&it.name)).collect();
        let Some(known) = known.filter(|known| !known.is_empty()) else {
            return Self {
                size_max: own_size_max,
                smtputf8: true,
                binary_mime: false,
            };
        };
        let largest = known.iter().map(|it| it.size_max.unwrap_or(u64::MAX)).max();
        Self {
            size_max: largest.map_or(own_size_max, |largest| largest.min(own_size_max)),
            smtputf8: known.iter().any(|it| it.smtputf8),
            binary_mime: known.iter().all(Offers::takes_binary),
        }
    }
}

/// What a sender has declared about a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Declared {
    /// Octets; 0 where nothing was said.
    pub(super) size: u64,
    pub(super) body_type: BodyType,
    /// Whether an address is beyond ASCII. That SMTPUTF8 was declared says less: large senders always
    /// do, and the header alone is looked at when the message is forwarded.
    pub(super) beyond_ascii: bool,
}

impl Declared {
    /// The same with one recipient.
    pub(super) fn to(self, path: &ForwardPath) -> Self {
        Self {
            beyond_ascii: self.beyond_ascii || !path.is_ascii(),
            ..self
        }
    }

    /// Why a primary that offers this would not take the message.
    pub(super) fn objection(self, offers: Offers) -> Option<Reply> {
        if !offers.takes_size(self.size) {
            Some(too_big(offers.size_max.unwrap_or_default()))
        } else if self.beyond_ascii && !offers.smtputf8 {
            let text = "Error: the recipient's server does not take SMTPUTF8";
            Some(Reply::new(550, EnhancedCode::new(5, 6, 7), text))
        } else if self.body_type == BodyType::BinaryMime && !offers.takes_binary() {
            let text = "Error: the recipient's server does not take BINARYMIME";
            Some(Reply::new(550, EnhancedCode::new(5, 6, 3), text))
        } else {
            None
        }
    }
}

/// A recipient's primary is known not to take a message of that size.
fn too_big(size_max: u64) -> Reply {
    let text = format!(
        "Error: message is larger than the {size_max} octets that a recipient's server takes"
    );
    Reply::new(552, EnhancedCode::new(5, 3, 4), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::tests::memory::Memory;

    const NONE: Offers = Offers {
        size_max: None,
        eight_bit_mime: false,
        smtputf8: false,
        chunking: false,
        binary_mime: false,
        dsn: false,
    };

    fn sized(size_max: u64) -> Offers {
        Offers {
            size_max: Some(size_max),
            ..NONE
        }
    }

    #[test]
    fn the_largest_primary_counts_once_all_are_known() {
        let size_max = |memory: &Memory, own| Offered::by(memory, own).size_max;
        let memory = Memory::for_domains(&["a.example", "b.example"]);
        assert_eq!(size_max(&memory, 1000), 1000, "nothing is known");
        memory.learn("a.example", sized(300));
        assert_eq!(size_max(&memory, 1000), 1000, "the other may take all");
        memory.learn("b.example", sized(500));
        assert_eq!(size_max(&memory, 1000), 500);
        assert_eq!(size_max(&memory, 400), 400);
        memory.learn("b.example", NONE);
        assert_eq!(size_max(&memory, 1000), 1000, "it has no limit");
        assert_eq!(size_max(&Memory::default(), 1000), 1000, "no policy");
    }

    #[test]
    fn smtputf8_is_offered_until_no_primary_can_take_it_and_binarymime_once_all_do() {
        let both = |memory: &Memory| {
            let offered = Offered::by(memory, 1);
            (offered.smtputf8, offered.binary_mime)
        };
        let memory = Memory::for_domains(&["a.example", "b.example"]);
        assert_eq!(both(&memory), (true, false));
        memory.learn("a.example", NONE);
        assert_eq!(both(&memory), (true, false), "the other may take it");
        memory.learn("b.example", NONE);
        assert_eq!(both(&memory), (false, false));
        let all = Offers {
            smtputf8: true,
            chunking: true,
            binary_mime: true,
            ..NONE
        };
        memory.learn("a.example", all);
        assert_eq!(both(&memory), (true, false));
        memory.learn("b.example", all);
        assert_eq!(both(&memory), (true, true));
        memory.learn(
            "b.example",
            Offers {
                chunking: false,
                ..all
            },
        );
        assert_eq!(both(&memory), (true, false), "no BDAT, no binary body");
    }
}
