//! Whose a data directory is: a node recognises its own, and no other's.

use std::{collections::BTreeSet, fs, io, path::Path};

use rustix::{fs::Access, io::Errno};

use crate::{
    config::Config, disk, failure::StartError, raft::StoredMembership, rebuilding, store, witness,
};

/// The file in a data directory that says whose it is. Written once, before anything else.
const NODE_FILE: &str = "NODE";

/// The file in a data directory that says that its node was removed, and who said so.
const REMOVED_FILE: &str = "REMOVED";

/// What the file says first.
const FORMAT: &str = "layover data, format 1";

/// How the cluster of a data directory came to be, as the file there says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded(String);

/// Begins what is recorded of a cluster that one node has founded from what it had, or from a backup.
const ANEW: &str = "founded anew by";

impl Recorded {
    /// Whether the node file is older than the cluster, so that it does not count whom that names.
    pub(crate) fn is_anew(&self) -> bool {
        self.0.starts_with(ANEW)
    }
}

/// Claims an empty data directory for this node, or checks that it is this node's.
pub(crate) fn claim(config: &Config) -> Result<Recorded, StartError> {
    let dir = &config.data_dir;
    disk::create_private(dir).map_err(|error| unusable(dir, &error))?;
    if let Some(recorded) = recorded(dir, config.node_id)? {
        return Ok(recorded);
    }
    let founding = founding(config);
    let text = format!("{}{founding}\n", whose(config.node_id));
    disk::create_synced(&dir.join(NODE_FILE), &text).map_err(|error| unusable(dir, &error))?;
    Ok(Recorded(founding))
}

/// Whether a node could start with a data directory, which may be missing, by what can be seen without changing
/// anything there.
///
/// # Errors
/// It is another node's, or that of one that was removed, or this process could not write it.
pub fn check_data_dir(dir: &Path, node_id: u64) -> Result<(), StartError> {
    recorded(dir, node_id)?;
    match rustix::fs::access(dir, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(unusable(dir, &error.into())),
    }
}

/// Whether a data directory is some node's.
pub fn is_claimed(data_dir: &Path) -> bool {
    data_dir.join(NODE_FILE).exists()
}

fn unusable(dir: &Path, error: &io::Error) -> StartError {
    StartError(format!(
        "data_dir {} can not be used: {error}; it must be a directory that the user who runs the node may write",
        dir.display()
    ))
}

/// What a data directory says of its cluster; `None` when it is nobody's.
fn recorded(dir: &Path, node_id: u64) -> Result<Option<Recorded>, StartError> {
    if let Some(why) = said(dir, REMOVED_FILE)? {
        return Err(StartError(why.trim().to_owned()));
    }
    let Some(text) = said(dir, NODE_FILE)? else {
        return Ok(None);
    };
    let whose = whose(node_id);
    match text.strip_prefix(&whose) {
        Some(recorded) => Ok(Some(Recorded(recorded.trim().to_owned()))),
        None => Err(StartError(format!(
            "data_dir {} is not this node's: it says \"{}\", the configuration says \"{}\"; \
             give the node its own data_dir, or correct [node] id",
            dir.display(),
            text.trim().replace('\n', ", "),
            whose.trim().replace('\n', ", "),
        ))),
    }
}

/// What stands in a file of a data directory, if it is there.
fn said(dir: &Path, file: &str) -> Result<Option<String>, StartError> {
    match fs::read_to_string(dir.join(file)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(dir, &error)),
    }
}

fn whose(node_id: u64) -> String {
    format!("{FORMAT}\nnode {node_id}\n")
}

