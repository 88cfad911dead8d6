//! Whole nodes and whole clusters, judged from outside.

#![expect(clippy::unwrap_used, reason = "a test that can not go on has failed")]

mod authentication;
mod backup;
mod capabilities;
mod certificates;
mod chunks;
mod claims;
mod crashes;
mod damaged_bodies;
mod dev;
mod dialogues;
mod disk;
mod disk_errors;
mod dnsbl;
mod etrn;
mod failures;
mod foreign_primaries;
mod foreign_senders;
mod formats;
mod founding;
mod handover;
mod interrupted_changes;
mod large;
mod limits;
mod lost_logs;
mod membership;
mod operator;
mod policy;
mod primaries;
mod proxied;
mod python;
mod recipients;
mod repeats;
mod replication;
mod rescue;
mod routes;
mod scene;
mod sentry;
mod single;
mod smuggling;
mod snapshots;
mod startup;
mod swaks;
mod tls_scan;
mod transfers;
