//! A node is sent the others' spool, since their logs do not go back far enough for it, and loses its
//! power meanwhile, or an octet of what it has got.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use harness::Ctl;
use serde_json::Value;

use super::{Errand, Nemesis, Undo, damage, errand};

/// The others' logs have been cut behind what a node has within this time: an operator's cut leaves a
/// thousand entries, which are the mail of some seconds, and while one node is sent a spool, and half
/// a minute longer, nothing is cut.
const LEFT_BEHIND_MS: u64 = 40_000;

/// A node may have got so many entries after it was asked how far its log is.
const ENTRIES_SINCE: u64 = 200;

/// A leader that reaches a node has sent it something of what it lacks within this time: over the
/// slow link the first megabyte takes ten seconds.
const BEGUN_MS: u64 = 20_000;

/// A transfer that has brought more is well under way: small files come first.
const FIRST_OCTETS: u64 = 16 << 10;

/// What a node has got so far lies there.
const INCOMING: &str = "incoming";

/// What happens to a node while a spool arrives.
#[derive(Clone, Copy, Debug)]
pub(super) enum Harm {
    /// What was not fsynced is gone, as is the process.
    PowerCut,
    /// It is killed, and an octet of what had arrived is changed.
    Damage,
}

/// A node on its way back.
#[derive(Debug)]
pub(super) struct Transfer {
    place: usize,
    harm: Harm,
    /// Up to where its log may have gone.
    last: u64,
    until_ms: u64,
    stage: Stage,
}

/// How far that is.
#[derive(Debug)]
enum Stage {
    /// It is down, and the others' logs still have what it lacks.
    Down,
    /// They are asked to cut their logs.
    Cutting(Errand),
    /// It runs; so many octets had come when that was looked at.
    Waiting(Option<u64>),
}

impl Nemesis<'_> {
    /// A node goes while mail flows.
    pub(super) fn leave_behind(&mut self, place: usize, harm: Harm) -> Undo {
        let last = self.node(place).metric(LAST_INDEX, &[]).unwrap_or(0.0);
        // Indices are far below what a float can count.
        let last: u64 = format!("{last:.0}").parse().unwrap_or(0);
        self.kill(&[place]);
        Undo::Transfer(Transfer {
            place,
            harm,
            last: last + ENTRIES_SINCE,
            until_ms: self.world.ledger.now_ms() + LEFT_BEHIND_MS,
            stage: Stage::Down,
        })
    }

    /// Goes on with it; returns it while it takes longer.
    pub(super) fn transfer(&mut self, transfer: Transfer) -> Option<Transfer> {
        let Transfer {
            place,
            harm,
            last,
            mut until_ms,
            stage,
        } = transfer;
        let now_ms = self.world.ledger.now_ms();
        let stage = match stage {
            Stage::Down => {
                let others = self.others(place);
                Stage::Cutting(Errand::begin(move || cut_logs(&others, last)))
            }
            Stage::Cutting(errand) if !errand.is_over() => Stage::Cutting(errand),
            Stage::Cutting(errand) => match errand.end() {
                Ok(not_yet) if not_yet.is_empty() => {
                    // A link that is slow already does as well.
                    let _none = self.slow_down(place);
                    self.start(place);
                    until_ms = now_ms + BEGUN_MS;
                    Stage::Waiting(None)
                }
                Ok(_) if now_ms < until_ms => Stage::Down,
                Ok(why) => {
                    self.world.ledger.remark(&format!("left out: {why}"));
                    self.start(place);
                    return None;
                }
                Err(problem) => {
                    self.problems.push(problem);
                    self.start(place);
                    return None;
                }
            },
            Stage::Waiting(before) => {
                let incoming = octets(&self.incoming(place));
                let grows = before.is_some() && incoming > before.max(Some(FIRST_OCTETS));
                if grows || now_ms > until_ms {
                    self.interrupt(place, harm, incoming);
                    return None;
                }
                Stage::Waiting(incoming)
            }
        };
        Some(Transfer {
            place,
            harm,
            last,
            until_ms,
            stage,
        })
    }

    fn interrupt(&mut self, place: usize, harm: Harm, received: Option<u64>) {
        let done = match harm {
            Harm::PowerCut => {
                self.cut_power(&[place]);
                "the power is cut".to_owned()
            }
            Harm::Damage => {
                self.kill(&[place]);
                match damage_one(&self.incoming(place)) {
                    Ok(Some(name)) => format!("an octet of {name} is changed"),
                    Ok(None) => "nothing is changed, for no file was begun".to_owned(),
                    Err(error) => format!("nothing is changed: {error}"),
                }
            }
        };
        self.world.ledger.remark(&match received {
            Some(octets) => format!("{done}, with {octets} octets in {INCOMING}"),
            None => format!("no transfer was seen; all the same {done}"),
        });
        let _none = self.quicken(place);
        self.start(place);
    }

    fn incoming(&self, place: usize) -> PathBuf {
        self.node(place).data_dir().join(INCOMING)
    }
}

/// Changes one octet of the largest file that was sent; returns its name. What is a file of the present database, too, is
/// left alone.
fn damage_one(incoming: &Path) -> io::Result<Option<String>> {
    let mut largest = None;
    for entry in fs::read_dir(incoming)? {
        let entry = entry?;
        let file = entry.metadata()?;
        if file.nlink() == 1 && file.len() > 0 {
            largest = largest.max(Some((file.len(), entry.path())));
        }
    }
    let Some((size, path)) = largest else {
        return Ok(None);
    };
    damage::flip(&path, size / 2)?;
    Ok(Some(path.display().to_string()))
}

/// How far a node's log goes.
const LAST_INDEX: &str = "layover_raft_last_log_index";

/// Asks each node to cut its log. Nothing is said when none goes back to `last` any more, else why
/// one does.
fn cut_logs(nodes: &[Ctl], last: u64) -> Result<String, String> {
    let words = ["--json", "cluster", "snapshot"];
    for node in nodes {
        let said = match errand::done(&node.run(&words), &words)? {
            Ok(said) => said,
            Err(refusal) => return Ok(refusal),
        };
        let (_, json) = said.split_once(": ").unwrap_or_default();
        let snapshot: Value = serde_json::from_str(json).unwrap_or_default();
        let purged = snapshot["purged_index"].as_u64().unwrap_or(0);
        if purged <= last {
            return Ok(format!(
                "a log goes back to {purged}, and the node was at {last}"
            ));
        }
    }
    Ok(String::new())
}

/// Octets in a directory, if it is there.
fn octets(directory: &Path) -> Option<u64> {
    let entries = fs::read_dir(directory).ok()?;
    let sizes = entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()));
    Some(sizes.sum())
}