/// Makes a data directory that of a node which has founded its cluster alone, whosever it was. What
/// it had promised to the members of another cluster binds it no more.
pub(crate) fn claim_alone(data_dir: &Path, node_id: u64) -> io::Result<()> {
    for promise in [
        store::MARK_FILE,
        rebuilding::FILE,
        REMOVED_FILE,
        witness::FILE,
    ] {
        match fs::remove_file(data_dir.join(promise)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let text = format!("{}{ANEW} {node_id}\n", whose(node_id));
    disk::replace_synced(&data_dir.join(NODE_FILE), &text)
}

fn founding(config: &Config) -> String {
    let ids = config.founding.ids(config.node_id);
    if ids.is_empty() {
        return "joined".to_owned();
    }
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    format!("founded by {}", ids.join(" "))
}

/// Checks that the cluster in the data directory is the one that the configuration means. Its
/// members may have changed since, and the configuration with them or not: what counts is what is
/// stored. But where the two have no other node in common, one of them is of another cluster.
pub(crate) fn check_members(
    config: &Config,
    recorded: &Recorded,
    stored: &StoredMembership,
    retired: &BTreeSet<u64>,
) -> Result<(), StartError> {
    let configured = config.founding.ids(config.node_id);
    if configured.is_empty() || recorded.is_anew() || founding(config) == recorded.0 {
        return Ok(());
    }
    let members: Vec<u64> = stored.nodes().map(|(id, _)| *id).collect();
    let others = |id: &&u64| **id != config.node_id;
    let known = |id: &u64| members.contains(id) || retired.contains(id);
    if members == configured {
        return Ok(());
    }
    let listed: Vec<String> = members.iter().map(u64::to_string).collect();
    let listed = listed.join(", ");
    if configured.iter().filter(others).any(known) {
        tracing::warn!(
            members = %listed,
            "[cluster] members is outdated; what counts are the members that the cluster has agreed on"
        );
        return Ok(());
    }
    Err(StartError(format!(
        "data_dir {} is of another cluster than the one in the configuration: it was {}{}, the \
         configuration says \"{}\"; give the node its own data_dir, or correct [cluster] members",
        config.data_dir.display(),
        recorded.0,
        if members.is_empty() {
            String::new()
        } else {
            format!(" and its members are {listed}")
        },
        founding(config),
    )))
}

/// Notes that this node was removed, so that it does not start again.
pub(crate) fn mark_removed(dir: &Path, why: &str) -> io::Result<()> {
    let file = dir.join(REMOVED_FILE);
    if file.exists() {
        return Ok(());
    }
    disk::create_synced(&file, &format!("{why}\n"))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::*;
    use crate::{
        config::{Founding, FreeSpace},
        raft::{LogId, Member, Membership},
    };

    fn config(dir: &Path, founding: Founding) -> Config {
        Config {
            node_id: 1,
            data_dir: dir.to_owned(),
            listen: "127.0.0.1:7400".parse().unwrap(),
            advertise: "mx1:7400".to_owned(),
            mail_host: spool::ports::MailHost::default(),
            courses: std::sync::Arc::new(Idle),
            certificates: tokio::sync::watch::channel(Vec::new()).1,
            founding,
            policy: None,
            tls: None,
            commit_timeout: Duration::from_secs(1),
            min_free_space: FreeSpace::Bytes(0),
            log_keep: 100,
            log_keep_bytes: 1 << 30,
        }
    }

    #[derive(Debug)]
    struct Idle;

    impl spool::Courses for Idle {
        fn courses(&self) -> Vec<(String, spool::Course)> {
            Vec::new()
        }
    }

    fn listed(ids: &[u64]) -> Founding {
        let member = |id: &u64| (*id, format!("mx{id}:7400"));
        Founding::Members(ids.iter().map(member).collect())
    }

    fn stored(ids: &[u64]) -> StoredMembership {
        let member = |id: &u64| {
            let address = format!("mx{id}:7400");
            (*id, Member { address })
        };
        let nodes: BTreeMap<u64, Member> = ids.iter().map(member).collect();
        let voters: BTreeSet<u64> = ids.iter().copied().collect();
        let membership = Membership::new(vec![voters], nodes).unwrap();
        StoredMembership::new(Some(LogId::new(1.into(), 1)), membership)
    }

    /// Whether data of a cluster that was founded one way starts under a file that says another.
    fn starts(founded: Founding, members: &[u64], retired: &[u64], file: Founding) -> bool {
        let dir = tempfile::tempdir().unwrap();
        claim(&config(dir.path(), founded)).unwrap();
        let now = config(dir.path(), file);
        let recorded = claim(&now).unwrap();
        let retired = retired.iter().copied().collect();
        check_members(&now, &recorded, &stored(members), &retired).is_ok()
    }

    fn join() -> Founding {
        Founding::Join("mx2:7400".to_owned())
    }

    #[test]
    fn a_file_of_the_founding_or_of_today_or_of_between_starts() {
        for (founded, members, file) in [
            (Founding::Bootstrap, &[1, 2, 3][..], Founding::Bootstrap),
            (Founding::Bootstrap, &[1, 2, 3], listed(&[1, 2, 3])),
            (Founding::Bootstrap, &[1, 2, 3], listed(&[1, 2])),
            (Founding::Bootstrap, &[1, 2, 3], listed(&[1, 2, 3, 4, 5])),
            (Founding::Bootstrap, &[1], join()),
            (listed(&[1, 2, 3]), &[1, 2, 4], listed(&[1, 2, 3])),
            (listed(&[1, 2, 3]), &[1, 2, 4], listed(&[1, 2, 4])),
            (join(), &[1, 2, 3], join()),
            (join(), &[1, 2, 3], listed(&[1, 2, 3])),
        ] {
            assert!(
                starts(founded.clone(), members, &[], file.clone()),
                "{founded:?} {members:?} {file:?}"
            );
        }
        // Everyone else of the list was removed meanwhile.
        assert!(starts(listed(&[1, 2, 3]), &[1], &[2, 3], listed(&[1, 2])));
    }

    #[test]
    fn a_file_of_another_cluster_does_not() {
        for (founded, members, file) in [
            (Founding::Bootstrap, &[1][..], listed(&[1, 2, 3])),
            (listed(&[1, 2, 3]), &[1, 2, 3], Founding::Bootstrap),
            (listed(&[1, 2, 3]), &[1, 2, 3], listed(&[1, 5, 6])),
            (join(), &[1, 2, 3], Founding::Bootstrap),
        ] {
            assert!(
                !starts(founded.clone(), members, &[], file.clone()),
                "{founded:?} {members:?} {file:?}"
            );
        }
    }

    #[test]
    fn whom_a_file_names_does_not_count_once_the_cluster_was_founded_anew() {
        for file in [Founding::Bootstrap, listed(&[1, 2, 3]), join()] {
            let dir = tempfile::tempdir().unwrap();
            claim(&config(dir.path(), listed(&[1, 2, 3]))).unwrap();
            claim_alone(dir.path(), 1).unwrap();
            let now = config(dir.path(), file);
            let recorded = claim(&now).unwrap();
            assert!(recorded.is_anew());
            for members in [&[1][..], &[1, 4, 5]] {
                check_members(&now, &recorded, &stored(members), &BTreeSet::new()).unwrap();
            }
        }
    }

    #[test]
    fn a_data_directory_that_no_node_could_start_with_is_told_without_touching_it() {
        let dir = tempfile::tempdir().unwrap();
        let wrong = |path: &Path| check_data_dir(path, 2).unwrap_err().0;
        let none = dir.path().join("none");
        assert_eq!(check_data_dir(&none, 2), Ok(()));
        assert!(!none.exists() && !is_claimed(&none));
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [&file, &file.join("below")] {
            assert!(wrong(path).contains("can not be used: Not a directory"));
        }
        let spool = dir.path().join("spool");
        claim(&config(&spool, Founding::Bootstrap)).unwrap();
        assert!(is_claimed(&spool) && check_data_dir(&spool, 1).is_ok());
        assert!(wrong(&spool).contains("is not this node's"));
        mark_removed(&spool, "node 1 was removed").unwrap();
        assert_eq!(wrong(&spool), "node 1 was removed");
    }

    #[test]
    fn a_node_that_was_removed_never_starts_again() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), Founding::Bootstrap);
        claim(&config).unwrap();
        for why in ["node 1 was removed", "said again"] {
            mark_removed(dir.path(), why).unwrap();
            assert_eq!(claim(&config).unwrap_err().0, "node 1 was removed");
        }
    }
}
