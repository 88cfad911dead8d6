//! The cluster: its nodes, and what this one knows of itself.

use std::sync::Arc;

use api::admin::v1::{
    ClusterStatusResponse, Member, StatusRequest, StatusResponse, admin_server::Admin as _,
};
use axum::{extract::State, response::IntoResponse as _};
use maud::{Markup, html};
use spool::Timestamp;

use crate::{
    certificates::WARNING,
    page::{
        Answer, Page,
        document::document,
        form::Form,
        table::{Column, table},
        words::{ago, moment, size, span},
    },
};

/// Shows it.
pub(super) async fn show(State(page): State<Arc<Page>>, form: Form) -> Answer {
    let status = page.service.status(Page::request(&form, StatusRequest {}));
    let status = status.await?.into_inner();
    let content = html! {
        h1 { "Cluster" }
        @if let Some(cluster) = &status.cluster { p { (quorum(cluster)) } }
        (nodes(&status))
        (this_node(&status))
        (certificates(&page.expiries.ends(), status.now_ms))
    };
    Ok(document("Cluster", &content).into_response())
}

/// How many nodes may fail.
fn quorum(cluster: &ClusterStatusResponse) -> String {
    let voters = cluster.members.iter();
    let voters = voters.filter(|member| member.role != "learner").count();
    let majority = voters / 2 + 1;
    let leader = match cluster.leader {
        Some(leader) => format!("Node {leader} leads and delivers."),
        None => "No leader is known: no mail is taken or delivered.".to_owned(),
    };
    match voters {
        0 => leader,
        1 => format!("{leader} Mail is kept on one node alone."),
        _ => {
            format!("{leader} Mail is taken while {majority} of the {voters} voting nodes answer.")
        }
    }
}

/// What is shown of each member.
const OF_NODES: [Column<'static>; 6] = [
    Column::Words("Node"),
    Column::Words("Address"),
    Column::Words("Role"),
    Column::Figures("Entries behind"),
    Column::Figures("Silent for"),
    Column::Figures("Free disk"),
];

/// The members, one a row.
pub(super) fn nodes(status: &StatusResponse) -> Markup {
    let members = status.cluster.iter().flat_map(|cluster| &cluster.members);
    let here = status.cluster.as_ref().map(|cluster| cluster.node_id);
    table(
        &OF_NODES,
        &html! { @for member in members { (node(member, here)) } },
    )
}

fn node(member: &Member, here: Option<u64>) -> Markup {
    html! {
        tr {
            th scope="row" { (member.id) @if here == Some(member.id) { " (this one)" } }
            td { (member.address) }
            td { (member.role) }
            td .number { @if let Some(lag) = member.lag { (lag) } }
            td .number { @if let Some(silent) = member.silent_ms { (ago(silent, 0)) } }
            td .number { @if let Some(free) = member.free_bytes { (size(free)) } }
        }
    }
}

fn this_node(status: &StatusResponse) -> Markup {
    html! {
        section aria-labelledby="here" {
            h2 #here { "This node" }
            dl {
                dt { "Name" } dd { (status.hostname) }
                dt { "Version" } dd { (status.version) }
                @if let Some(cluster) = &status.cluster {
                    dt { "Takes mail" } dd { @if cluster.accepting { "yes" } @else { "no" } }
                    dt { "Free disk" } dd { (size(cluster.free_bytes)) }
                    dt { "Raft term" } dd { (cluster.term) }
                    dt { "Last log entry" }
                    dd { (cluster.last_log_index) ", applied up to " (cluster.last_applied_index) }
                    @if let Some(name) = &cluster.cluster { dt { "Cluster" } dd { code { (name) } } }
                }
                dt { "Clock" } dd { (moment(status.now_ms)) }
            }
        }
    }
}

/// What is shown of each certificate.
const OF_CERTIFICATES: [Column<'static>; 3] = [
    Column::Words("For"),
    Column::Words("Ends"),
    Column::Figures("Left"),
];

fn certificates(ends: &[(&'static str, Timestamp)], now: u64) -> Markup {
    let rows = html! {
        @for (usage, end) in ends { (certificate(usage, *end, Timestamp(now))) }
    };
    html! {
        section aria-labelledby="certificates" {
            h2 #certificates { "Certificates of this node" }
            @if ends.is_empty() {
                p { "It has none: senders are offered no STARTTLS, and peers and operators reach it from this machine alone." }
            } @else {
                (table(&OF_CERTIFICATES, &rows))
            }
        }
    }
}

fn certificate(usage: &str, end: Timestamp, now: Timestamp) -> Markup {
    html! {
        tr {
            th scope="row" { (usage) }
            td { (moment(end.0)) }
            td .number {
                @if end <= now { strong .warning { "none" } }
                @else if end < now.after(WARNING) { strong .warning { (ago(end.0, now.0)) ", renew it" } }
                @else { (span(end.0 - now.0)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(leader: Option<u64>, roles: &[&str]) -> ClusterStatusResponse {
        let members = roles.iter().map(|role| Member {
            role: (*role).to_owned(),
            ..Member::default()
        });
        ClusterStatusResponse {
            leader,
            members: members.collect(),
            ..ClusterStatusResponse::default()
        }
    }

    #[test]
    fn how_many_nodes_may_fail_is_told() {
        for (cluster, words) in [
            (
                cluster(Some(2), &["follower", "leader", "follower", "learner"]),
                "Node 2 leads and delivers. Mail is taken while 2 of the 3 voting nodes answer.",
            ),
            (
                cluster(Some(1), &["leader"]),
                "Node 1 leads and delivers. Mail is kept on one node alone.",
            ),
            (
                cluster(None, &["follower"; 5]),
                "No leader is known: no mail is taken or delivered. Mail is taken while 3 of the 5 voting nodes \
                 answer.",
            ),
        ] {
            assert_eq!(quorum(&cluster), words);
        }
    }

    #[test]
    fn a_certificate_that_ends_soon_is_told_apart() {
        const DAY: u64 = 24 * 3_600_000;
        let shown = |days: u64| {
            let ends = [("smtp", Timestamp(days * DAY))];
            certificates(&ends, 10 * DAY).into_string()
        };
        assert!(shown(30).contains(">20 d<"), "{}", shown(30));
        assert!(shown(12).contains("2 d, renew it"), "{}", shown(12));
        assert!(shown(10).contains(">none<"), "{}", shown(10));
        assert!(certificates(&[], 0).into_string().contains("It has none"));
    }
}
