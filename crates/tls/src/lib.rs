//! Certificates in files: read, checked, shown to others, and exchanged while a node runs.
//!
//! ```text
//!   PEM files ──▶ ServerTls   a server that anyone may connect to (SMTP), under several names
//!            └──▶ MutualTls   both ends of a talk in which each has a certificate (peers, admin)
//!                   ▲   └──▶ incoming: connections that have come through the handshake
//!                Watched      reads the files again when they have changed
//! ```
//!
//! What is exchanged is the whole configuration, so that nothing of the old one (session tickets,
//! authorities) lives on in new connections. Those that are under way keep what they began with.
//!
//! This room knows nothing of mail, of nodes, or of the clock.

mod error;
mod incoming;
mod limits;
mod mutual;
mod names;
mod pem;
mod server;
#[cfg(test)]
mod testing;
mod watch;
mod words;

pub use error::TlsError;
pub use incoming::incoming;
pub use mutual::{MutualFiles, MutualTls};
pub use names::{Unnamed, host_of, names, verify_name};
pub use pem::{certificates, not_after};
pub use rustls_pki_types::{CertificateDer, UnixTime};
pub use server::{PemPair, ServerTls};
pub use tokio_rustls::{client, server as accepted};
pub use watch::{Fingerprint, Reload, Watched};
pub use words::in_words;
