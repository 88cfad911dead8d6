//! Raft's own values.

use std::collections::{BTreeMap, BTreeSet};

use api::peer::v1 as pb;
use openraft::entry::RaftEntry as _;
use openraft::entry::RaftPayload as _;

use super::{CodecError, command_from, command_to, required};
use crate::{
    raft::{Entry, LogId, Member, Membership, Payload, Proposal, StoredMembership, Vote},
    space::Room,
};

pub(crate) fn log_id_to(log_id: LogId) -> pb::LogId {
    pb::LogId {
        term: log_id.leader_id.term,
        index: log_id.index,
    }
}

pub(crate) fn log_id_from(log_id: pb::LogId) -> LogId {
    LogId::new(log_id.term.into(), log_id.index)
}

pub(crate) const fn vote_to(vote: &Vote) -> pb::Vote {
    pb::Vote {
        term: vote.leader_id.term,
        node_id: vote.leader_id.voted_for,
        committed: vote.committed,
    }
}

pub(crate) fn vote_from(vote: Option<pb::Vote>) -> Result<Vote, CodecError> {
    let vote = required(vote, "vote")?;
    Ok(if vote.committed {
        Vote::new_committed(vote.term, vote.node_id)
    } else {
        Vote::new(vote.term, vote.node_id)
    })
}

pub(crate) const fn room_to(room: Room) -> pb::Room {
    pb::Room {
        free_bytes: room.free_bytes,
        short: room.is_short,
        lacking_bytes: room.lacking_bytes,
    }
}

pub(crate) const fn room_from(room: pb::Room) -> Room {
    Room {
        free_bytes: room.free_bytes,
        is_short: room.short,
        lacking_bytes: room.lacking_bytes,
    }
}

fn membership_to(membership: &Membership) -> pb::Membership {
    let configs = membership.get_joint_config().iter();
    let members = membership.nodes();
    pb::Membership {
        configs: configs
            .map(|voters| pb::VoterSet {
                node_ids: voters.iter().copied().collect(),
            })
            .collect(),
        members: members
            .map(|(id, member)| pb::Member {
                node_id: *id,
                address: member.address.clone(),
            })
            .collect(),
    }
}

fn membership_from(membership: pb::Membership) -> Result<Membership, CodecError> {
    let configs: Vec<BTreeSet<u64>> = membership
        .configs
        .into_iter()
        .map(|set| set.node_ids.into_iter().collect())
        .collect();
    let members: BTreeMap<u64, Member> = membership
        .members
        .into_iter()
        .map(|member| {
            (
                member.node_id,
                Member {
                    address: member.address,
                },
            )
        })
        .collect();
    if configs.is_empty() && members.is_empty() {
        return Ok(Membership::default());
    }
    required(Membership::new(configs, members).ok(), "sound membership")
}

pub(crate) fn stored_membership_to(stored: &StoredMembership) -> pb::StoredMembership {
    pb::StoredMembership {
        log_id: stored.log_id().map(log_id_to),
        membership: Some(membership_to(stored.membership())),
    }
}

pub(crate) fn stored_membership_from(
    stored: pb::StoredMembership,
) -> Result<StoredMembership, CodecError> {
    let membership = membership_from(required(stored.membership, "membership")?)?;
    Ok(StoredMembership::new(
        stored.log_id.map(log_id_from),
        membership,
    ))
}

pub(crate) fn entry_to(entry: Entry) -> pb::Entry {
    use pb::entry::Payload as Kind;
    let log_id = Some(log_id_to(entry.log_id));
    let payload = match entry.payload {
        Payload::Blank => None,
        Payload::Normal(Proposal(command)) => Some(Kind::Command(command_to(command))),
        Payload::Membership(membership) => Some(Kind::Membership(membership_to(&membership))),
    };
    pb::Entry {
        log_id,
        payload,
        carries_piece: false,
        piece_bytes: 0,
    }
}

pub(crate) fn entry_from(entry: pb::Entry) -> Result<Entry, CodecError> {
    use pb::entry::Payload as Kind;
    let log_id = log_id_from(required(entry.log_id, "log id")?);
    let payload = match entry.payload {
        None => Payload::Blank,
        Some(Kind::Command(command)) => Payload::normal(Proposal(command_from(command)?)),
        Some(Kind::Membership(membership)) => Payload::membership(membership_from(membership)?),
    };
    Ok(Entry::new(log_id, payload))
}
