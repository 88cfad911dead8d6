//! `layoverd recover`: the quorum is lost for good, and this node has survived.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use cluster::offline::{Holding, Offline};

use super::count;
use crate::{clock, config::Config};

/// What is to be done with what is there.
#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// Found a new cluster of this node alone. Without it, only what the node holds is shown.
    #[arg(long)]
    force_new_cluster: bool,
    /// Do not ask.
    #[arg(long, requires = "force_new_cluster")]
    yes: bool,
}

/// Shows what the node holds and, if that is wanted, founds a new cluster from it.
pub(crate) fn recover(file: &Path, options: &Recover) -> anyhow::Result<ExitCode> {
    let config = Config::read(file, clock::SYSTEM.now())?;
    let place = || format!("data_dir {}", config.data_dir.display());
    let offline = Offline::open_to_read(&config.data_dir).with_context(place)?;
    let holding = offline.holding().with_context(place)?;
    let lacking = offline.lacking().with_context(place)?;
    drop(offline);
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(clock::SYSTEM.now().0);
    print!("{}", described(&holding, now));
    if let Some(why) = &lacking {
        println!(
            "This node lacks something that it had acknowledged: {why}. Another node may have it."
        );
    }
    if !options.force_new_cluster {
        println!("Nothing was changed. --force-new-cluster founds a new cluster from this.");
        return Ok(ExitCode::SUCCESS);
    }
    if !options.yes && !is_confirmed(lacking.is_some())? {
        println!("Nothing was changed.");
        return Ok(ExitCode::FAILURE);
    }
    let name = Offline::open(&config.data_dir)
        .and_then(|offline| offline.found_anew(config.node_id, &config.cluster.advertise))
        .with_context(place)?;
    println!(
        "Node {} is cluster {name:032x} now, alone. Start it, then add nodes with empty data directories and \
         join = \"{}\" in their node files; `members` there would found another cluster. The other nodes of \
         the former one must not be started again.",
        config.node_id, config.cluster.advertise
    );
    Ok(ExitCode::SUCCESS)
}

fn described(holding: &Holding, now: SystemTime) -> String {
    let cluster = holding
        .cluster
        .map_or_else(|| "(not founded)".to_owned(), |name| format!("{name:032x}"));
    let (term, index) = holding.last_log;
    let mut text = format!(
        "cluster {cluster}\n{} of {} octets\nlog up to term {term}, index {index}",
        count(holding.messages, "message"),
        holding.bytes
    );
    match holding.unapplied {
        0 => text.push_str(", all of it applied\n"),
        unapplied => text.push_str(&format!(
            ", applied up to {}: whether the last {unapplied} entries were acknowledged is not known \
             here, so they count as if they were\n",
            holding.applied_index,
        )),
    }
    if let Some(newest) = holding.newest {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(newest.0);
        text.push_str(&format!("newest message received {}\n", moment(at, now)));
    }
    if let Some(at) = holding.written_at {
        text.push_str(&format!(
            "last written {}; what came later is not here\n",
            moment(at, now)
        ));
    }
    text
}

/// `2026-01-31T12:00:00Z (3h 4m ago)`.
fn moment(at: SystemTime, now: SystemTime) -> String {
    let ago = now.duration_since(at).unwrap_or_default().as_secs();
    format!(
        "{} ({} ago)",
        humantime::format_rfc3339_seconds(at),
        humantime::format_duration(Duration::from_secs(ago))
    )
}

/// Asks, where somebody is there. Else the long name of the option has said it, unless something is known to be lacking.
fn is_confirmed(is_lacking: bool) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        ensure!(
            !is_lacking,
            "nobody is there to be asked; --yes founds the new cluster without asking"
        );
        return Ok(true);
    }
    print!("Found a new cluster from this, and refuse the former one's other nodes? [yes/no] ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_survivor_is_described_with_what_is_not_sure() {
        let second = Duration::from_secs;
        let holding = Holding {
            cluster: Some(10),
            messages: 1,
            bytes: 2000,
            newest: Some(spool::Timestamp(60_000)),
            last_log: (3, 17),
            applied_index: 15,
            unapplied: 2,
            written_at: Some(SystemTime::UNIX_EPOCH + second(120)),
        };
        let text = described(&holding, SystemTime::UNIX_EPOCH + second(180));
        assert_eq!(
            text,
            "cluster 0000000000000000000000000000000a\n\
             1 message of 2000 octets\n\
             log up to term 3, index 17, applied up to 15: whether the last 2 entries were \
             acknowledged is not known here, so they count as if they were\n\
             newest message received 1970-01-01T00:01:00Z (2m ago)\n\
             last written 1970-01-01T00:02:00Z (1m ago); what came later is not here\n"
        );
    }
}
