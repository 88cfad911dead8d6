//! What must be true of the spool after every command, whatever came before.

use std::collections::{BTreeMap, BTreeSet};

use smtp::ReversePath;
use spool::{
    Message, Roster, Status, Timestamp, Totals, Unconfirmed, Visitors, history::TRIES_MAX,
    notice::Kind, recipients::Source, sentry::VISITORS_MAX, unconfirmed::UNCONFIRMED_MAX,
    view::Known,
};

use crate::{
    letters::Letter,
    memory::{Key, Memory, Row},
};

impl Memory {
    /// Panics when a table contradicts another.
    pub(crate) fn assert_consistent(&self) {
        self.assert_indices_follow_from_messages();
        self.assert_totals_equal_a_recount();
        self.assert_ids_are_known_rightly();
        self.assert_what_is_remembered_has_left();
        self.assert_pieces_are_kept_or_dropped_once();
        self.assert_what_is_unconfirmed_is_stored();
        self.assert_visitors_are_stored();
        self.assert_recipients_are_counted_and_found_by_age();
        self.assert_notices_fit_what_became_of_recipients();
        for message in self.messages() {
            assert_eq!(self.body_of(message), Letter::of(message.id).body());
            assert_eq!(message.body.size, self.body_of(message).len() as u64);
        }
    }

    fn assert_indices_follow_from_messages(&self) {
        let mut expected = BTreeMap::new();
        for message in self.messages() {
            for domain in message.domains() {
                let Some(due) = due_in(message, domain) else {
                    continue;
                };
                let place = Key::Queue(domain.to_owned(), message.sequence);
                expected.insert(place, due);
                if due > Timestamp(0) {
                    let place = Key::Deferred(domain.to_owned(), due, message.sequence);
                    expected.insert(place, due);
                }
            }
        }
        // Who has claimed a place does not follow from the message.
        let index = |(key, row): (&Key, &Row)| match (key, row) {
            (Key::Queue(..), Row::Place(place)) => Some((key.clone(), place.due)),
            (Key::Deferred(_, due, _), Row::Present) => Some((key.clone(), *due)),
            _ => None,
        };
        let indices: BTreeMap<Key, Timestamp> = self.rows.iter().filter_map(index).collect();
        assert_eq!(indices, expected, "queue and deferred");
    }

    fn assert_totals_equal_a_recount(&self) {
        let mut expected: BTreeMap<&str, Totals> = BTreeMap::new();
        for message in self.messages() {
            for domain in message.domains() {
                let totals = expected.entry(domain).or_default();
                match due_in(message, domain) {
                    None if is_held_in(message, domain) => totals.held += 1,
                    Some(Timestamp(0)) => totals.waiting += 1,
                    Some(_) => totals.deferred += 1,
                    None if is_refused_in(message, domain) => totals.rejected += 1,
                    None => continue,
                }
                totals.bytes += message.body.size;
            }
        }
        for (domain, totals) in &expected {
            assert_eq!(self.destination_of(domain).totals, *totals, "{domain}");
        }
        for (key, row) in &self.rows {
            if let (Key::Destination(domain), Row::Destination(destination)) = (key, row) {
                let totals = expected.get(domain.as_str()).copied().unwrap_or_default();
                assert_eq!(destination.totals, totals, "{domain}");
            }
        }
    }

    fn assert_ids_are_known_rightly(&self) {
        let mut expected = BTreeSet::new();
        let mut queued = 0;
        for (key, row) in &self.rows {
            match (key, row) {
                (Key::Known(id), Row::Known(Known::Queued(sequence))) => {
                    queued += 1;
                    let message = self.rows.get(&Key::Message(*sequence));
                    let Some(Row::Message(message)) = message else {
                        panic!("{id} is known at {sequence}, where nothing is");
                    };
                    assert_eq!((message.id, message.sequence), (*id, *sequence));
                    assert!(!message.is_settled(), "{id} has nothing left to do");
                }
                (Key::Known(id), Row::Known(Known::Departed(at) | Known::Repeat { at, .. })) => {
                    expected.insert((*at, *id));
                }
                (Key::Staged(id), Row::Staged(staged)) => {
                    assert_eq!(self.known_of(*id), None, "{id} is staged and known");
                    assert!(!staged.pieces.is_empty());
                }
                _ => {}
            }
        }
        assert_eq!(self.messages().count(), queued, "every message is known");
        let departed = self.rows.keys().filter_map(|key| match key {
            Key::Departed(at, id) => Some((*at, *id)),
            _ => None,
        });
        assert_eq!(departed.collect::<BTreeSet<_>>(), expected);
    }

    fn assert_what_is_remembered_has_left(&self) {
        let mut rows = 0;
        for (key, row) in &self.rows {
            let Key::Departed(at, id) = key else { continue };
            rows += 1;
            if let Row::Message(message) = row {
                assert_eq!(message.id, *id);
                assert_eq!(self.known_of(*id), Some(Known::Departed(*at)));
                assert!(message.body.pieces.is_empty() && message.trace.is_empty());
                assert!(message.tries.len() <= TRIES_MAX);
            }
        }
        let totals = self.history();
        assert_eq!(totals.rows, rows, "what is remembered is counted");
        let mut octets = 0;
        for (at, id, retained) in self.retained() {
            octets += retained.size;
            let remembered = self.departure_of(id).expect("what is kept is remembered");
            assert_eq!(self.known_of(id), Some(Known::Departed(at)));
            assert!(remembered.was_delivered(Timestamp(0), None));
            let pieces = retained.pieces.iter();
            let body: Vec<u8> = pieces
                .flat_map(|piece| self.carried[piece].clone())
                .collect();
            assert_eq!(body, Letter::of(id).body());
        }
        let kept = self.retained().count() as u64;
        assert_eq!((totals.retained, totals.retained_octets), (kept, octets));
    }

