//! What the tables have of a message besides its own row.

use crate::{Message, Standing, Timestamp};

/// Where a message stands in queues and figures. It is what has to be known of a message as it was, once it has
/// changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Its place in the order of arrival.
    pub sequence: u64,
    /// Octets of its body.
    pub size: u64,
    /// The domains it has recipients in, each once, in the order of the envelope, and where it stands for each.
    pub standings: Vec<(String, Option<Standing>)>,
    /// Whether anything is owed to its sender.
    pub is_owed: bool,
}

impl Footprint {
    /// That of a message as it is.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        let domains = message.domains().into_iter();
        Self {
            sequence: message.sequence,
            size: message.body.size,
            standings: domains
                .map(|domain| (domain.to_owned(), message.standing(domain)))
                .collect(),
            is_owed: message.is_owed(),
        }
    }

    /// The domains it has recipients in, each once, in the order of the envelope.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.standings.iter().map(|(domain, _)| domain.as_str())
    }

    /// When it is due for a domain, 0 being now; `None` when nothing is to be delivered there.
    #[must_use]
    pub fn due(&self, domain: &str) -> Option<Timestamp> {
        let mut standings = self.standings.iter();
        let (_, standing) = standings.find(|(name, _)| name == domain)?;
        standing.and_then(Standing::due)
    }
}
