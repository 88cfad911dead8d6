//! What was acknowledged against what arrived.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{Letter, Received, letter};

/// The outcome of a comparison. All lists hold serial numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Letter and recipient pairs that were acknowledged.
    pub acknowledged: usize,
    /// Acknowledged for a recipient, and it did not arrive for it.
    pub lost: Vec<usize>,
    /// Arrived with other octets or another sender than it was sent with.
    pub changed: Vec<usize>,
    /// Arrived for a recipient later than a letter that was acknowledged after it.
    pub out_of_order: Vec<usize>,
    /// Arrived for a recipient more than once.
    pub repeated: Vec<usize>,
    /// Arrived, and was never sent.
    pub unknown: usize,
}

impl Account {
    /// Whether everything arrived, unchanged and in order. Repeats are allowed, though counted.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.lost.is_empty()
            && self.changed.is_empty()
            && self.out_of_order.is_empty()
            && self.unknown == 0
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} acknowledged, {} lost, {} changed, {} out of order, {} repeated, {} unknown",
            self.acknowledged,
            self.lost.len(),
            self.changed.len(),
            self.out_of_order.len(),
            self.repeated.len(),
            self.unknown
        )
    }
}

/// Compares. `letters` must stand in the order in which they were acknowledged, which for each
/// recipient is the order they were sent in when one courier sends all that a recipient gets.
#[must_use]
pub fn compare(letters: &[Letter], received: &[Received]) -> Account {
    let mut account = Account::default();
    let sent: BTreeMap<usize, &Letter> = letters.iter().map(|l| (l.serial, l)).collect();
    let mut arrivals: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for arrived in received {
        let known = arrived.serial().and_then(|serial| sent.get(&serial));
        let Some(original) = known else {
            account.unknown += 1;
            continue;
        };
        let whole = letter::without_trace(&arrived.body) == original.body;
        if !whole || arrived.from != original.from {
            account.changed.push(original.serial);
        }
        for to in &arrived.to {
            arrivals.entry(to).or_default().push(original.serial);
        }
    }
    let mut expected: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for letter in letters {
        for to in &letter.to {
            expected.entry(to).or_default().push(letter.serial);
        }
    }
    for (to, serials) in expected {
        account.acknowledged += serials.len();
        let arrived = arrivals.remove(to).unwrap_or_default();
        account.add_recipient(&serials, &arrived);
    }
    // What is left went to people nobody had written to.
    account.unknown += arrivals.values().map(Vec::len).sum::<usize>();
    account
}

impl Account {
    fn add_recipient(&mut self, expected: &[usize], arrived: &[usize]) {
        let mut seen = BTreeSet::new();
        let mut first_arrivals = Vec::new();
        for &serial in arrived {
            if seen.insert(serial) {
                first_arrivals.push(serial);
            } else {
                self.repeated.push(serial);
            }
        }
        self.lost
            .extend(expected.iter().filter(|serial| !seen.contains(serial)));
        let places: BTreeMap<usize, usize> = expected
            .iter()
            .enumerate()
            .map(|(place, &serial)| (serial, place))
            .collect();
        let mut latest = 0;
        for serial in first_arrivals {
            let Some(&place) = places.get(&serial) else {
                self.unknown += 1;
                continue;
            };
            if place < latest {
                self.out_of_order.push(serial);
            }
            latest = latest.max(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::compare;
    use crate::{Letter, Received, Said};

    fn arrival(letter: &Letter) -> Received {
        let mut body = b"Received: by us\r\n".to_vec();
        body.extend_from_slice(&letter.body);
        Received {
            from: letter.from.clone(),
            to: letter.to.clone(),
            said: Said::default(),
            body,
            session: 1,
            tls: false,
            at: Instant::now(),
        }
    }

    #[test]
    fn what_is_lost_changed_swapped_or_repeated_is_found() {
        let letters: Vec<Letter> = (0..5)
            .map(|serial| Letter::new(serial, "a@example.com", 300))
            .collect();
        let mut arrived: Vec<Received> = letters.iter().map(arrival).collect();
        assert!(compare(&letters, &arrived).is_right());

        arrived.swap(1, 2);
        arrived.remove(4);
        arrived.push(arrival(&letters[0]));
        arrived[3].body.push(b'x');
        let account = compare(&letters, &arrived);
        assert_eq!(account.lost, [4]);
        assert_eq!(account.out_of_order, [1]);
        assert_eq!(account.repeated, [0]);
        assert_eq!(account.changed, [3]);
    }
}
