//! `layoverd restore`: a new cluster from a backup.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context as _, bail, ensure};

use crate::{clock, config::Config};

/// Copies the backup into the node's empty data directory.
pub(crate) fn restore(file: &Path, from: &Path) -> anyhow::Result<ExitCode> {
    let config = Config::read(file, clock::SYSTEM.now())?;
    let about = fs::read_to_string(from.join("BACKUP")).with_context(|| {
        format!(
            "{} is no whole backup: its file BACKUP is written last and can not be read",
            from.display()
        )
    })?;
    let format = format!("layover backup, format {}", cluster::BACKUP_VERSION);
    ensure!(
        about.lines().next() == Some(&format),
        "{} is of another format than \"{format}\"; restore it with the version that made it",
        from.display()
    );
    let list = from.join("SHA256SUMS");
    let text = fs::read_to_string(&list).with_context(|| list.display().to_string())?;
    let sums = parsed(&text).with_context(|| format!("{} is damaged", list.display()))?;
    let name = cluster::offline::restore(
        &from.join("db"),
        &sums,
        &config.data_dir,
        config.node_id,
        &config.cluster.advertise,
    )
    .with_context(|| format!("restoring to data_dir {}", config.data_dir.display()))?;
    print!("{about}");
    println!(
        "Node {} is cluster {name:032x} now, alone, with this. Start it, then add nodes with empty \
         data directories and join = \"{}\" in their node files; `members` there would found another cluster. \
         What was delivered after the backup is delivered again.",
        config.node_id, config.cluster.advertise
    );
    Ok(ExitCode::SUCCESS)
}

/// The names and sums in the lines that sha256sum(1) writes.
fn parsed(text: &str) -> anyhow::Result<Vec<(String, [u8; 32])>> {
    let mut sums = Vec::new();
    for line in text.lines() {
        let parts = line.split_once("  db/");
        match parts.and_then(|(sum, name)| Some((octets(sum)?, name))) {
            Some((sum, name)) if is_plain(name) => sums.push((name.to_owned(), sum)),
            _ => bail!("{line:?} is no line of it"),
        }
    }
    Ok(sums)
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && !name.starts_with('.')
}

fn octets(hexadecimal: &str) -> Option<[u8; 32]> {
    let mut octets = [0; 32];
    if hexadecimal.len() != 64 || !hexadecimal.is_ascii() {
        return None;
    }
    for (octet, place) in octets.iter_mut().zip((0..64).step_by(2)) {
        *octet = u8::from_str_radix(hexadecimal.get(place..place + 2)?, 16).ok()?;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_sha256sum_are_read_and_nothing_else() {
        let sum = "ab".repeat(32);
        let sums = parsed(&format!("{sum}  db/CURRENT\n{sum}  db/000004.sst\n")).unwrap();
        assert_eq!(sums[0], ("CURRENT".to_owned(), [0xab; 32]));
        assert_eq!(sums.len(), 2);
        for line in [
            "CURRENT".to_owned(),
            format!("{sum}  db/../x"),
            format!("{sum}  db/.."),
            format!("{sum}  CURRENT"),
            format!("{}  db/x", &sum[1..]),
            format!("{}  db/x", "xy".repeat(32)),
        ] {
            parsed(&line).unwrap_err();
        }
    }
}
