//! Moves leadership to a node that reaches a primary which the leader does not reach.
//!
//! ```text
//!   relay: scouts of followers, probes of the leader ──▶ Findings (each node its own)
//!                                                            │ asked by the leader
//!   leader: what is at stake ──▶ placed better? ──▶ Changer: hand over
//! ```
//!
//! Only the leader delivers. A primary may be up and out of its reach alone: a broken route, a firewall that
//! knows one address less. The mail for it would wait although another node could deliver it.
//!
//! A move stops what is under way for a moment, so it is made for what is certain, and seldom: what counts was
//! found several times over half a minute, the other node must reach more than this one would give up, and
//! after a move there is none for a while.

mod findings;
mod mover;

pub(crate) use findings::Findings;
pub(crate) use mover::{Mover, is_delivered};
