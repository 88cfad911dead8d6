//! How mail is sent: how large, over how many sessions, by whom.

use std::fmt;

/// Who sends, mostly.
pub(crate) const SENDER: &str = "sender@sender.test";

/// One kind of load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Octets of a message's payload.
    pub(crate) size: usize,
    /// Sessions side by side.
    pub(crate) sessions: usize,
    /// Whether a session carries many messages.
    pub(crate) kept_open: bool,
    /// Whether a session runs TLS.
    pub(crate) starttls: bool,
    /// Whether the commands of a message come in one go.
    pub(crate) pipelined: bool,
    /// The reverse-path of all of them.
    pub(crate) sender: &'static str,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = if self.kept_open {
            "kept open"
        } else {
            "one message each"
        };
        let tls = if self.starttls { ", STARTTLS" } else { "" };
        let pipelined = if self.pipelined { ", pipelined" } else { "" };
        write!(
            f,
            "{} KiB, {} sessions {kept}{tls}{pipelined}",
            self.size / 1024,
            self.sessions
        )
    }
}

impl Load {
    /// Sessions in clear that are kept open.
    pub(crate) const fn of(kib: usize, sessions: usize) -> Self {
        Self {
            size: kib * 1024,
            sessions,
            kept_open: true,
            starttls: false,
            pipelined: false,
            sender: SENDER,
        }
    }

    const fn one_message_each(self) -> Self {
        Self {
            kept_open: false,
            ..self
        }
    }

    const fn with_starttls(self) -> Self {
        Self {
            starttls: true,
            ..self
        }
    }

    /// Over sessions in clear that are kept open.
    const fn pipelined(self) -> Self {
        Self {
            pipelined: true,
            ..self
        }
    }
}

/// What is measured.
pub(crate) const LOADS: [Load; 13] = [
    Load::of(10, 1),
    Load::of(10, 10),
    Load::of(10, 50),
    Load::of(10, 200),
    Load::of(10, 50).pipelined(),
    Load::of(10, 200).pipelined(),
    Load::of(10, 50).one_message_each(),
    Load::of(10, 50).with_starttls(),
    Load::of(10, 50).one_message_each().with_starttls(),
    Load::of(1, 50),
    Load::of(100, 50),
    Load::of(1024, 10),
    Load::of(1024, 50),
];

/// The same in short: one of each kind.
pub(crate) const QUICK_LOADS: [Load; 3] = [
    Load::of(10, 50),
    Load::of(10, 50).one_message_each().with_starttls(),
    Load::of(1024, 10),
];
