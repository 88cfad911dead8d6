//! What holds for any octets that come from outside: from clients, servers, proxies, peers and
//! operators.
//!
//! Each function takes octets and panics if what it says does not hold for them. `fuzz/` invents
//! octets for them; the corpora that are kept in `fuzz/corpus` are played with every `make test`.

mod address;
mod client_session;
mod command_line;
mod forged;
mod messages;
mod policy_file;
mod proxy_header;
mod reply;
mod segments;
mod server_session;

pub use address::address;
pub use client_session::client_session;
pub use command_line::command_line;
pub use forged::forged;
pub use messages::{admin_message, peer_message};
pub use policy_file::policy_file;
pub use proxy_header::proxy_header;
pub use reply::reply;
pub use server_session::server_session;

/// A function of this crate, behind the name of its corpus.
pub type Property = (&'static str, fn(&[u8]));

/// Every one.
pub const ALL: [Property; 10] = [
    ("address", address),
    ("admin_message", admin_message),
    ("client_session", client_session),
    ("command_line", command_line),
    ("forged", forged),
    ("peer_message", peer_message),
    ("policy_file", policy_file),
    ("proxy_header", proxy_header),
    ("reply", reply),
    ("server_session", server_session),
];
