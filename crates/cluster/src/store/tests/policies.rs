//! The policy in force, as it is stored.

use prost::Message as _;
use spool::{Adopt, policy::Document};

use super::*;
use crate::store::{found_anew, keys::Table, open::Column};

const FIRST: &str = "[[domain]]\nname = \"example.com\"\nprimary = [\"[::1]:25\"]\n";

fn founding() -> Vec<Entry> {
    let found = Command::Found {
        cluster: 77,
        policy: Document::of_text(FIRST),
        at: Timestamp(5),
    };
    vec![members(1, &[1]), entry(2, found)]
}

fn second() -> Document {
    let list = "recipients = \"list\"\nrecipients_file = \"users\"\n";
    Document {
        text: format!("{FIRST}{list}"),
        lists: [("users".to_owned(), "anna@example.com\n".to_owned())].into(),
    }
}

fn adoption(index: u64) -> Entry {
    let adopt = Adopt {
        policy: second(),
        replaces: 1,
        at: Timestamp(9),
        by: "postmaster".to_owned(),
    };
    entry(index, Command::Adopt(adopt))
}

#[track_caller]
fn has_the_second(opened: &Opened) {
    let figures = opened.tables.figures();
    let policy = figures.policy.as_ref().unwrap();
    assert_eq!((policy.version, policy.since), (2, Timestamp(9)));
    assert_eq!(policy.by, "postmaster");
    assert_eq!(policy.document, second());
    assert_eq!(*policy.policy, second().policy().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_policy_is_in_force_after_a_start_and_in_a_new_cluster() {
    let mut opened = Opened::new();
    opened.commit(founding()).await;
    assert_eq!(opened.tables.figures().policy_version(), 1);
    opened.commit(vec![adoption(3)]).await;
    has_the_second(&opened);
    let opened = opened.reopened();
    has_the_second(&opened);
    assert_eq!(opened.tables.figures().cluster, Some(77));
    let member = Member {
        address: "mx1:7400".to_owned(),
    };
    found_anew(&opened.tables, 1, member).unwrap();
    has_the_second(&opened.reopened());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_founding_and_an_adoption_may_stand_in_one_batch() {
    let mut opened = Opened::new();
    let mut entries = founding();
    entries.push(adoption(3));
    opened.commit(entries).await;
    has_the_second(&opened);
    assert_eq!(opened.tables.figures().cluster, Some(77));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_older_versions_stored_is_the_first_policy() {
    let mut opened = Opened::new();
    opened.commit(founding()).await;
    let old = api::spool::v1::Founded {
        cluster: Some(crate::codec::id_to(MessageId(77))),
        policy: FIRST.to_owned(),
        ..api::spool::v1::Founded::default()
    };
    let database = opened.tables.now();
    let mut batch = database.batch();
    let key = database.keys().table(Table::Founded);
    let present = api::spool::v1::Founded {
        since_ms: 5,
        ..old.clone()
    };
    let stored = database.get(Column::Spool, key.clone()).unwrap();
    assert_eq!(
        stored,
        Some(present.encode_to_vec()),
        "as before but for the moment"
    );
    batch.put(Column::Spool, key, old.encode_to_vec());
    batch.write_synced().unwrap();
    drop(database);
    let opened = opened.reopened();
    let figures = opened.tables.figures();
    let policy = figures.policy.as_ref().unwrap();
    assert_eq!((policy.version, policy.since), (1, Timestamp(0)));
    assert_eq!(policy.document, Document::of_text(FIRST));
}
