//! What commands come to.

use api::spool::v1 as pb;
use spool::Outcome;

use super::{
    CodecError,
    audit::{tally_from, tally_to},
    values::{id_from, id_to},
};

pub(crate) fn outcome_to(outcome: &Outcome) -> pb::Outcome {
    use pb::outcome::Kind;
    let mut told = pb::Outcome::default();
    let kind = match outcome {
        Outcome::Done => Kind::Done,
        Outcome::Accepted => Kind::Accepted,
        Outcome::Repeated(first) => {
            told.first = Some(id_to(*first));
            Kind::Repeated
        }
        Outcome::StageGone => Kind::StageGone,
        Outcome::Adopted(version) => {
            told.policy_version = *version;
            Kind::Adopted
        }
        Outcome::Overtaken(version) => {
            told.policy_version = *version;
            Kind::Overtaken
        }
        Outcome::Handled(tally) => {
            told.tally = Some(tally_to(*tally));
            Kind::Handled
        }
        Outcome::Replayed(messages) => {
            told.replayed = *messages;
            Kind::Replayed
        }
        Outcome::NotUnderstood(why) => {
            told.why.clone_from(why);
            Kind::NotUnderstood
        }
    };
    told.set_kind(kind);
    told
}

pub(crate) fn outcome_from(outcome: pb::Outcome) -> Result<Outcome, CodecError> {
    use pb::outcome::Kind;
    match outcome.kind() {
        Kind::Done => Ok(Outcome::Done),
        Kind::Accepted => Ok(Outcome::Accepted),
        Kind::Repeated => Ok(Outcome::Repeated(id_from(outcome.first)?)),
        Kind::StageGone => Ok(Outcome::StageGone),
        Kind::Adopted => Ok(Outcome::Adopted(outcome.policy_version)),
        Kind::Overtaken => Ok(Outcome::Overtaken(outcome.policy_version)),
        Kind::Handled => Ok(Outcome::Handled(tally_from(outcome.tally))),
        Kind::Replayed => Ok(Outcome::Replayed(outcome.replayed)),
        Kind::NotUnderstood => Ok(Outcome::NotUnderstood(outcome.why)),
        Kind::Unspecified => Err(CodecError::Missing { what: "outcome" }),
    }
}
