//! What operators ask for, and must get or be told why not.

use std::{ffi::OsStr, fs, path::Path};

use harness::{Cluster, Ctl, Settings, ctl};

use super::{Errand, Nemesis, errand};
use crate::fault::Kind;

impl Nemesis<'_> {
    /// Gives a command to the node at a place.
    pub(super) fn ask(&self, kind: Kind, place: usize) -> Errand {
        let node = self.node(place);
        let asked = node.ctl();
        if kind == Kind::Backup {
            let now_ms = self.world.ledger.now_ms();
            let to = self.world.papers.join(format!("backup-{now_ms}"));
            let alone = Settings::for_primary(self.world.primary.address())
                .with("cluster", "members = []")
                .with("cluster", "bootstrap = true");
            return Errand::begin(move || back_up(&asked, &to, &alone));
        }
        let heir = (place + 1) % self.world.cluster.nodes.len();
        let heir = self.node(heir).id.to_string();
        Errand::begin(move || {
            let words = ["cluster", "transfer-leader", &heir];
            let said = errand::done(&asked.run(&words), &words)?;
            Ok(said.unwrap_or_else(|refusal| refusal))
        })
    }

    /// Notes how a command has ended; returns it when it has not.
    pub(super) fn await_end_of(&mut self, errand: Errand) -> Option<Errand> {
        if !errand.is_over() {
            return Some(errand);
        }
        match errand.end() {
            Ok(said) => self.world.ledger.remark(&said),
            Err(problem) => self.problems.push(problem),
        }
        None
    }
}

/// Makes a backup, and a node of it. Removes both unless something is wrong with them.
fn back_up(asked: &Ctl, to: &Path, alone: &Settings) -> Result<String, String> {
    let name = to.display().to_string();
    let words = ["backup", &name];
    let said = match errand::done(&asked.run(&words), &words)? {
        Ok(said) => said,
        Err(refusal) if to.join("BACKUP").exists() => {
            return Err(format!("a backup that looks whole is none: {refusal}"));
        }
        Err(refusal) => {
            drop(fs::remove_dir_all(to));
            return Ok(refusal);
        }
    };
    let restored = Cluster::prepare(1, alone);
    let config = restored.nodes.first().map(harness::Daemon::config);
    let config = config.unwrap_or_default();
    let outcome = ctl::layoverd(&[
        OsStr::new("--config"),
        config.as_os_str(),
        OsStr::new("restore"),
        OsStr::new("--from"),
        to.as_os_str(),
    ]);
    if outcome.code != 0 {
        let err = outcome.err.trim();
        return Err(format!("the backup {name} can not be restored: {err}"));
    }
    drop(fs::remove_dir_all(to));
    Ok(format!("restored, of {said}"))
}