    fn assert_what_is_unconfirmed_is_stored(&self) {
        let mut stored = Unconfirmed::default();
        let mut rows = 0;
        for (key, row) in &self.rows {
            if let (Key::Unconfirmed(id), Row::Unconfirmed(remembered)) = (key, row) {
                stored.change(*id, Some(*remembered));
                rows += 1;
            }
        }
        assert_eq!(self.held.unconfirmed, stored);
        assert_eq!(stored.iter().count(), rows);
        assert!(rows <= UNCONFIRMED_MAX);
        for (id, remembered) in stored.iter() {
            let first = stored.first(remembered.fingerprint);
            assert_eq!(first, Some((id, remembered)), "a fingerprint has two ids");
        }
    }

    fn assert_visitors_are_stored(&self) {
        let mut stored = Visitors::default();
        for (key, row) in &self.rows {
            if let (Key::Visitor(visitor), Row::Patience(patience)) = (key, row) {
                assert!(patience.first <= patience.last, "{visitor:?}");
                stored.change(*visitor, Some(*patience));
            }
        }
        assert_eq!(self.held.visitors, stored);
        assert_eq!(stored.by_last_visit().count(), stored.len());
        assert!(stored.len() <= VISITORS_MAX);
    }

    fn assert_recipients_are_counted_and_found_by_age(&self) {
        let mut expected: BTreeMap<&str, Roster> = BTreeMap::new();
        let mut by_age = BTreeSet::new();
        for (key, row) in &self.rows {
            let (Key::Recipient(domain, address), Row::Recipient(learned)) = (key, row) else {
                continue;
            };
            assert!(
                !address.is_empty(),
                "an address that nobody has is a figure"
            );
            let roster = expected.entry(domain).or_default();
            match learned.is_valid {
                true => roster.valid += 1,
                false => roster.unknown += 1,
            }
            if learned.from != Source::Operator {
                let (domain, address) = (domain.clone(), address.clone());
                by_age.insert(Key::LearnedAt(
                    domain,
                    learned.is_valid,
                    learned.at,
                    address,
                ));
            }
        }
        let stored = self.rows.keys();
        let stored = stored.filter(|key| matches!(key, Key::LearnedAt(..)));
        assert_eq!(stored.cloned().collect::<BTreeSet<_>>(), by_age);
        for (key, row) in &self.rows {
            if let (Key::Destination(domain), Row::Destination(destination)) = (key, row) {
                let recount = expected.remove(domain.as_str()).unwrap_or_default();
                let Roster { valid, unknown, .. } = destination.roster;
                assert_eq!(
                    (valid, unknown),
                    (recount.valid, recount.unknown),
                    "{domain}"
                );
            }
        }
        assert_eq!(expected, BTreeMap::new(), "a domain without figures");
    }

    fn assert_notices_fit_what_became_of_recipients(&self) {
        for message in self.messages() {
            assert!(!message.is_owed() || message.reverse_path != ReversePath::Null);
            for recipient in &message.recipients {
                let fits = match recipient.owed {
                    None => true,
                    Some(Kind::Failed) => matches!(recipient.status, Status::Rejected { .. }),
                    Some(Kind::Relayed) => matches!(recipient.status, Status::Delivered { .. }),
                    Some(Kind::Delayed) => !recipient.status.is_final(),
                };
                assert!(fits, "{recipient:?}");
                let is_wanted = |kind: Kind| kind.is_wanted(recipient.dsn.notify);
                assert!(recipient.owed.is_none_or(is_wanted), "{recipient:?}");
            }
        }
    }

    fn assert_pieces_are_kept_or_dropped_once(&self) {
        let of_messages = self.messages().flat_map(|message| &message.body.pieces);
        let of_stages = self.stages().flat_map(|(_, staged)| &staged.pieces);
        let of_kept = self.retained().flat_map(|(.., retained)| &retained.pieces);
        let needed = of_messages.chain(of_stages).chain(of_kept);
        let mut gone_or_needed: Vec<u64> = needed.copied().collect();
        gone_or_needed.extend(&self.dropped);
        gone_or_needed.sort_unstable();
        let carried: Vec<u64> = self.carried.keys().copied().collect();
        assert_eq!(
            gone_or_needed, carried,
            "each piece is needed once or dropped once"
        );
    }
}

fn statuses<'m>(message: &'m Message, domain: &str) -> impl Iterator<Item = &'m Status> {
    let theirs = message
        .recipients
        .iter()
        .filter(move |r| r.domain == domain);
    theirs.map(|recipient| &recipient.status)
}

/// When a message is due in a domain, told from its recipients; 0 is now.
fn due_in(message: &Message, domain: &str) -> Option<Timestamp> {
    if message.hold.is_some() {
        return None;
    }
    let dues = statuses(message, domain).filter_map(|status| match status {
        Status::Pending => Some(Timestamp(0)),
        Status::Deferred { until, .. } => Some(*until),
        Status::Delivered { .. } | Status::Rejected { .. } | Status::Returned { .. } => None,
    });
    dues.min()
}

fn is_held_in(message: &Message, domain: &str) -> bool {
    message.hold.is_some() && statuses(message, domain).any(|status| !status.is_final())
}

fn is_refused_in(message: &Message, domain: &str) -> bool {
    statuses(message, domain).any(|status| matches!(status, Status::Rejected { .. }))
}
