//! What most tests begin with.

use std::time::Duration;

use harness::{Account, Cluster, Letter, Primary, Settings, compare, wait_until};

/// Mail leaves "within seconds" of the primary's return; probes run every half second here.
pub(crate) const DRAIN: Duration = Duration::from_secs(60);

/// A node that is behind catches up in this time.
pub(crate) const CATCH_UP: Duration = Duration::from_secs(60);

/// A sender tries for this long before a test gives up.
pub(crate) const TAKEN: Duration = Duration::from_secs(60);

/// Leadership is given to another node in this time, also when others are elected in between.
pub(crate) const HAND_OVER: Duration = Duration::from_secs(30);

/// Nodes whose primary is down. The primary stands in front of the tuple so that it goes last.
pub(crate) fn outage(nodes: u64) -> (Primary, Cluster) {
    let primary = Primary::down_at_first();
    let cluster = Cluster::start(nodes, &Settings::for_primary(primary.address()));
    (primary, cluster)
}

/// Sends each letter in turn over one courier.
pub(crate) fn send_all(cluster: &Cluster, letters: &[Letter]) {
    let mut courier = cluster.courier();
    for letter in letters {
        courier.send(letter, TAKEN).expect("the letter is taken");
    }
}

/// Small letters to a few recipients.
pub(crate) fn letters(serials: std::ops::Range<usize>) -> Vec<Letter> {
    serials
        .map(|serial| Letter::new(serial, &format!("user{}@example.com", serial % 5), 2_000))
        .collect()
}

/// Opens the primary's port, waits until everything has left, and compares.
#[track_caller]
pub(crate) fn drain(cluster: &Cluster, primary: &mut Primary, letters: &[Letter]) -> Account {
    primary.up();
    cluster.wait_queued(0, DRAIN);
    let account = compare(letters, &primary.received());
    assert!(account.is_right(), "{account}: {account:?}");
    account
}

/// Waits until the primary has so many messages.
#[track_caller]
pub(crate) fn wait_received(primary: &Primary, count: usize) {
    wait_until(DRAIN, "the primary has its mail", || {
        primary.count() >= count
    });
}

/// Has leadership given to a node, as often as another one gets it instead.
#[track_caller]
pub(crate) fn let_lead(cluster: &Cluster, place: usize) {
    let node = &cluster.nodes[place];
    let id = node.id.to_string();
    wait_until(HAND_OVER, "the node leads", || {
        let told = cluster.ctl().run(&["cluster", "transfer-leader", &id]);
        told.code == 0 && node.is_leader()
    });
}
