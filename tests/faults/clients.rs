//! Mail servers of the world: each has messages for a few people, and sends them one by one.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use harness::{Courier, letter::Text};

use crate::ledger::{Ledger, Plan};

/// Clients of each node.
const CLIENTS_PER_NODE: usize = 2;

/// People that one client writes to. No two clients write to the same, so that the order in which
/// each is to get its mail is known.
const PEOPLE: usize = 3;

/// Longer than `commit_timeout` in these runs, so that a 451 is heard; a node that is paused or
/// cut off for longer leaves the client without an answer, as happens to real ones.
const PATIENCE: Duration = Duration::from_secs(6);

/// A message that no node has taken so long after everything was mended is given up.
const GIVEN_UP: Duration = Duration::from_secs(60);

/// Between two messages of a client: the load is to be steady, not high. On two cores, nodes,
/// clients and primary together have enough to do with some hundred messages a second.
const BETWEEN: Duration = Duration::from_millis(25);

/// Of so many messages, one is for a domain that is not ours and one is malformed.
const REFUSED_EVERY: usize = 45;

/// Sends to `hosts` until told to stop.
#[derive(Debug)]
pub(crate) struct Clients<'a> {
    pub(crate) hosts: &'a [SocketAddr],
    pub(crate) ledger: &'a Ledger,
    /// What the serial numbers of this round begin with.
    pub(crate) round: usize,
}

impl Clients<'_> {
    /// Sends over all clients while `meanwhile` runs.
    pub(crate) fn send_while<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        let stop = &AtomicBool::new(false);
        thread::scope(|scope| {
            for client in 0..self.hosts.len() * CLIENTS_PER_NODE {
                scope.spawn(move || self.send_until(stop, client));
            }
            // The clients end even when what is done meanwhile fails the run.
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
            stop.store(true, Ordering::Relaxed);
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn send_until(&self, stop: &AtomicBool, client: usize) {
        let mut courier = self.courier(client);
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            self.send(&mut courier, client, number);
            thread::sleep(BETWEEN);
        }
    }

    /// Sends the first `count` messages of each client, to be kept while the primary is down.
    pub(crate) fn send_some(&self, count: usize) {
        for client in 0..self.hosts.len() {
            let mut courier = self.courier(client);
            for number in 0..count {
                self.send(&mut courier, client, number);
            }
        }
    }

    fn courier(&self, client: usize) -> Courier {
        Courier::new(self.hosts)
            .starting_at(client)
            .staying()
            .with_patience(PATIENCE)
    }

    fn send(&self, courier: &mut Courier, client: usize, number: usize) {
        let plan = plan(self.round, client, number);
        self.ledger.intend(&plan);
        // Given up or refused for good: the ledger knows, and the checks judge.
        let _receipt = courier.send_noting(&plan.letter(), GIVEN_UP, |tried| {
            self.ledger.note(plan.serial, tried);
        });
    }
}

/// Most messages are small, some are not, and a few are larger than the pieces in which bodies are
/// stored.
fn plan(round: usize, client: usize, number: usize) -> Plan {
    let size = match number % 50 {
        37 => 700_000,
        n if n % 6 == 5 => 50_000,
        _ => 1_000,
    };
    let text = *[Text::Plain, Text::EightBit, Text::Dots]
        .get(number / PEOPLE % 3)
        .unwrap_or(&Text::Plain);
    let foreign = number % REFUSED_EVERY == 20;
    let domain = if foreign {
        "elsewhere.test"
    } else {
        "example.com"
    };
    Plan {
        serial: (round * 100 + client) * 100_000 + number,
        to: format!("u{client}r{}@{domain}", number % PEOPLE),
        size,
        text,
        malformed: number % REFUSED_EVERY == 40,
    }
}
