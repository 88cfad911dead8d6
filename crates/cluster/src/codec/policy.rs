//! Policies, as they travel and as the one in force is stored.

use std::collections::BTreeMap;

use api::spool::v1 as pb;
use spool::{
    Adopt, MessageId, Timestamp,
    policy::{Document, InForce, PolicyErrors},
};

use super::id_to;

/// The version that is not noted.
const FIRST: u64 = 1;

fn lists_to(lists: BTreeMap<String, String>) -> Vec<pb::PolicyList> {
    let lists = lists.into_iter();
    lists
        .map(|(name, text)| pb::PolicyList { name, text })
        .collect()
}

fn document_from(text: String, lists: Vec<pb::PolicyList>) -> Document {
    let lists = lists.into_iter().map(|list| (list.name, list.text));
    Document {
        text,
        lists: lists.collect(),
    }
}

pub(super) fn found_to(cluster: u128, policy: Document, at: Timestamp) -> pb::Found {
    pb::Found {
        cluster: Some(id_to(MessageId(cluster))),
        policy: policy.text,
        lists: lists_to(policy.lists),
        at_ms: at.0,
    }
}

/// The policy and its moment.
pub(super) fn found_from(found: pb::Found) -> (Document, Timestamp) {
    let policy = document_from(found.policy, found.lists);
    (policy, Timestamp(found.at_ms))
}

pub(super) fn adopt_to(adopt: Adopt) -> pb::Adopt {
    pb::Adopt {
        policy: adopt.policy.text,
        lists: lists_to(adopt.policy.lists),
        replaces: adopt.replaces,
        at_ms: adopt.at.0,
        by: adopt.by,
    }
}

pub(super) fn adopt_from(adopt: pb::Adopt) -> Adopt {
    Adopt {
        policy: document_from(adopt.policy, adopt.lists),
        replaces: adopt.replaces,
        at: Timestamp(adopt.at_ms),
        by: adopt.by,
    }
}

/// The first policy is written as it was before there could be others: whoever applies an old founding
/// anew ends with the same octets as those that have applied it then.
pub(crate) fn founded_to(cluster: u128, policy: &InForce) -> pb::Founded {
    pb::Founded {
        cluster: Some(id_to(MessageId(cluster))),
        policy: policy.document.text.clone(),
        lists: lists_to(policy.document.lists.clone()),
        version: if policy.version == FIRST {
            0
        } else {
            policy.version
        },
        since_ms: policy.since.0,
        by: policy.by.clone(),
    }
}

/// The policy of a stored founding. Where no version is noted it is the first.
pub(crate) fn in_force_from(founded: pb::Founded) -> Result<InForce, PolicyErrors> {
    let since = Timestamp(founded.since_ms);
    let document = document_from(founded.policy, founded.lists);
    InForce::read(founded.version.max(FIRST), since, founded.by, document)
}
