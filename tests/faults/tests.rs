//! The short form, and the harness against clusters and evidence in which something is wrong.

use std::{path::Path, time::Duration};

use harness::LoopDisk;

use crate::{
    check::{self, Evidence},
    clients::Clients,
    fault::Kind,
    report,
    round::{self, Play},
    world::{Wish, World},
};

/// Decided the schedule that was tried most; any other must do as well.
const SEED: u64 = 1;

/// Mail that is kept while the power is cut.
const KEPT: usize = 30;

fn world(papers: &Path, fsync_lies: bool) -> World {
    let nodes = 3;
    let wish = Wish {
        nodes,
        short_logs: false,
        fsync_lies,
    };
    World::found(wish, papers)
}

fn clients<'a>(world: &'a World, hosts: &'a [std::net::SocketAddr]) -> Clients<'a> {
    Clients {
        hosts,
        ledger: &world.ledger,
        round: 0,
    }
}

/// Keeps mail, cuts the power of all nodes at once, lets what is left leave.
fn through_a_power_cut(world: &mut World) -> Evidence {
    let hosts = world.cluster.hosts();
    world.primary.down();
    clients(world, &hosts).send_some(KEPT);
    world.cluster.nodes.iter().for_each(harness::Daemon::pause);
    LoopDisk::cut_power(&world.disks.iter().collect::<Vec<_>>());
    for (node, disk) in world.cluster.nodes.iter_mut().zip(&world.disks) {
        node.kill();
        disk.power_on();
        node.spawn();
    }
    world
        .cluster
        .nodes
        .iter_mut()
        .for_each(harness::Daemon::wait_ready);
    world.primary.up();
    world.cluster.wait_queued(0, Duration::from_secs(60));
    check::evidence(world, world.primary.take_received())
}

/// Whether the disks can lose their power here; says so when not.
fn power_can_be_cut(world: &World) -> bool {
    let can = world.can(Kind::PowerCutAll);
    if !can {
        report::skipped(world, &[Kind::PowerCutAll]);
    }
    can
}

#[test]
fn a_minute_of_faults_loses_nothing() {
    let papers = tempfile::tempdir().unwrap();
    let mut world = world(papers.path(), false);
    report::skipped(&world, &Kind::MIX);
    let play = Play {
        seed: SEED,
        round_ms: 30_000,
        kinds: Kind::MIX.to_vec(),
    };
    for round in 0..2 {
        let findings = round::play(&mut world, &play, round);
        println!("{findings:?}");
        assert!(findings.violations.is_empty(), "{:#?}", findings.violations);
        assert!(findings.acknowledged > 100, "{findings:?}");
    }
}

#[test]
fn a_power_cut_of_all_nodes_loses_nothing_and_what_is_then_taken_away_is_missed() {
    let papers = tempfile::tempdir().unwrap();
    let mut world = world(papers.path(), false);
    if !power_can_be_cut(&world) {
        return;
    }
    let evidence = through_a_power_cut(&mut world);
    let findings = check::judge(&evidence);
    assert!(findings.violations.is_empty(), "{:#?}", findings.violations);
    assert!(findings.acknowledged > 50, "{findings:?}");

    let mut with_a_message_less = evidence.clone();
    with_a_message_less.received.remove(20);
    let findings = check::judge(&with_a_message_less);
    assert_eq!(findings.violations.len(), 1, "{:#?}", findings.violations);

    let mut with_an_octet_changed = evidence;
    let body = &mut with_an_octet_changed.received[20].1.body;
    let last = body.len() - 3;
    body[last] ^= 1;
    let findings = check::judge(&with_an_octet_changed);
    assert_eq!(findings.violations.len(), 1, "{:#?}", findings.violations);
}

#[test]
fn an_fsync_that_lies_on_all_nodes_is_found_out_by_a_power_cut() {
    let papers = tempfile::tempdir().unwrap();
    let mut world = world(papers.path(), true);
    let shim_is_there = world.can(Kind::Clock);
    if !power_can_be_cut(&world) || !shim_is_there {
        report::skipped(&world, &[Kind::PowerCutAll, Kind::Clock]);
        return;
    }
    let evidence = through_a_power_cut(&mut world);
    let findings = check::judge(&evidence);
    let lost = |violation: &&String| violation.contains("did not arrive");
    let count = findings.violations.iter().filter(lost).count();
    println!("{count} of {} lost", findings.acknowledged);
    assert!(count > 0, "{findings:?}");
}
