//! The talk between nodes: gRPC over mutual TLS.

mod append;
mod client;
mod connect;
mod contact;
mod identity;
mod server;
mod service;
mod snapshot;

pub(crate) use client::Network;
pub(crate) use connect::{PeerClient, Peers};
pub(crate) use identity::Identity;
pub(crate) use server::{PeerServer, serve};
pub(crate) use service::Served;
