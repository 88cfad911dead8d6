//! A disk of one's own: ext4 in a file, whose power can be cut.

use std::{
    fs::{self, File},
    io::{self, BufRead as _},
    path::{Path, PathBuf},
    process::{self, Command},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{FallocateFlags, fallocate, syncfs};

use crate::{ctl, filler, wait};

/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`: from now on every access fails, and what
/// was not forced to the disk by then is not on it. That is what a power cut leaves. Perl, of which
/// every Debian has the base, makes the call: a program of ours would need `unsafe` for it.
const SHUT_DOWN: &str = r#"
use Fcntl;
for my $at (@ARGV) {
    sysopen(my $disk, $at, O_RDONLY) or die "$at: $!\n";
    my $no_log_flush = pack("I", 2);
    ioctl($disk, 0x8004587d, $no_log_flush) or die "$at: $!\n";
}
"#;

/// A process that was killed lets go of its files within this time, busy as the machine may be, and one that
/// has all mounts in a namespace of its own of these.
const RELEASED: Duration = Duration::from_secs(60);

/// What each image's name begins with; the number of the process that made it follows.
const IMAGE: &str = "layover-disk-";

/// An ext4 file system in a file. It is unmounted when dropped.
#[derive(Debug)]
pub struct LoopDisk {
    at: PathBuf,
    image: PathBuf,
}

impl LoopDisk {
    /// Makes one of `mebibytes` (sparse: only what is written takes room) and mounts it at a
    /// directory, which is made if need be.
    ///
    /// # Errors
    /// When this machine or this user can not do that: what the programs said.
    pub fn mount(at: &Path, mebibytes: u64) -> Result<Self, String> {
        let said = |error: io::Error| format!("{}: {error}", at.display());
        fs::create_dir_all(at).map_err(said)?;
        let name = format!("{IMAGE}{}.img", process::id());
        let image = at.with_file_name(name);
        let file = File::create(&image).map_err(said)?;
        file.set_len(mebibytes << 20).map_err(said)?;
        // No octet is reserved for root, whom the tests run as.
        run(Command::new("mkfs.ext4")
            .args(["-q", "-F", "-m", "0"])
            .arg(&image))?;
        let disk = Self {
            at: at.to_owned(),
            image,
        };
        disk.attach()?;
        // A data directory is empty at first.
        fs::remove_dir(at.join("lost+found")).map_err(said)?;
        disk.sync();
        Ok(disk)
    }

    fn attach(&self) -> Result<(), String> {
        run(Command::new("mount")
            .args(["-t", "ext4", "-o", "loop,noatime"])
            .arg(&self.image)
            .arg(&self.at))
    }

    /// Forces everything to the disk.
    ///
    /// # Panics
    /// When the disk fails.
    pub fn sync(&self) {
        let disk = File::open(&self.at).expect("the disk is mounted");
        syncfs(disk).expect("the disk can be synced");
    }

    /// Cuts the power of several disks at once. Whoever writes to them must be stopped before, so
    /// that no answer leaves that rests on what comes after; and be killed before
    /// [`Self::power_on`].
    ///
    /// # Panics
    /// When the power can not be cut.
    pub fn cut_power(disks: &[&Self]) {
        let places = disks.iter().map(|disk| &disk.at);
        run(Command::new("perl").arg("-e").arg(SHUT_DOWN).args(places))
            .unwrap_or_else(|error| panic!("cutting the power: {error}"));
    }

    /// Mounts the disk again with what the power cut left on it.
    ///
    /// # Panics
    /// When it can not be unmounted in time or mounted.
    pub fn power_on(&self) {
        self.detach();
        self.attach()
            .unwrap_or_else(|error| panic!("after a power cut: {error}"));
    }

    fn detach(&self) {
        let end = Instant::now() + RELEASED;
        while let Err(error) = run(Command::new("umount").arg(&self.at)) {
            assert!(Instant::now() < end, "unmounting: {error}");
            thread::sleep(Duration::from_millis(20));
        }
        // Another program that has just begun a mount namespace of its own has all mounts there as well. The
        // file system lives on then, and would be what is mounted next.
        let free = wait::within(RELEASED, || (!self.is_in_use()).then_some(()));
        let image = self.image.display();
        free.unwrap_or_else(|| panic!("{image} stays mounted in another program's namespace"));
    }

    /// Whether the system still has a device made of the image.
    fn is_in_use(&self) -> bool {
        let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
        let backing =
            |device: fs::DirEntry| fs::read_to_string(device.path().join("loop/backing_file")).ok();
        devices
            .filter_map(backing)
            .any(|file| Path::new(file.trim_end()) == self.image)
    }

    /// A copy of the disk as it is. Nobody may use the disk meanwhile.
    ///
    /// # Panics
    /// When there is no room for it.
    #[must_use]
    pub fn copy(&self) -> PathBuf {
        let copy = self.image.with_extension("copy");
        self.detach();
        run(Command::new("cp")
            .args(["--sparse=always", "--reflink=auto"])
            .arg(&self.image)
            .arg(&copy))
        .unwrap_or_else(|error| panic!("copying a disk: {error}"));
        self.attach()
            .unwrap_or_else(|error| panic!("after a copy: {error}"));
        copy
    }

    /// Puts a copy in the disk's place. Nobody may use the disk meanwhile.
    ///
    /// # Panics
    /// When there is no such copy.
    pub fn put_back(&self, copy: &Path) {
        self.detach();
        fs::rename(copy, &self.image).expect("the copy is there");
        self.attach()
            .unwrap_or_else(|error| panic!("an older copy: {error}"));
    }

    /// Removes everything on it. Nobody may use the disk meanwhile.
    ///
    /// # Panics
    /// When a file can not be removed.
    pub fn wipe(&self) {
        for entry in fs::read_dir(&self.at).expect("the disk is mounted") {
            let path = entry.expect("the disk can be read").path();
            let removed = if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        self.sync();
    }

    /// Fills it up with a file until only `left` octets are free, or as few as there are.
    ///
    /// # Panics
    /// When writing fails for another reason than a full disk.
    pub fn fill(&self, left: u64) {
        // Most of it at once; what metadata takes is not known before.
        let most = filler::free(&self.at).saturating_sub(left + (8 << 20));
        let reserve = self.at.join("reserve");
        let file = File::create(&reserve).expect("the disk takes a file");
        if most > 0 {
            // A disk that others fill up at the same time may have less.
            let _full = fallocate(file, FallocateFlags::empty(), 0, most);
        }
        filler::fill(&self.at, left);
    }

    /// Takes the file away again.
    ///
    /// # Panics
    /// When there is none.
    pub fn clear(&self) {
        filler::clear(&self.at);
        fs::remove_file(self.at.join("reserve")).expect("the disk was filled");
    }

    /// Unmounts what processes that are gone have left behind.
    pub fn sweep() {
        let Ok(mounts) = File::open("/proc/mounts") else {
            return;
        };
        for line in io::BufReader::new(mounts).lines().map_while(Result::ok) {
            let mut words = line.split(' ');
            let (Some(device), Some(at)) = (words.next(), words.next()) else {
                continue;
            };
            let Some(number) = device.strip_prefix("/dev/loop") else {
                continue;
            };
            let backing = fs::read_to_string(format!("/sys/block/loop{number}/loop/backing_file"));
            let maker = backing.ok().and_then(|path| maker(&path));
            if maker.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                drop(run(Command::new("umount").arg("-l").arg(at)));
            }
        }
    }
}

/// The process that made an image.
fn maker(image: &str) -> Option<u32> {
    let (_, rest) = image.rsplit_once(IMAGE)?;
    rest.split('.').next()?.parse().ok()
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        // Lazily: a daemon that is dropped later still has its files open.
        drop(run(Command::new("umount").arg("-l").arg(&self.at)));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let outcome = ctl::tried(command).map_err(|error| format!("{program}: {error}"))?;
    if outcome.code == 0 {
        return Ok(());
    }
    let said = outcome.err.trim().replace('\n', "; ");
    Err(format!("{program}: {said}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{LoopDisk, maker};

    #[test]
    fn a_power_cut_keeps_what_was_synced_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().join("disk");
        let disk = match LoopDisk::mount(&at, 64) {
            Ok(disk) => disk,
            Err(why) => {
                println!("skipped: {why}");
                return;
            }
        };
        fs::write(at.join("synced"), "on the disk").unwrap();
        disk.sync();
        fs::write(at.join("unsynced"), "in memory").unwrap();
        LoopDisk::cut_power(&[&disk]);
        assert!(fs::write(at.join("late"), "nowhere").is_err());
        disk.power_on();
        assert_eq!(fs::read(at.join("synced")).unwrap(), b"on the disk");
        assert!(!at.join("unsynced").exists());
    }

    #[test]
    fn the_maker_of_an_image_stands_in_its_name() {
        assert_eq!(maker("/tmp/x/layover-disk-42.img\n"), Some(42));
        assert_eq!(maker("/tmp/x/other.img"), None);
    }
}
