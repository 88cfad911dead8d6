//! Making a database the beginning of a new cluster of one node.

use std::{collections::BTreeMap, io};

use prost::Message as _;
use spool::MessageId;

use super::{
    keys::{self, Table},
    open::Column,
    raft_state::{self, VOTE},
    received::drop_log,
    tables::Tables,
    tail::Tail,
};
use crate::{
    codec,
    raft::{LogId, Member, Membership, StoredMembership, Vote},
};

/// Takes all that the database holds, its whole log included, as the spool of a new cluster: with
/// another name, so that nodes of the former one are refused, and with one member. Returns the name.
///
/// No id is retired in it, the new member's own least of all: whoever was removed was removed from
/// the former cluster, and no log is left that would pass through its memberships.
///
/// All of it is one fsync'd batch but for the applying of the log, which may be done again.
pub(crate) fn found_anew(tables: &Tables, node_id: u64, member: Member) -> io::Result<u128> {
    let tail = Tail::of(tables)?;
    tail.apply(tables)?;
    let database = tables.now();
    let founded = database.get(Column::Spool, database.keys().table(Table::Founded))?;
    let (Some(founded), Some(last)) = (founded, tail.last) else {
        return Err(io::Error::other(
            "there is no spool in it: its cluster was never founded",
        ));
    };
    // Entries of the new cluster must follow those of the former: places in the order of arrival
    // are log indices, and terms never go back.
    let term = raft_state::vote(&database)?.map_or(0, |vote| vote.leader_id.term);
    let vote = Vote::new(term.max(last.leader_id.term), node_id);
    let name: u128 = rand::random();
    let mut founded: api::spool::v1::Founded = codec::decode(founded.as_slice(), "founding")?;
    founded.cluster = Some(codec::id_to(MessageId(name)));
    let mut batch = database.batch();
    drop_log(&database, &mut batch, last)?;
    batch.put(
        Column::Raft,
        keys::raft(VOTE),
        codec::vote_to(&vote).encode_to_vec(),
    );
    let rows = [
        (Table::Founded, founded.encode_to_vec()),
        (Table::Applied, codec::log_id_to(last).encode_to_vec()),
        (
            Table::Membership,
            codec::stored_membership_to(&alone(last, node_id, member)?).encode_to_vec(),
        ),
    ];
    for (table, octets) in rows {
        batch.put(Column::Spool, database.keys().table(table), octets);
    }
    let retired = database.keys().table(Table::Retired);
    batch.delete_range(Column::Spool, &retired, keys::end_of(retired.clone()));
    batch.write_synced()?;
    // Whoever wanted this has been told.
    database.forget_damage()?;
    Ok(name)
}

fn alone(at: LogId, node_id: u64, member: Member) -> io::Result<StoredMembership> {
    let members = BTreeMap::from([(node_id, member)]);
    let membership = Membership::new(vec![[node_id].into()], members).map_err(io::Error::other)?;
    Ok(StoredMembership::new(Some(at), membership))
}
