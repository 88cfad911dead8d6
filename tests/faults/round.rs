//! One round: faults while mail flows, then calm, then the reckoning.

use std::{fmt::Write as _, fs};

use crate::{
    check::{self, Findings},
    clients::Clients,
    fault::Kind,
    nemesis::Nemesis,
    schedule::Schedule,
    world::World,
};

/// What is to be played.
#[derive(Clone, Debug)]
pub(crate) struct Play {
    pub(crate) seed: u64,
    pub(crate) round_ms: u64,
    pub(crate) kinds: Vec<Kind>,
}

/// Plays round number `round` of a seed in a world; what was found, and violations first.
///
/// Each round is judged by itself: it ends with empty queues, so what arrives later has no excuse.
pub(crate) fn play(world: &mut World, play: &Play, round: u64) -> Findings {
    let able: Vec<Kind> = play
        .kinds
        .iter()
        .copied()
        .filter(|&k| world.can(k))
        .collect();
    let schedule = Schedule::of(play.seed, round, &able, play.round_ms);
    let text = format!("# seed {}, round {round}\n{schedule}", play.seed);
    let file = world.papers.join(format!("schedule-{round}"));
    fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));

    let hosts = world.cluster.hosts();
    // Clients and nemesis both need the ledger, and the nemesis all the rest.
    let ledger = std::sync::Arc::clone(&world.ledger);
    let number = usize::try_from(round * 2).expect("few rounds");
    let clients = Clients {
        hosts: &hosts,
        ledger: &ledger,
        round: number,
    };
    let mut problems = clients.send_while(|| Nemesis::new(world).play(&schedule));
    let calm = Clients {
        round: number + 1,
        ..clients
    };
    problems.extend(check::settle_and_drain(world, &calm));
    let received = world.primary.take_received();
    write_arrivals(world, &received);
    let evidence = check::evidence(world, received);
    let mut findings = check::judge(&evidence);
    problems.extend(check::alarms(world));
    problems.append(&mut findings.violations);
    findings.violations = problems;
    world.ledger.close_round();
    findings
}

/// The primary's own record: when, from whom, to whom, how many octets, and their digest.
fn write_arrivals(world: &World, received: &[harness::Received]) {
    use sha2::Digest as _;
    let mut text = String::new();
    for arrived in received {
        let at = world.ledger.ms_of(arrived.at);
        let digest = sha2::Sha256::digest(harness::letter::without_trace(&arrived.body));
        let hex = digest.iter().fold(String::new(), |mut hex, octet| {
            write!(hex, "{octet:02x}").expect("strings grow");
            hex
        });
        let (serial, from, to) = (arrived.serial(), &arrived.from, &arrived.to);
        let (octets, session) = (arrived.body.len(), arrived.session);
        writeln!(
            text,
            "{at:>8} {serial:?} from <{from}> to {to:?}, session {session}, {octets} octets, sha256 {hex}"
        )
        .expect("strings grow");
    }
    append(&world.papers.join("primary"), &text);
}

fn append(file: &std::path::Path, text: &str) {
    use std::io::Write as _;
    let opened = fs::OpenOptions::new().create(true).append(true).open(file);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
