//! Changes of members as they travel, and asking for one.

use api::peer::v1::{
    self as pb, change_request::Change as Kind, change_response::Result as ResultKind,
};
use tokio::time::timeout;

use super::{Peers, status_words};
use crate::{
    codec::{self, CodecError},
    limits,
    membership::{Change, Changed, Refused, Tried},
    store::GROUP,
};

/// Asks the node at an address for a change. `to` is the id that is expected there, if one is;
/// `passed_on` says that the node asked must carry it out itself.
///
/// # Errors
/// The node could not be asked: why, in words.
pub(crate) async fn ask_change(
    peers: &Peers,
    address: &str,
    to: Option<u64>,
    change: &Change,
    passed_on: bool,
) -> Result<Tried, String> {
    let mut client = peers
        .client(address, to)
        .map_err(|error| error.to_string())?;
    let asked = client.change(request_to(change, passed_on));
    // Whoever is asked answers within the first; the rest is for the way.
    let within = limits::CHANGE_TIMEOUT + limits::PEER_REPLY_TIMEOUT;
    match timeout(within, asked).await {
        Ok(Ok(answer)) => answer_from(answer.into_inner()).map_err(|error| error.to_string()),
        Ok(Err(status)) => Err(status_words(&status)),
        Err(_) => Err(format!("no answer within {within:?}")),
    }
}

fn request_to(change: &Change, passed_on: bool) -> pb::ChangeRequest {
    let kind = match change.clone() {
        Change::Add { id, address, blank } => Kind::Add(pb::AddNode {
            node_id: id,
            address,
            blank,
        }),
        Change::Remove { id } => Kind::Remove(pb::RemoveNode { node_id: id }),
        Change::Transfer { to } => Kind::Transfer(pb::TransferTo { node_id: to }),
        Change::Move { id, address } => Kind::Move(pb::MoveNode {
            node_id: id,
            address,
        }),
    };
    pb::ChangeRequest {
        group: GROUP,
        passed_on,
        change: Some(kind),
    }
}

pub(super) fn request_from(request: pb::ChangeRequest) -> Result<Change, CodecError> {
    Ok(
        match codec::required(request.change, "change of members")? {
            Kind::Add(add) => Change::Add {
                id: add.node_id,
                address: add.address,
                blank: add.blank,
            },
            Kind::Remove(remove) => Change::Remove { id: remove.node_id },
            Kind::Transfer(transfer) => Change::Transfer {
                to: transfer.node_id,
            },
            Kind::Move(moved) => Change::Move {
                id: moved.node_id,
                address: moved.address,
            },
        },
    )
}

pub(super) fn answer_to(tried: Tried) -> pb::ChangeResponse {
    let kind = match tried {
        Tried::Done(done) => ResultKind::Done(pb::ChangeDone {
            changed: done.changed,
        }),
        Tried::Refused(refused) => ResultKind::Refused(pb::ChangeRefused {
            why: refused.why,
            for_good: refused.for_good,
        }),
        Tried::Again => ResultKind::NotLeading(pb::NotLeading { leader: None }),
    };
    pb::ChangeResponse { result: Some(kind) }
}

pub(super) fn answer_from(answer: pb::ChangeResponse) -> Result<Tried, CodecError> {
    Ok(
        match codec::required(answer.result, "answer to a change of members")? {
            ResultKind::Done(done) => Tried::Done(Changed {
                changed: done.changed,
            }),
            ResultKind::Refused(refused) => Tried::Refused(Refused {
                why: refused.why,
                for_good: refused.for_good,
            }),
            ResultKind::NotLeading(_) => Tried::Again,
        },
    )
}
