//! How RocksDB is set up: for little memory, and for queues, which are written at one end and emptied at the other.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType,
    DBRecoveryMode, Options,
};

use super::Column;

/// Memory for blocks read from disk, for all columns.
const BLOCK_CACHE_BYTES: usize = 32 << 20;
/// Writes gathered in memory before they go to a file: the column of pieces, which gets nearly all
/// the octets. Each time costs several fsyncs and the beginning of another write-ahead log.
const PIECE_BUFFER_BYTES: usize = 4 << 20;
/// How many of them there are at most: one that fills, and one that is written to a file.
const PIECE_BUFFERS_MAX: i32 = 2;
/// The same for each of the other columns.
const BUFFER_BYTES: usize = 8 << 20;
/// How many there are of the others at most.
const BUFFERS_MAX: i32 = 3;
/// Values from this size on go to blob files.
const BLOB_BYTES_MIN: u64 = 1 << 10;
/// A blob file is closed at this size; the smaller, the sooner a file holds only what has left.
const BLOB_FILE_BYTES: u64 = 64 << 20;
/// What the first level of sorted tables holds. What is flushed has keys of all kinds and is merged with the whole
/// level, but each of its tables with a part of the next level only.
const LEVEL_BYTES: u64 = 16 << 20;
/// A table of a level ends at this size, so that it has keys of few kinds.
const TABLE_BYTES: u64 = 8 << 20;
/// The write-ahead log makes the memory be flushed at this size, so that a restart reads no more.
const WAL_BYTES_MAX: u64 = 256 << 20;
/// Files that RocksDB keeps open at most, well below the usual limit of 1024 a process.
const OPEN_FILES_MAX: i32 = 512;
/// A file in which this many of so many neighbouring entries are deletions is compacted: queues are
/// read from their front, where the deletions are. What is remembered to recognise repeats is deleted when a 250 was
/// read, some 16,000 of it side by side in what is flushed; where that counted, every flush would be merged with all
/// that a long queue has.
const DELETIONS_WINDOW: usize = 32 << 10;
/// See [`DELETIONS_WINDOW`].
const DELETIONS_TRIGGER: usize = 24 << 10;

pub(super) fn descriptors() -> [ColumnFamilyDescriptor; 5] {
    let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
    Column::ALL
        .map(|column| ColumnFamilyDescriptor::new(column.name(), column_options(column, &cache)))
}

pub(super) fn database_options() -> Options {
    let mut options = Options::default();
    options.create_missing_column_families(true);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_max_background_jobs(2);
    // An honest crash may leave a torn record at the end of the write-ahead log, and it must be
    // possible to start again after it: what comes before the tear is kept.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_bytes_per_sync(1 << 20);
    // The next sync has little left to do, and nobody waits for that long.
    options.set_wal_bytes_per_sync(1 << 20);
    options.set_keep_log_file_num(4);
    options.set_avoid_unnecessary_blocking_io(true);
    options
}

fn column_options(column: Column, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_bloom_filter(10.0, false);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // A large table's index or filter has megabytes. In one block, it would not fit into any of the parts that
    // the cache consists of, and be read from the disk for every single row.
    blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    blocks.set_partition_filters(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(BUFFER_BYTES);
    options.set_max_write_buffer_number(BUFFERS_MAX);
    options.add_compact_on_deletion_collector_factory(DELETIONS_WINDOW, DELETIONS_TRIGGER, 0.5);
    options.set_max_bytes_for_level_base(LEVEL_BYTES);
    options.set_target_file_size_base(TABLE_BYTES);
    if column == Column::Piece {
        options.set_write_buffer_size(PIECE_BUFFER_BYTES);
        options.set_max_write_buffer_number(PIECE_BUFFERS_MAX);
        options.set_enable_blob_files(true);
        options.set_min_blob_size(BLOB_BYTES_MIN);
        options.set_blob_file_size(BLOB_FILE_BYTES);
        options.set_enable_blob_gc(true);
    }
    options
}
