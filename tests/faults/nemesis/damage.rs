//! Octets of a database's files are changed or cut off while its node is down.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::{
    Nemesis, Undo, Unplayed,
    nodes::{LACKS, LACKS_BODIES, NOT_FORWARDED},
};
use crate::fault::Kind;

/// An octet behind the header of a MANIFEST's first record. A record whose length is damaged is
/// taken by RocksDB for one that was never finished, when it then ends behind the file.
const IN_FIRST_RECORD: usize = 10;

/// One octet in so many is changed of a file of bodies, most of which may not be needed any more.
const DAMAGED_EACH: usize = 16 << 10;

impl Nemesis<'_> {
    pub(super) fn damage(&mut self, kind: Kind, place: usize) -> Result<Undo, Unplayed> {
        match kind {
            Kind::DamagedManifest => {
                let in_first = |octets: &mut Vec<u8>| change(octets, IN_FIRST_RECORD);
                self.damage_file(place, "MANIFEST-", in_first, true)
            }
            Kind::CutManifest => self.damage_file(place, "MANIFEST-", cut_half, false),
            Kind::DamagedLog => {
                self.damage_file(place, ".log", |octets| change_middle(octets), false)
            }
            Kind::CutLog => self.damage_file(place, ".log", cut_half, false),
            Kind::CutTable => {
                self.expect_errors(place);
                self.damage_file(place, ".sst", cut_half, false)
            }
            Kind::DamagedTable => {
                self.expect_errors(place);
                self.damage_for_a_while(place, ".sst", |octets| change_middle(octets))
            }
            Kind::DamagedSegment => {
                self.node_mut(place).allow_error(NOT_FORWARDED);
                self.damage_for_a_while(place, ".piece", |octets| change_all_over(octets))
            }
            _ => {
                self.node_mut(place).allow_error(NOT_FORWARDED);
                self.node_mut(place).allow_error(LACKS_BODIES);
                self.damage_for_a_while(place, ".piece", cut_half)
            }
        }
    }

    /// Does harm to a file that is never written again, the largest one, and starts the node on it. It is
    /// noticed when a place that was harmed is read: at the start, or at any time later. Nothing rebuilds
    /// such a file, so it is put right in the end.
    fn damage_for_a_while(
        &mut self,
        place: usize,
        kind: &str,
        harm: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Undo, Unplayed> {
        let (file, whole) = self.harm_file(place, kind, harm)?;
        Ok(Undo::PutBack(place, file, whole))
    }

    /// Does harm to a file of a kind, the largest one, and starts the node on it.
    fn damage_file(
        &mut self,
        place: usize,
        kind: &str,
        harm: impl FnOnce(&mut Vec<u8>),
        refuses: bool,
    ) -> Result<Undo, Unplayed> {
        self.node_mut(place).allow_error(LACKS);
        self.node_mut(place).allow_error(LACKS_BODIES);
        let (file, whole) = self.harm_file(place, kind, harm)?;
        Ok(Undo::Mend(place, file, whole, refuses))
    }

    /// The file that was harmed, and what was in it.
    fn harm_file(
        &mut self,
        place: usize,
        kind: &str,
        harm: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(PathBuf, Vec<u8>), Unplayed> {
        let file = self.kill_to_damage(place, kind)?;
        let whole = fs::read(&file).map_err(|error| error.to_string())?;
        let mut harmed = whole.clone();
        harm(&mut harmed);
        fs::write(&file, harmed).map_err(|error| error.to_string())?;
        self.start(place);
        Ok((file, whole))
    }

    /// Kills a node and finds the file of a kind that is damaged. When there is none, it runs again.
    fn kill_to_damage(&mut self, place: usize, kind: &str) -> Result<PathBuf, Unplayed> {
        self.kill(&[place]);
        let file = to_damage(&self.database(place), kind);
        if file.is_err() {
            self.start(place);
        }
        file
    }

    /// Where a node's present database is: a snapshot puts another one in the place of the first.
    fn database(&self, place: usize) -> PathBuf {
        let data_dir = self.node(place).data_dir();
        let named = fs::read_to_string(data_dir.join("DATABASE"));
        let named = named.unwrap_or_else(|_| "db".to_owned());
        data_dir.join(named.trim_end())
    }
}

fn change(octets: &mut [u8], at: usize) {
    if let Some(octet) = octets.get_mut(at) {
        *octet ^= 0x40;
    }
}

fn change_middle(octets: &mut [u8]) {
    let middle = octets.len() / 2;
    change(octets, middle);
}

fn change_all_over(octets: &mut [u8]) {
    for at in (DAMAGED_EACH / 2..octets.len()).step_by(DAMAGED_EACH) {
        change(octets, at);
    }
}

fn cut_half(octets: &mut Vec<u8>) {
    octets.truncate(octets.len() / 2);
}

/// Changes an octet of a file.
pub(super) fn flip(file: &Path, at: u64) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(file)?;
    let mut octet = [0];
    file.read_exact_at(&mut octet, at)?;
    file.write_all_at(&[octet[0] ^ 0x40], at)
}

/// The file of a kind that is damaged. There is none while a node has no database of its own yet: it has just
/// joined, or is being rebuilt.
fn to_damage(database: &Path, kind: &str) -> Result<PathBuf, Unplayed> {
    largest(database, kind)
        .ok_or_else(|| Unplayed::LeftOut(format!("no {kind} in {}", database.display())))
}

/// The largest file whose name begins or ends with `kind`: a file that was just begun has nothing in
/// it to be damaged.
fn largest(directory: &Path, kind: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(kind) || name.ends_with(kind)
        })
        .max_by_key(|path| fs::metadata(path).map_or(0, |file| file.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_database_does_not_have_is_left_out_and_not_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("db");
        let left_out = |kind| match to_damage(&database, kind) {
            Err(Unplayed::LeftOut(why)) => why,
            other => panic!("{other:?}"),
        };
        for kind in ["MANIFEST-", ".log", ".sst", ".piece"] {
            // Neither where there is no directory yet, nor in an empty one.
            assert!(left_out(kind).starts_with(&format!("no {kind} in ")));
            fs::create_dir_all(&database).unwrap();
            assert!(left_out(kind).starts_with(&format!("no {kind} in ")));
        }
        fs::write(database.join("MANIFEST-000005"), "octets").unwrap();
        fs::write(database.join("MANIFEST-000009"), "").unwrap();
        let file = to_damage(&database, "MANIFEST-").unwrap();
        assert_eq!(file, database.join("MANIFEST-000005"));
    }
}
