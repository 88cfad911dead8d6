//! Proofs that the spool keeps what it promises, over a store in memory.
//!
//! `behaviours` says in examples what each command does, `properties` what holds after any
//! commands whatever, and `simulation` what holds for nodes that crash and repeat themselves;
//! `instructions` says what it costs.

mod audit;
mod behaviours;
mod claims;
mod dice;
mod expiry;
mod handling;
mod history;
mod instructions;
mod lapses;
mod letters;
mod memory;
mod notices;
mod ownership;
mod pauses;
mod policies;
mod properties;
mod recipients;
mod recovery;
mod repeats;
mod replays;
mod replica;
mod scripts;
mod sentry;
mod simulation;
