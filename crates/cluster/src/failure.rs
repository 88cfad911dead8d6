//! Why a node can not start, or not go on.

/// The node could not start: one line that says what is wrong and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub(crate) String);

/// Why a node can not go on, in one sentence: the last line of its log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Consensus has stopped, and said why.
    #[error("storage or consensus failed: {0}")]
    Consensus(String),
    /// Consensus is gone without a word: it has panicked.
    #[error(
        "consensus has ended without a word, by an error in the program; \
         start the node again, and report the lines above"
    )]
    ConsensusGone,
    /// A task that runs for as long as the node does has ended.
    #[error("{0} has ended without being told to; see the lines above, and start the node again")]
    Ended(&'static str),
    /// A task has panicked.
    #[error(
        "{0} has failed by an error in the program; \
         start the node again, and report the lines above"
    )]
    Panicked(&'static str),
    /// The disk does not take what must survive, for another reason than that it is full.
    #[error(
        "storage or consensus failed: a file of the data directory can not be written: {0}; \
         look after the disk, then start the node again"
    )]
    Disk(String),
    /// A table can not be read.
    #[error(
        "storage or consensus failed: a file of the data directory is damaged, which was noticed before \
         it was copied to another node: {0}; look after the disk, and replace this node"
    )]
    Damaged(String),
    /// The port that peers connect to is gone.
    #[error("the port for peers has failed: {0}; start the node again")]
    PeersPort(String),
    /// This node may never vote as it is.
    #[error(transparent)]
    NotAdmitted(#[from] StartError),
    /// It does not belong to the cluster: why, and what would be right.
    #[error("{0}")]
    NotAMember(String),
}

impl Failure {
    /// Whether nothing can be recorded any more, so that there is nothing to wait for.
    #[must_use]
    pub const fn is_of_storage(&self) -> bool {
        match self {
            Self::Consensus(_) | Self::ConsensusGone | Self::Disk(_) | Self::Damaged(_) => true,
            Self::Ended(_)
            | Self::Panicked(_)
            | Self::PeersPort(_)
            | Self::NotAdmitted(_)
            | Self::NotAMember(_) => false,
        }
    }
}
