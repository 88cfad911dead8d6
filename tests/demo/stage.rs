//! Who appears in the demonstration, and what is shown of them.

use std::{
    net::SocketAddr,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use harness::{Cluster, Primary, Settings, binaries, wait};

/// How many messages of the queue are shown.
const SHOWN: &str = "5";

/// Prints one step, its further lines under the first.
pub(crate) fn say(what: &str, text: &str) {
    let text = text.replace('\n', "\n             ");
    println!("{what:>11}  {text}");
}

/// Starts three nodes and waits until all of them take mail.
pub(crate) fn found(primary: &Primary) -> Cluster {
    Cluster::start(3, &Settings::for_primary(primary.address()))
}

/// Prints who they are.
pub(crate) fn introduce(cluster: &Cluster, leader: usize, took: Duration) {
    let mut text = format!(
        "Three nodes founded a cluster in {:.1} s:",
        took.as_secs_f64()
    );
    for (place, node) in cluster.nodes.iter().enumerate() {
        let role = if place == leader { "leads" } else { "follows" };
        text.push_str(&format!(
            "\nmx{}  pid {:<7} SMTP {}  admin {}  HTTP {}  {role}",
            node.id,
            node.pid(),
            node.smtp(),
            node.ports.admin.address(),
            node.ports.http.address(),
        ));
    }
    say("started", &text);
}

/// Prints what an operator would see.
pub(crate) fn show_queue(cluster: &Cluster) {
    for arguments in [&["status"][..], &["queue", "list", "--limit", SHOWN]] {
        let outcome = cluster.ctl().run(arguments);
        say("queue", &format!("$ layover {}", arguments.join(" ")));
        let text = if outcome.code == 0 {
            outcome.out
        } else {
            outcome.err
        };
        for line in text.lines() {
            println!("             {line}");
        }
    }
}

/// Kills the leader and waits for the next.
pub(crate) fn kill_leader(cluster: &mut Cluster, leader: usize) -> Result<()> {
    let Some(node) = cluster.nodes.get_mut(leader) else {
        bail!("there is no node {leader}")
    };
    let (id, pid) = (node.id, node.pid());
    let began = Instant::now();
    node.kill();
    let next = cluster.leader();
    say(
        "killed",
        &format!(
            "mx{id}, the leader, by SIGKILL (pid {pid}); mx{} leads {:.1} s later.",
            next + 1,
            began.elapsed().as_secs_f64()
        ),
    );
    Ok(())
}

/// Starts the killed node again and leaves all of them to themselves.
pub(crate) fn leave_running(mut cluster: Cluster, killed: usize, primary: &Primary) {
    if let Some(node) = cluster.nodes.get_mut(killed) {
        node.spawn();
        node.wait_ready();
    }
    println!("\nThe nodes keep running. Their primary is gone with this program; to try:\n");
    for node in &cluster.nodes {
        println!(
            "  swaks --server {} --from you@sender.test --to anyone@example.com    (mx{})",
            node.smtp(),
            node.id
        );
    }
    if let Some(node) = cluster.nodes.first() {
        let layover = binaries::layover();
        let (admin, http) = (node.ports.admin.address(), node.ports.http.address());
        println!("  {} --server {admin} status", layover.display());
        println!("  {} --server {admin} queue list", layover.display());
        println!("  curl http://{http}/metrics");
    }
    let program = layover_demo();
    println!(
        "  {program} primary {}    (the primary is back)",
        primary.address()
    );
    let directory = cluster.directory().to_owned();
    let pids: Vec<String> = cluster.leave_running().iter().map(u32::to_string).collect();
    println!(
        "\nTo end them: kill {}; rm -r {}",
        pids.join(" "),
        directory.display()
    );
}

fn layover_demo() -> String {
    std::env::current_exe().map_or_else(|_| "demo".to_owned(), |path| path.display().to_string())
}

/// Is the primary at `address` and says what arrives, until it is interrupted.
pub(crate) fn serve(address: SocketAddr) -> Result<ExitCode> {
    let mut primary = Primary::at(address);
    primary.up();
    println!("A primary listens on {address}; interrupt to end it.");
    let mut seen = 0;
    loop {
        let arrived = wait::within(Duration::from_secs(1), || {
            (primary.count() > seen).then_some(())
        });
        if arrived.is_none() {
            thread::yield_now();
            continue;
        }
        for message in primary.received().iter().skip(seen) {
            println!(
                "{} octets from <{}> to {:?}",
                message.body.len(),
                message.from,
                message.to
            );
            seen += 1;
        }
    }
}
