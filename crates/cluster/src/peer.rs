//! The talk between nodes: gRPC over mutual TLS.

mod append;
mod callers;
mod change;
mod client;
mod connect;
mod contact;
mod gathering;
mod identity;
mod receive;
mod rights;
mod server;
mod service;
mod snapshot;
#[cfg(test)]
mod tests;
mod vouching;

pub(crate) use callers::Callers;
pub(crate) use change::ask_change;
pub(crate) use client::Network;
pub(crate) use connect::{PeerClient, Peers, status_words};
pub(crate) use identity::{Identity, Stranger, stranger};
pub(crate) use server::{PeerServer, serve};
pub(crate) use service::{Served, Signs};
