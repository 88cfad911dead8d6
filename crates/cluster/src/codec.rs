//! The one place where our types become the protobuf of `proto/` and back.
//!
//! The cores' types know nothing of formats; what is written to disk or to a peer is made here.

mod accept;
mod alarm;
mod audit;
mod authentication;
mod command;
mod consensus;
mod copy;
mod course;
mod destination;
mod dsn;
mod history;
#[cfg(test)]
mod instructions;
mod message;
mod notices;
mod outcome;
mod policy;
mod recipients;
mod recovery;
mod replica;
mod sentry;
mod values;

pub(crate) use audit::{audited_from, audited_to};
pub(crate) use command::{command_from, command_to};
pub(crate) use consensus::{
    entry_from, entry_to, log_id_from, log_id_to, room_from, room_to, stored_membership_from,
    stored_membership_to, vote_from, vote_to,
};
pub(crate) use copy::{listed_from, listed_to, part_from, part_to};
pub(crate) use course::{course_from, course_to};
pub(crate) use destination::{destination_from, destination_to};
pub(crate) use history::{history_totals_from, history_totals_to, retained_from, retained_to};
pub(crate) use message::{
    known_from, known_to, message_from, message_to, staged_from, staged_to, unconfirmed_from,
    unconfirmed_to,
};
pub(crate) use outcome::{outcome_from, outcome_to};
pub(crate) use policy::{founded_to, in_force_from};
pub(crate) use recipients::{learned_from, learned_to};
pub(crate) use replica::{digest_from, digest_to};
pub(crate) use sentry::{patience_from, patience_to};
pub(crate) use values::{id_from, id_to};

/// Stored or received octets that do not make sense: damage, or a format of a newer version.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    /// Not protobuf of the expected kind.
    #[error("not a {what}: {source}")]
    Undecodable {
        /// What was expected.
        what: &'static str,
        /// What protobuf says.
        source: prost::DecodeError,
    },
    /// A part without which the whole means nothing.
    #[error("a {what} is missing or not understood; a newer version may have written it")]
    Missing {
        /// Which part.
        what: &'static str,
    },
}

impl From<CodecError> for std::io::Error {
    fn from(error: CodecError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

/// Takes a part that must be there.
pub(crate) fn required<T>(part: Option<T>, what: &'static str) -> Result<T, CodecError> {
    part.ok_or(CodecError::Missing { what })
}

/// Decodes a message of protobuf.
pub(crate) fn decode<M: prost::Message + Default>(
    octets: impl bytes::Buf,
    what: &'static str,
) -> Result<M, CodecError> {
    M::decode(octets).map_err(|source| CodecError::Undecodable { what, source })
}
