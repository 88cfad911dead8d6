//! One durable spool out of several nodes: openraft, RocksDB, and the talk between peers.
//!
//! ```text
//!   Intake ──▶ propose ──▶ openraft ──▶ store/log   fsync'd here and on a majority: 250 is true
//!                 │            │
//!      (on a follower)         └──────▶ store/machine ──▶ spool::apply ──▶ one batch
//!                 ▼
//!             peer/…  ──▶ the leader's propose
//!
//!   Outbox ◀── store/tables
//! ```
//!
//! This room knows nothing of SMTP dialogues, DNS, or the configuration file.

mod actions;
mod adopt;
mod ageing;
mod backup;
mod certificates;
mod claim;
mod cluster;
mod codec;
mod config;
mod confirmations;
mod delays;
mod disk;
mod failure;
mod founding;
mod hand_over;
mod housekeeping;
mod leadership;
mod lessons;
mod limits;
mod mail_hosts;
mod membership;
mod mend;
mod metrics;
pub mod offline;
mod pass;
mod peer;
mod ports;
mod propose;
mod pulse;
mod queries;
mod raft;
mod reach;
mod rebuilding;
mod replay;
mod replicas;
mod retention;
mod seldom;
mod signals;
mod space;
mod start;
mod status;
mod store;
mod tasks;
mod turn;
mod upkeep;
mod visits;
mod voting;
mod witness;

pub use adopt::{AdoptError, Adopted};
pub use ageing::Expiring;
pub use backup::{BACKUP_VERSION, Backup, Snapshot};
pub use certificates::CertificateEnd;
pub use claim::{check_data_dir, is_claimed};
pub use cluster::Cluster;
pub use config::{Config, Founding, FreeSpace};
pub use failure::{Failure, StartError};
pub use membership::{Change, ChangeError, Changed};
pub use mend::Unmended;
pub use metrics::Metrics;
pub use pulse::{Answered, Pulse};
pub use queries::RequestError;
pub use replay::{Replayed, Replaying};
pub use replicas::Replica;
pub use space::Room;
pub use start::NO_POLICY;
pub use status::{ClusterStatus, Leadership, MemberStatus};
pub use store::{SpoolDigest, Trace};
pub use turn::Turn;
