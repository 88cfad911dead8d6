//! Why the spool did not take something.

/// A refusal is always the spool's condition and never a judgement on the message, so each one is
/// a 4xx to the sender: the mail is not ours, and it may come again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No majority answered within the commit timeout, or no leader is known.
    #[error("no quorum of nodes confirmed it in time")]
    NoQuorum,
    /// Less than the configured share of the disk is free.
    #[error("too little free disk space")]
    DiskFull,
    /// The bytes in flight on this node are at their limit.
    #[error("too many bytes in flight")]
    Busy,
    /// This node's storage has failed; it will take nothing until it is restarted.
    #[error("storage has failed")]
    StorageFailed,
    /// The node is going down.
    #[error("shutting down")]
    ShuttingDown,
    /// The message's envelope is larger than one entry of the log may be.
    #[error("the envelope is too large for one message")]
    EnvelopeTooLarge,
    /// The pieces staged for this message are not there any more, or not all of them.
    #[error("the staged body was swept before the message was accepted")]
    StageGone,
}
