//! The messages of the demonstration and the senders that bring them.

use std::{
    collections::BTreeSet,
    ops::Range,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use harness::{Cluster, Courier, Letter, courier::Receipt, letter::Text};

/// What is sent while all nodes live.
pub(crate) const FIRST: Range<usize> = 0..1_000;

/// What is sent after the leader's death.
pub(crate) const MORE: Range<usize> = 1_000..1_200;

/// Senders side by side; every other one speaks TLS.
const SENDERS: usize = 6;

/// Recipients of one sender. No two senders write to the same, so that the order in which each is
/// to get its mail is known.
const RECIPIENTS: usize = 7;

/// The one message that is 10 MiB large.
const LARGE: usize = 500;

/// A message that no node has taken by then would go back to its author with a real sender, after
/// days; here the demonstration fails.
const TAKEN: Duration = Duration::from_secs(60);

/// How sending went.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) took: Duration,
    pub(crate) slowest: Duration,
    pub(crate) over_tls: usize,
    pub(crate) unknown: usize,
}

/// Makes letters of several sizes and kinds.
pub(crate) fn letters(serials: Range<usize>) -> Vec<Letter> {
    serials.map(letter).collect()
}

fn letter(serial: usize) -> Letter {
    let size = match serial % 10 {
        _ if serial == LARGE => 10 * 1024 * 1024,
        0..=3 => 900,
        4..=6 => 4 * 1024,
        7 | 8 => 20 * 1024,
        _ => 120 * 1024,
    };
    let text = match serial % 7 {
        1 | 4 => Text::EightBit,
        2 | 5 => Text::Dots,
        _ => Text::Plain,
    };
    let sender = serial % SENDERS;
    let address = |number: usize| format!("user{sender}-{}@example.com", number % RECIPIENTS);
    let first = address(serial / SENDERS);
    let second = address(serial / SENDERS + 1);
    // Every eighth goes to two people.
    if serial.is_multiple_of(8) {
        Letter::of(serial, &[&first, &second], size, text)
    } else {
        Letter::of(serial, &[&first], size, text)
    }
}

/// How many different people the letters are to.
pub(crate) fn recipients(letters: &[Letter]) -> usize {
    letters
        .iter()
        .flat_map(|letter| &letter.to)
        .collect::<BTreeSet<_>>()
        .len()
}

/// Sends all, over several senders side by side, each to the nodes in turn.
pub(crate) fn send_all(cluster: &Cluster, letters: &[Letter]) -> Result<Sent> {
    let began = Instant::now();
    let receipts = thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|number| scope.spawn(move || one_sender(cluster, number, letters)))
            .collect();
        let mut receipts = Vec::new();
        for sender in senders {
            receipts.extend(
                sender
                    .join()
                    .map_err(|_| anyhow!("a sender's thread panicked"))??,
            );
        }
        Ok::<_, anyhow::Error>(receipts)
    })?;
    let by_tls = |receipt: &&Receipt| speaks_tls(receipt.serial % SENDERS);
    Ok(Sent {
        took: began.elapsed(),
        slowest: receipts
            .iter()
            .map(|receipt| receipt.took)
            .max()
            .unwrap_or_default(),
        over_tls: receipts.iter().filter(by_tls).count(),
        unknown: receipts.iter().map(|receipt| receipt.unknown).sum(),
    })
}

fn one_sender(cluster: &Cluster, number: usize, letters: &[Letter]) -> Result<Vec<Receipt>> {
    let mut courier = Courier::new(&cluster.hosts()).starting_at(number);
    if speaks_tls(number) {
        courier = courier.over_tls(cluster.authority.client());
    }
    letters
        .iter()
        .filter(|letter| letter.serial % SENDERS == number)
        .map(|letter| courier.send(letter, TAKEN).map_err(|said| anyhow!(said)))
        .collect()
}

fn speaks_tls(sender: usize) -> bool {
    sender % 2 == 1
}
