//! The leader dies while the members change: the next one ends the change, or nothing of it is left.

use std::{net::SocketAddr, thread, time::Duration};

use harness::{
    Cluster, Ctl, Daemon, FailingSyncs, Primary, ctl::Outcome, failing_syncs::Harm, wait::within,
    wait_until,
};

use crate::{
    membership::{assert_ended_as_removed, settings, wait_voters, while_mail_flows},
    scene,
};

/// A change that is asked for is carried out within this, also when leaders die meanwhile.
const CHANGED: Duration = Duration::from_secs(60);

/// When the leader is killed after a change was asked for: in each of the two entries that it takes, and
/// between them, and behind them.
const MOMENTS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(4),
    Duration::from_millis(12),
    Duration::from_millis(40),
];

/// How long a disk takes for a sync that is held up: longer than a command waits.
const HELD_UP_MS: u64 = 60_000;

fn last_log_index(node: &Daemon) -> f64 {
    let index = node.metric("layover_raft_last_log_index", &[]);
    index.expect("a running node tells it")
}

/// Five nodes without mail, so that nothing is logged but a change of members.
fn five() -> (Primary, Cluster) {
    let primary = Primary::down_at_first();
    let cluster = Cluster::start(5, &settings(&primary));
    (primary, cluster)
}

/// Has the leader remove a node, and kills it when those at `reached` have that in their logs. The leader
/// counts as one of them; those at `held_up` answer, and acknowledge nothing meanwhile: their disks are slow.
/// `None` where disks can not be made slow.
fn kill_while_it_removes(
    cluster: &mut Cluster,
    removed: usize,
    held_up: &[usize],
    reached: &[usize],
) -> Option<Outcome> {
    let leader = cluster.leader();
    let before: Vec<f64> = reached
        .iter()
        .map(|&place| last_log_index(&cluster.nodes[place]))
        .collect();
    let ctl = cluster.nodes[leader].ctl();
    let id = cluster.nodes[removed].id.to_string();
    let slow = held_up.iter().map(|&place| {
        let harm = FailingSyncs::harm(cluster.nodes[place].pid(), Harm::Delay(HELD_UP_MS));
        harm.inspect_err(|why| println!("skipped: {why}")).ok()
    });
    let slow: Vec<FailingSyncs> = slow.collect::<Option<_>>()?;
    let outcome = thread::scope(|scope| {
        let asking = scope.spawn(|| ctl.run(&["cluster", "remove", &id]));
        wait_until(scene::CATCH_UP, "the change is in their logs", || {
            let mut all = reached.iter().zip(&before);
            all.all(|(&place, before)| last_log_index(&cluster.nodes[place]) > *before)
        });
        cluster.nodes[leader].kill();
        asking.join().unwrap()
    });
    drop(slow);
    Some(outcome)
}

#[track_caller]
fn assert_equal_and_at_work(cluster: &Cluster, primary: &mut Primary) {
    let letters = scene::letters(0..30);
    scene::send_all(cluster, &letters);
    scene::drain(cluster, primary, &letters);
    let equal = cluster.ctl().json(&["cluster", "verify"]);
    assert_eq!(equal["equal"], true, "{equal}");
}

#[test]
fn what_has_reached_another_node_is_ended_by_the_next_leader() {
    let (mut primary, mut cluster) = five();
    let leader = cluster.leader();
    let others: Vec<usize> = (0..5).filter(|&place| place != leader).collect();
    let (removed, other, held_up) = (others[0], others[1], &others[2..]);
    // Of the four that are to stay two are there: the change is begun, and can not be ended.
    let reached = [leader, removed, other];
    let Some(outcome) = kill_while_it_removes(&mut cluster, removed, held_up, &reached) else {
        return;
    };
    assert_ne!(outcome.code, 0, "{}", outcome.out);
    wait_until(CHANGED, "the node is removed", || {
        cluster.nodes[removed].ended().is_some()
    });
    assert_ended_as_removed(&mut cluster.nodes[removed]);
    cluster.nodes[leader].spawn();
    cluster.nodes[leader].wait_ready();
    let mut rest: Vec<u64> = cluster.nodes.iter().map(|node| node.id).collect();
    rest.remove(removed);
    wait_voters(&cluster, &rest);
    assert_equal_and_at_work(&cluster, &mut primary);
}

