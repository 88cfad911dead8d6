//! SMTP as a language (RFC 5321): commands, replies, transparency, and both ends of a dialogue.
//!
//! ```text
//!   bytes in ──▶ server::Session ──▶ replies, body octets, questions
//!   bytes in ──▶ client::Session ──▶ commands, body octets, results per recipient
//! ```
//!
//! Nothing here owns a socket, reads a clock or knows what is done with a message: whoever drives
//! a session carries its bytes, answers its questions and keeps its time.

pub mod address;
pub mod client;
pub mod command;
pub mod data;
pub mod dsn;
pub mod envelope;
pub mod extensions;
pub mod forged;
pub mod limits;
pub mod reply;
pub mod server;

pub use address::{ForwardPath, Mailbox, ReversePath};
pub use command::Command;
pub use envelope::{BodyType, Envelope, Recipient};
pub use extensions::Extensions;
pub use reply::{EnhancedCode, Reply};
