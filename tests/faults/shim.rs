//! What is put between a node and its libc.

use std::{
    fs,
    path::{Path, PathBuf},
};

use harness::Daemon;

use crate::shell;

const SOURCE: &str = include_str!("shim.c");

/// The compiled shim, which every node is started with.
#[derive(Debug)]
pub(crate) struct Shim {
    library: PathBuf,
}

impl Shim {
    /// Compiles it.
    ///
    /// # Errors
    /// When there is no C compiler: what was said.
    pub(crate) fn compile(directory: &Path) -> Result<Self, String> {
        let source = directory.join("shim.c");
        let library = directory.join("shim.so");
        fs::write(&source, SOURCE).map_err(|error| format!("shim.c: {error}"))?;
        let (from, to) = (source.to_string_lossy(), library.to_string_lossy());
        shell::run(&["cc", "-O2", "-shared", "-fPIC", "-o", &to, &from, "-ldl"])?;
        Ok(Self { library })
    }

    /// Puts it in front of a node, whose clock is right until told otherwise.
    pub(crate) fn load(&self, node: &mut Daemon) {
        set_clock(node, 0);
        node.set_environment("LD_PRELOAD", &self.library);
        node.set_environment("LAYOVER_CLOCK", &clock(node));
    }
}

/// Tells a node lies about what is on its disk, from its next start on.
pub(crate) fn lie_about_fsync(node: &mut Daemon) {
    node.set_environment("LAYOVER_FSYNC_LIES", Path::new("1"));
}

/// Moves a node's time of day, in seconds, at once.
pub(crate) fn set_clock(node: &Daemon, ahead: i64) {
    // Written in place: the node has the file in its memory.
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(clock(node))
        .expect("the node's directory is writable");
    std::os::unix::fs::FileExt::write_all_at(&file, &ahead.to_ne_bytes(), 0)
        .expect("the node's directory is writable");
}

fn clock(node: &Daemon) -> PathBuf {
    node.config().with_file_name("clock")
}
