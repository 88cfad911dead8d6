//! The two network ends: sessions in, deliveries out, over tokio, rustls and the DNS. Beside the deliveries,
//! alarms leave to a webhook, and drills take the way of strangers' mail.

pub mod dns;
pub mod doctor;
pub mod drill;
pub mod inbound;
pub mod outbound;
mod report;
pub mod route;
pub mod webhook;
