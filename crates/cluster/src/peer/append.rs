//! Append requests and their answers as they travel.

use std::time::Duration;

use api::peer::v1 as pb;
use openraft::raft::{AppendEntriesRequest, StreamAppendError, StreamAppendResult};

use crate::{
    codec::{self, CodecError},
    raft::{LogId, Types},
    space::Room,
    store::GROUP,
};

/// `quorum_silence`: how long ago this leader last had a sign of its quorum. `disks_full`: whether too
/// few members have room for mail. `acknowledgements`: what it has seen members acknowledge.
/// `policy_version`: of the policy in force, 0 while it can not say.
pub(super) fn request_to(
    request: AppendEntriesRequest<Types>,
    quorum_silence: Duration,
    disks_full: bool,
    acknowledgements: Vec<(u64, LogId)>,
    policy_version: u64,
) -> pb::AppendRequest {
    pb::AppendRequest {
        group: GROUP,
        vote: Some(codec::vote_to(&request.vote)),
        prev_log_id: request.prev_log_id.map(codec::log_id_to),
        entries: request.entries.into_iter().map(codec::entry_to).collect(),
        leader_commit: request.leader_commit.map(codec::log_id_to),
        quorum_silent_ms: u64::try_from(quorum_silence.as_millis()).unwrap_or(u64::MAX),
        disks_full,
        acknowledgements: acknowledgements
            .into_iter()
            .map(|(node_id, log_id)| pb::Acknowledgement {
                node_id,
                log_id: Some(codec::log_id_to(log_id)),
            })
            .collect(),
        policy_version,
    }
}

/// What a heartbeat tells of what members have acknowledged.
pub(super) fn acknowledgements_of(
    request: &pb::AppendRequest,
) -> impl Iterator<Item = (u64, LogId)> + '_ {
    let told = request.acknowledgements.iter();
    told.filter_map(|told| Some((told.node_id, codec::log_id_from(told.log_id?))))
}

pub(super) fn request_from(
    request: pb::AppendRequest,
) -> Result<AppendEntriesRequest<Types>, CodecError> {
    Ok(AppendEntriesRequest {
        vote: codec::vote_from(request.vote)?,
        prev_log_id: request.prev_log_id.map(codec::log_id_from),
        entries: request
            .entries
            .into_iter()
            .map(codec::entry_from)
            .collect::<Result<_, _>>()?,
        leader_commit: request.leader_commit.map(codec::log_id_from),
    })
}

/// `room`: how this node's disk stands.
pub(super) fn answer_to(answer: StreamAppendResult<Types>, room: Room) -> pb::AppendResponse {
    use pb::append_response::{Matched, Result as Kind};
    let kind = match answer {
        Ok(log_id) => Kind::Matched(Matched {
            log_id: log_id.map(codec::log_id_to),
        }),
        Err(StreamAppendError::Conflict(log_id)) => Kind::Conflict(codec::log_id_to(log_id)),
        Err(StreamAppendError::HigherVote(vote)) => Kind::HigherVote(codec::vote_to(&vote)),
    };
    pb::AppendResponse {
        result: Some(kind),
        room: Some(codec::room_to(room)),
    }
}

/// What the answer says of the disk of the node that gives it.
pub(super) fn room_of(answer: &pb::AppendResponse) -> Option<Room> {
    answer.room.map(codec::room_from)
}

pub(super) fn answer_from(
    answer: pb::AppendResponse,
) -> Result<StreamAppendResult<Types>, CodecError> {
    use pb::append_response::Result as Kind;
    Ok(
        match codec::required(answer.result, "answer to an append")? {
            Kind::Matched(matched) => Ok(matched.log_id.map(codec::log_id_from)),
            Kind::Conflict(log_id) => Err(StreamAppendError::Conflict(codec::log_id_from(log_id))),
            Kind::HigherVote(vote) => {
                Err(StreamAppendError::HigherVote(codec::vote_from(Some(vote))?))
            }
        },
    )
}
