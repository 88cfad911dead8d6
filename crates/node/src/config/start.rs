//! What a file does not show by itself: whether a node can start with what is on the disk.

use cluster::{Founding, NO_POLICY, check_data_dir, is_claimed};

use super::{Config, fault::Fault, file::File};

/// Says what a start would say. Nothing is written, and no port is opened.
pub(super) fn check(config: &Config, tables: &File) -> Result<(), Fault> {
    check_data_dir(&config.data_dir, config.node_id)
        .map_err(|error| Fault::at(&tables.node.data_dir, error.to_string()))?;
    let founds = !matches!(config.cluster.founding, Founding::Join(_));
    if founds && config.policy_file.is_none() && !is_claimed(&config.data_dir) {
        return Err(Fault::at(&tables.cluster, NO_POLICY));
    }
    Ok(())
}
