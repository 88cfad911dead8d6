//! What a node tells the service manager that has started it.

use std::{os::unix::net::UnixDatagram, path::Path, process::Command, time::Duration};

use harness::{Cluster, Primary, Settings, ctl};

/// What a service manager is told next.
fn told(socket: &UnixDatagram) -> String {
    let mut words = [0; 256];
    let octets = socket.recv(&mut words).unwrap();
    String::from_utf8_lossy(&words[..octets]).trim().to_owned()
}

#[test]
fn whoever_runs_a_node_is_told_that_it_is_ready_lives_and_stops() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let primary = Primary::down_at_first();
    let mut cluster = Cluster::prepare(1, &Settings::for_primary(primary.address()));
    let node = &mut cluster.nodes[0];
    node.set_environment("NOTIFY_SOCKET", &path);
    // As with `WatchdogSec=1s`.
    node.set_environment("WATCHDOG_USEC", Path::new("1000000"));
    node.spawn();
    let first = [told(&socket), told(&socket)];
    assert!(first.contains(&"READY=1".to_owned()), "{first:?}");
    assert!(first.contains(&"WATCHDOG=1".to_owned()), "{first:?}");
    for _ in 0..3 {
        assert_eq!(told(&socket), "WATCHDOG=1");
    }
    assert!(node.terminate().success());
    socket.set_nonblocking(true).unwrap();
    let mut last = Vec::new();
    let mut words = [0; 256];
    while let Ok(octets) = socket.recv(&mut words) {
        last.push(String::from_utf8_lossy(&words[..octets]).trim().to_owned());
    }
    assert!(last.contains(&"STOPPING=1".to_owned()), "{last:?}");
}

#[test]
fn the_unit_leaves_a_node_few_rights() {
    const UNIT: &str = "../deploy/layoverd.service";
    let mut judge = Command::new("systemd-analyze");
    // In tenths; below 2.0 it calls a service well contained.
    judge.args(["security", "--offline=true", "--threshold=20", UNIT]);
    match ctl::tried(&mut judge) {
        Ok(judged) => assert_eq!(judged.code, 0, "{}{}", judged.out, judged.err),
        Err(error) => eprintln!("skipped: systemd-analyze does not run: {error}"),
    }
}
