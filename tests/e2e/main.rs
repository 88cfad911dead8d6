//! Whole nodes and whole clusters, judged from outside.

#![expect(clippy::unwrap_used, reason = "a test that can not go on has failed")]

mod clients;
mod dev;
mod dialogues;
mod failures;
mod operator;
mod primaries;
mod replication;
mod scene;
mod single;
mod startup;
