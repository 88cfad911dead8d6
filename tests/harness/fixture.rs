//! Data that an earlier version has written, to be opened by the present one.
//!
//! Members and primary stand at loopback addresses that nothing else uses, because they are part of
//! what is stored.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use crate::{Cluster, Letter, Port, Settings, letter::Text, settings::Ports};

/// How many nodes have written it.
pub const NODES: u64 = 3;

/// A recipient whose letters the primary had put off.
pub const DEFERRED: &str = "deferred@example.com";

/// A recipient whose letters the primary had refused for good.
pub const REJECTED: &str = "rejected@example.com";

/// Where the primary is.
#[must_use]
pub fn primary() -> SocketAddr {
    SocketAddr::from(([127, 77, 0, 100], 2526))
}

/// The nodes without their data: what differs from one run to the next is not stored.
#[must_use]
pub fn cluster() -> Cluster {
    let settings = Settings::for_primary(primary())
        .with("cluster", "tls_ca = \"\"")
        .with("cluster", "tls_cert = \"\"")
        .with("cluster", "tls_key = \"\"");
    let ports = (1..=NODES).zip(1_u8..).map(|(id, last)| {
        let cluster = Port::given(SocketAddr::from(([127, 77, 0, last], 7400)));
        (
            id,
            Ports {
                cluster,
                ..Ports::free()
            },
        )
    });
    Cluster::prepare_at(ports.collect(), &settings)
}

/// What the primary was offered once and did not take.
#[must_use]
pub fn turned_away() -> Vec<Letter> {
    vec![
        Letter::new(1, DEFERRED, 1_500),
        Letter::new(2, REJECTED, 1_500),
    ]
}

/// What has come in since: one of them larger than a piece, some with two recipients.
#[must_use]
pub fn waiting() -> Vec<Letter> {
    let mut letters: Vec<Letter> = (10..30)
        .map(|serial| Letter::of(serial, &["a@example.com"], 1_500, Text::EightBit))
        .collect();
    letters.push(Letter::of(30, &["a@example.com"], 700_000, Text::Dots));
    letters.extend((31..40).map(|serial| {
        Letter::of(
            serial,
            &["a@example.com", "b@example.com"],
            900,
            Text::Plain,
        )
    }));
    letters
}

/// The policy that was put in force beside the one of the founding: with one more domain, whose
/// recipients are listed. Writes its files; returns the policy's.
///
/// # Panics
/// When they can not be written.
#[must_use]
pub fn second_policy(cluster: &Cluster) -> PathBuf {
    let domains = [("example.com", primary()), ("example.org", primary())];
    let text = Settings::for_domains(&domains).policy;
    let listed = "recipients = \"list\"\nrecipients_file = \"users\"";
    let text = match text.rsplit_once("recipients = \"any\"") {
        Some((front, last)) => format!("{front}{listed}{last}"),
        None => text,
    };
    let path = cluster.directory().join("second.toml");
    fs::write(&path, text).expect("files can be written");
    fs::write(cluster.directory().join("users"), "a@example.org\n").expect("files can be written");
    path
}

/// The version of the policy that was in force when a format was kept: earlier ones could not change it.
#[must_use]
pub fn policy_version(format: &str) -> u64 {
    match format {
        "format-1" | "format-2" => 1,
        _ => 2,
    }
}

/// Where the data of a format is kept, in the folder of the tests.
#[must_use]
pub fn archive(tests: &Path, format: &str) -> PathBuf {
    tests.join(format!("fixtures/{format}.tar.gz"))
}

/// Keeps the data of stopped nodes.
///
/// # Panics
/// When it can not be written.
pub fn pack(cluster: &Cluster, archive: &Path) {
    if let Some(folder) = archive.parent() {
        fs::create_dir_all(folder).expect("the tree can be written");
    }
    let packed = Command::new("tar")
        .args([
            "--create",
            "--gzip",
            "--exclude=LOG*",
            "--exclude=OPTIONS-*",
        ])
        .arg("--file")
        .arg(archive)
        .arg("--directory")
        .arg(cluster.directory())
        .args((1..=NODES).map(|id| format!("mx{id}/spool")))
        .status();
    assert!(packed.is_ok_and(|status| status.success()), "tar failed");
}

/// Gives nodes that have not been started the data that was kept.
///
/// # Panics
/// When there is none.
pub fn unpack(cluster: &Cluster, archive: &Path) {
    let unpacked = Command::new("tar")
        .args(["--extract", "--gzip", "--file"])
        .arg(archive)
        .arg("--directory")
        .arg(cluster.directory())
        .status();
    assert!(
        unpacked.is_ok_and(|status| status.success()),
        "{} can not be unpacked",
        archive.display()
    );
}

/// How long ago the data was written that nodes were given: their newest file.
///
/// # Panics
/// When it can not be read.
#[must_use]
pub fn age(cluster: &Cluster) -> Duration {
    let spools = (1..=NODES).map(|id| cluster.directory().join(format!("mx{id}/spool")));
    let written = spools.map(|spool| newest(&spool)).max();
    let age = written.and_then(|at| at.elapsed().ok());
    age.unwrap_or_default()
}

/// When a file of a folder, or of one in it, was last written.
fn newest(folder: &Path) -> SystemTime {
    let entries = fs::read_dir(folder).expect("it was unpacked");
    let written = entries.map(|entry| {
        let path = entry.expect("it was unpacked").path();
        let known = path.metadata().expect("it was unpacked");
        if known.is_dir() {
            newest(&path)
        } else {
            known.modified().expect("files have times here")
        }
    });
    written.max().unwrap_or(SystemTime::UNIX_EPOCH)
}
