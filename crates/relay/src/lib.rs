//! The two network ends: sessions in, deliveries out, over tokio and rustls.

pub mod inbound;
pub mod outbound;
