//! The two network ends: sessions in, deliveries out, over tokio, rustls and the DNS.

pub mod dns;
pub mod inbound;
pub mod outbound;
pub mod route;
