//! Three nodes, a primary that is down, and a leader that dies: nothing is lost.
//!
//! ```text
//!   demo [--keep]         the whole story; exit 0 only when every acknowledged message arrived
//!                         unchanged and in order; --keep leaves the nodes running
//!   demo primary ADDRESS  a primary that says what arrives, for nodes that were left running
//! ```

mod mail;
mod stage;

use std::{
    env,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use harness::{Cluster, Letter, Primary, binaries, compare, primary::Received};
use mail::{FIRST, MORE, Sent};

/// A queue that has not emptied by then is stuck.
const DRAINED: Duration = Duration::from_secs(120);

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => run(false),
        ["--keep"] => run(true),
        ["primary", address] => stage::serve(address.parse()?),
        _ => bail!("usage: demo [--keep] | demo primary ADDRESS"),
    }
}

fn run(keep: bool) -> Result<ExitCode> {
    ensure!(
        binaries::are_built(),
        "{} is not built",
        binaries::layoverd().display()
    );
    println!("Layover: three nodes, a primary that is down, and a leader that dies.\n");
    let began = Instant::now();
    let mut primary = Primary::down_at_first();
    let mut cluster = stage::found(&primary);
    let leader = cluster.leader();
    stage::introduce(&cluster, leader, began.elapsed());

    let mut letters = mail::letters(FIRST);
    let first = mail::send_all(&cluster, &letters)?;
    report("sent", &letters, &first);
    stage::show_queue(&cluster);

    stage::kill_leader(&mut cluster, leader)?;
    let more = mail::letters(MORE);
    let second = mail::send_all(&cluster, &more)?;
    report("sent", &more, &second);

    letters.extend(more);
    let received = drain(&cluster, &mut primary, letters.len())?;
    let right = judge(&letters, &received, first.unknown + second.unknown);
    println!(
        "\n{} in {:.0} s.",
        if right { "All is well" } else { "FAILED" },
        began.elapsed().as_secs_f64()
    );
    if keep {
        stage::leave_running(cluster, leader, &primary);
    }
    Ok(if right {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn report(what: &str, letters: &[Letter], sent: &Sent) {
    let bytes: usize = letters.iter().map(|letter| letter.body.len()).sum();
    let eight_bit = letters
        .iter()
        .filter(|letter| letter.is_eight_bit())
        .count();
    let dots = letters.iter().filter(|letter| has_dots(letter)).count();
    let largest = letters
        .iter()
        .map(|letter| letter.body.len())
        .max()
        .unwrap_or(0);
    stage::say(
        what,
        &format!(
            "{} messages, {:.1} MiB: {eight_bit} of them 8-bit, {dots} with leading dots, the \
             largest {:.1} MiB,\n{} over STARTTLS, round robin to all three. All acknowledged in {:.1} s \
             ({:.0} a second);\nthe slowest took {:.0} ms.",
            letters.len(),
            mebibytes(bytes),
            mebibytes(largest),
            sent.over_tls,
            sent.took.as_secs_f64(),
            letters.len() as f64 / sent.took.as_secs_f64(),
            sent.slowest.as_secs_f64() * 1000.0,
        ),
    );
}

/// Opens the primary's port and waits until the queue is empty.
fn drain(cluster: &Cluster, primary: &mut Primary, expected: usize) -> Result<Vec<Received>> {
    primary.up();
    let began = Instant::now();
    let mut first = None;
    while began.elapsed() < DRAINED {
        if first.is_none() && primary.count() > 0 {
            first = Some(began.elapsed());
        }
        let empty = cluster
            .nodes
            .iter()
            .filter(|node| node.is_running())
            .all(|node| node.queued() == Some(0));
        if empty && primary.count() > 0 {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let took = began.elapsed();
    stage::say(
        "drained",
        &format!(
            "The primary is back: the first message reached it after {:.1} s, the queue was empty\n\
             after {:.1} s. {} messages over {} connections, {:.0} a second.",
            first.unwrap_or(took).as_secs_f64(),
            took.as_secs_f64(),
            primary.count(),
            primary.sessions(),
            expected as f64 / took.as_secs_f64(),
        ),
    );
    Ok(primary.received())
}

/// Compares and says what came out.
fn judge(letters: &[Letter], received: &[Received], unknown: usize) -> bool {
    let account = compare(letters, received);
    stage::say(
        "compared",
        &format!(
            "{account}.\nOctet for octet against what was sent, and the order for each of {} \
             recipients.",
            mail::recipients(letters)
        ),
    );
    if unknown > 0 || !account.repeated.is_empty() {
        let times = if unknown == 1 { "time" } else { "times" };
        println!(
            "             {unknown} {times} a connection broke before its 250 and the sender sent \
             again: that may repeat, never lose.",
        );
    }
    for (what, serials) in [
        ("lost", &account.lost),
        ("changed", &account.changed),
        ("out of order", &account.out_of_order),
    ] {
        if !serials.is_empty() {
            println!("             {what}: {serials:?}");
        }
    }
    account.is_right()
}

fn has_dots(letter: &Letter) -> bool {
    letter
        .body
        .windows(2)
        .any(|octets| octets == b"\n.".as_slice())
}

fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / 1_048_576.0
}
