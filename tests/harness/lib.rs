//! Real processes on free ports, clients that talk to them, and primaries that misbehave on cue.
//!
//! ```text
//!   Courier ─▶ Sender ──SMTP──▶ Daemon × n (Cluster) ──SMTP──▶ Primary
//!                                 ▲        ▲                      │
//!                        layover ─┘        └─ /metrics, /readyz   ▼
//!                          Ctl                http              Account: lost? changed? in order?
//! ```
//!
//! Nothing here links the programs under test: they are started from the release directory and
//! judged by what they do on the network, in their logs and with their exit code.

pub mod account;
pub mod binaries;
pub mod certificates;
pub mod chromium;
pub mod cluster;
pub mod courier;
pub mod ctl;
pub mod daemon;
pub mod exim;
pub mod failing_syncs;
mod filler;
pub mod fixture;
pub mod http;
pub mod letter;
pub mod logs;
pub mod loop_disk;
pub mod name_server;
pub mod network;
pub mod own_network;
pub mod ports;
pub mod postfix;
pub mod primary;
pub mod process;
pub mod prometheus;
pub mod python;
pub mod sender;
pub mod settings;
pub mod severed;
pub mod shim;
pub mod signed_zone;
pub mod signer;
pub mod skip;
pub mod small_disk;
pub mod transcript;
pub mod wait;
pub mod webhook;

pub use account::{Account, compare};
pub use certificates::Authority;
pub use chromium::{Browser, Scripts, View};
pub use cluster::Cluster;
pub use courier::Courier;
pub use ctl::Ctl;
pub use daemon::Daemon;
pub use exim::Exim;
pub use failing_syncs::FailingSyncs;
pub use letter::Letter;
pub use loop_disk::LoopDisk;
pub use name_server::NameServer;
pub use own_network::OwnNetwork;
pub use ports::Port;
pub use postfix::Postfix;
pub use primary::{Cue, Offer, Primary, Received, Said, Stage};
pub use prometheus::Prometheus;
pub use sender::{Reply, Sender};
pub use settings::Settings;
pub use severed::SeveredLink;
pub use shim::Shim;
pub use signed_zone::SignedZone;
pub use signer::Signer;
pub use skip::or_skip;
pub use small_disk::SmallDisk;
pub use wait::wait_until;
