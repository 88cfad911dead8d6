//! Compiles every file under `proto/`, without `protoc`.

use std::{
    error::Error,
    path::{Path, PathBuf},
    {env, fs},
};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    // Relative to this package, where cargo runs this: the target directory may be shared by several
    // clones, and an absolute path would name the one that was built first.
    let root = Path::new("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    find_protos(root, &mut files)?;
    files.sort();

    let descriptors = protox::compile(&files, [root])?;

    // Reflection on the admin port shows what is served there, not the talk between peers.
    let mut served = descriptors.clone();
    served.file.retain(|file| {
        ["layover.admin.", "layover.copy."]
            .iter()
            .any(|served| file.package().starts_with(served))
    });
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(
        out_dir.join("admin_descriptors.bin"),
        served.encode_to_vec(),
    )?;

    tonic_prost_build::configure()
        .bytes(".")
        .message_attribute(".layover.admin", "#[derive(serde::Serialize)]")
        .include_file("layover.rs")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}

fn find_protos(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_protos(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            files.push(path);
        }
    }
    Ok(())
}
