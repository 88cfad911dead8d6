use std::sync::Arc;

use openraft::{
    StorageError,
    testing::log::{StoreBuilder, Suite},
};
use prometheus_client::registry::Registry;
use tempfile::TempDir;

use super::{LogStore, Machine, Tables, open};
use crate::{metrics::Metrics, raft::Types};

/// Opens a store in a directory of its own, as a node does.
struct Builder;

impl StoreBuilder<Types, LogStore, Machine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError<Types>> {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::register(&mut Registry::default()));
        let store = Arc::new(open(dir.path(), metrics).unwrap());
        let tables = Arc::new(Tables::open(Arc::clone(&store)).unwrap());
        let log = LogStore::open(store).unwrap();
        Ok((dir, log, Machine::new(tables)))
    }
}

#[test]
fn log_and_state_machine_pass_the_suite_of_openraft() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(Suite::test_all(Builder)).unwrap();
}
