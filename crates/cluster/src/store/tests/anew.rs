//! New clusters from the directory of a node of a former one.

use spool::policy::Document;

use super::*;
use crate::store::found_anew;

/// Founds a new cluster of the node 1 from a directory, and opens it as its next start does.
fn founded(opened: Opened) -> Opened {
    let member = Member {
        address: "mx1:7400".to_owned(),
    };
    found_anew(&opened.tables, 1, member).unwrap();
    opened.reopened()
}

#[track_caller]
fn has_only_node_1(opened: &Opened) {
    let members = opened.tables.membership().unwrap();
    let members: Vec<u64> = members.nodes().map(|(id, _)| *id).collect();
    assert_eq!(members, [1]);
    assert_eq!(opened.tables.figures().retired, BTreeSet::new());
}

fn beginning() -> Vec<Entry> {
    let text = "[[domain]]\nname = \"example.com\"\nprimary = [\"[::1]:25\"]\n";
    let policy = Document::of_text(text);
    let (cluster, at) = (77, Timestamp(5));
    vec![
        members(1, &[2, 1]),
        entry(
            2,
            Command::Found {
                cluster,
                policy,
                at,
            },
        ),
        entry(3, accept(9, 0, 4, b"body")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_removed_founds_a_cluster_in_which_it_stays() {
    let mut opened = Opened::new();
    opened.commit(beginning()).await;
    opened.commit(vec![members(4, &[2])]).await;
    assert_eq!(opened.tables.figures().retired, BTreeSet::from([1]));
    let opened = founded(opened);
    has_only_node_1(&opened);
    assert_eq!(opened.messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_at_the_end_of_the_log_does_not_follow_it_into_the_new_cluster() {
    let mut opened = Opened::new();
    opened.commit(beginning()).await;
    opened.append(vec![members(4, &[2])]).await;
    has_only_node_1(&founded(opened));
}
