//! Messages of protobuf, from peers and from operators.

use core::fmt::Debug;

use api::{admin::v1 as admin, peer::v1 as peer};
use prost::Message;
use spool::{MessageId, policy::Document};

use crate::{address, policy_file::is_understood};

/// What a peer sends is a message or none, and means the same when it is passed on. What the cluster
/// makes of it is tested in its own room with the same corpus.
pub fn peer_message(data: &[u8]) {
    reads_the_same::<peer::AppendRequest>(data);
    reads_the_same::<peer::AppendResponse>(data);
    reads_the_same::<peer::VoteRequest>(data);
    reads_the_same::<peer::VoteResponse>(data);
    reads_the_same::<peer::SnapshotChunk>(data);
    reads_the_same::<peer::SnapshotAnswer>(data);
    reads_the_same::<peer::TransferLeaderRequest>(data);
    reads_the_same::<peer::TransferLeaderResponse>(data);
    reads_the_same::<peer::ProposeRequest>(data);
    reads_the_same::<peer::ProposeResponse>(data);
    reads_the_same::<peer::HelloRequest>(data);
    reads_the_same::<peer::HelloResponse>(data);
    reads_the_same::<peer::FollowersResponse>(data);
    reads_the_same::<peer::ReachRequest>(data);
    reads_the_same::<peer::ReachResponse>(data);
    reads_the_same::<peer::DigestRequest>(data);
    reads_the_same::<peer::DigestResponse>(data);
    reads_the_same::<peer::ChangeRequest>(data);
    reads_the_same::<peer::ChangeResponse>(data);
    reads_the_same::<peer::PieceRequest>(data);
    reads_the_same::<peer::PieceResponse>(data);
}

/// What an operator's command sends is a message or none; a policy in it is understood or each mistake
/// is told, and an address or a message's id in it is one or none.
pub fn admin_message(data: &[u8]) {
    reads_the_same::<admin::QueueListRequest>(data);
    reads_the_same::<admin::QueueChangeRequest>(data);
    reads_the_same::<admin::DomainPauseRequest>(data);
    reads_the_same::<admin::FlushRequest>(data);
    reads_the_same::<admin::RecipientsListRequest>(data);
    reads_the_same::<admin::ClusterAddRequest>(data);
    reads_the_same::<admin::ClusterRemoveRequest>(data);
    reads_the_same::<admin::TransferLeaderRequest>(data);
    let apply: Option<admin::PolicyApplyRequest> = reads_the_same(data);
    if let Some(request) = apply {
        let lists = request.lists.into_iter().map(|list| (list.name, list.text));
        is_understood(&Document {
            text: request.text,
            lists: lists.collect(),
        });
    }
    let show: Option<admin::QueueShowRequest> = reads_the_same(data);
    if let Some(Ok(id)) = show.map(|request| request.id.parse::<MessageId>()) {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    let add: Option<admin::RecipientsAddRequest> = reads_the_same(data);
    let forget: Option<admin::RecipientsForgetRequest> = reads_the_same(data);
    let added = add.into_iter().flat_map(|request| request.addresses);
    let forgotten = forget.into_iter().flat_map(|request| request.addresses);
    for named in added.chain(forgotten) {
        address(named.as_bytes());
    }
}

/// The message, if it is one.
fn reads_the_same<M: Message + Default + PartialEq + Debug>(data: &[u8]) -> Option<M> {
    let message = M::decode(data).ok()?;
    let written = message.encode_to_vec();
    assert_eq!(M::decode(written.as_slice()).as_ref(), Ok(&message));
    Some(message)
}