#[test]
fn what_only_the_dead_leader_had_is_not_in_the_way_of_the_same_change_again() {
    let (mut primary, mut cluster) = five();
    let leader = cluster.leader();
    let others: Vec<usize> = (0..5).filter(|&place| place != leader).collect();
    let removed = others[0];
    // What it has sent may be on its way to their disks: then they have it after all.
    let Some(outcome) = kill_while_it_removes(&mut cluster, removed, &others, &[leader]) else {
        return;
    };
    assert_ne!(outcome.code, 0, "{}", outcome.out);
    remove_until_done(&mut cluster, removed);
    cluster.nodes[leader].spawn();
    cluster.nodes[leader].wait_ready();
    let mut rest: Vec<u64> = cluster.nodes.iter().map(|node| node.id).collect();
    rest.remove(removed);
    wait_voters(&cluster, &rest);
    assert_equal_and_at_work(&cluster, &mut primary);
}

/// Asks for it as often as an operator does who was told that it is not done.
#[track_caller]
fn remove_until_done(cluster: &mut Cluster, removed: usize) {
    let id = cluster.nodes[removed].id.to_string();
    let servers: Vec<SocketAddr> = (0..cluster.nodes.len())
        .filter(|&place| place != removed && cluster.nodes[place].is_running())
        .map(|place| cluster.nodes[place].ports.admin.address())
        .collect();
    let ctl = Ctl::new(&servers);
    wait_until(CHANGED, "the node is removed", || {
        ctl.run(&["cluster", "remove", &id]).code == 0
    });
    assert_ended_as_removed(&mut cluster.nodes[removed]);
}

/// Kills the leader some time after now, and starts it again.
fn restart_after(cluster: &mut Cluster, leader: usize, moment: Duration) {
    thread::sleep(moment);
    cluster.nodes[leader].kill();
    cluster.nodes[leader].spawn();
    cluster.nodes[leader].wait_ready();
}

#[test]
fn a_leader_may_die_at_any_moment_of_a_change_while_mail_flows() {
    let mut primary = Primary::down_at_first();
    let settings = settings(&primary);
    let mut cluster = Cluster::start(3, &settings);
    let hosts = cluster.hosts();
    let letters = while_mail_flows(&hosts, || {
        let mut voters: Vec<u64> = cluster.nodes.iter().map(|node| node.id).collect();
        for moment in MOMENTS {
            let asked = cluster.nodes[cluster.follower()].ports.cluster.address();
            let new = cluster.prepare_joining(asked, &settings);
            let id = cluster.nodes[new].id;
            cluster.nodes[new].spawn();
            let words = format!("adding a node; it is a learner at first node={id} ");
            let adds = |node: &Daemon| node.log_text().contains(&words);
            let leader = within(scene::CATCH_UP, || cluster.nodes.iter().position(adds));
            let leader = leader.expect("a leader adds the node");
            restart_after(&mut cluster, leader, moment);
            cluster.nodes[new].wait_ready();
            voters.push(id);
            wait_voters(&cluster, &voters);

            scene::let_lead(&cluster, leader);
            let (ctl, asked) = (cluster.nodes[leader].ctl(), id.to_string());
            let asking = thread::spawn(move || ctl.run(&["cluster", "remove", &asked]));
            restart_after(&mut cluster, leader, moment);
            // It may be done, and its answer lost.
            asking.join().unwrap();
            remove_until_done(&mut cluster, new);
            voters.pop();
            wait_voters(&cluster, &voters);
        }
    });
    scene::drain(&cluster, &mut primary, &letters);
    let equal = cluster.ctl().json(&["cluster", "verify"]);
    assert_eq!(equal["equal"], true, "{equal}");
}
