//! What is put between a node and its libc.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Daemon, ctl};

const SOURCE: &str = include_str!("shim.c");

/// The compiled shim, for nodes that are started with it.
#[derive(Debug)]
pub struct Shim {
    library: PathBuf,
}

impl Shim {
    /// Compiles it.
    ///
    /// # Errors
    /// When there is no C compiler: what was said.
    pub fn compile(directory: &Path) -> Result<Self, String> {
        let source = directory.join("shim.c");
        let library = directory.join("shim.so");
        fs::write(&source, SOURCE).map_err(|error| format!("shim.c: {error}"))?;
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library);
        cc.arg(&source).arg("-ldl");
        let compiled = ctl::tried(&mut cc).map_err(|error| format!("cc: {error}"))?;
        match compiled.code {
            0 => Ok(Self { library }),
            _ => Err(format!("cc: {}", compiled.err.trim().replace('\n', "; "))),
        }
    }

    /// Puts it in front of a node from its next start on, whose clock is right until told otherwise.
    pub fn load(&self, node: &mut Daemon) {
        set_clock(node, 0);
        node.set_environment("LD_PRELOAD", &self.library);
        node.set_environment("LAYOVER_CLOCK", &clock(node));
    }
}

/// Tells a node lies about what is on its disk, from its next start on.
pub fn lie_about_fsync(node: &mut Daemon) {
    node.set_environment("LAYOVER_FSYNC_LIES", Path::new("1"));
}

/// Moves a node's time of day, in seconds, at once.
///
/// # Panics
/// When its directory can not be written to.
pub fn set_clock(node: &Daemon, ahead: i64) {
    // Written in place: the node has the file in its memory.
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(clock(node))
        .expect("the node's directory is writable");
    file.write_all_at(&ahead.to_ne_bytes(), 0)
        .expect("the node's directory is writable");
}

fn clock(node: &Daemon) -> PathBuf {
    node.config().with_file_name("clock")
}
