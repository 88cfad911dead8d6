//! The cluster: its nodes, and what this one knows of itself.

use std::sync::Arc;

use api::admin::v1::{
    CertificateEnd, ClusterStatusRequest, ClusterStatusResponse, Member, StatusRequest,
    StatusResponse, admin_server::Admin as _,
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
    let mut status = status.await?.into_inner();
    // The members are asked for their certificates.
    let asked = Page::request(&form, ClusterStatusRequest {});
    let asked = page.service.cluster_status(asked);
    status.cluster = Some(asked.await?.into_inner());
    let content = html! {
        h1 { "Cluster" }
        @if let Some(cluster) = &status.cluster { p { (quorum(cluster)) } }
        (nodes(&status))
        (this_node(&status))
        @if let Some(cluster) = &status.cluster { (certificates(cluster, status.now_ms)) }
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
const OF_CERTIFICATES: [Column<'static>; 4] = [
    Column::Words("Node"),
    Column::Words("For"),
    Column::Words("Ends"),
    Column::Figures("Left"),
];

/// Those of all members that tell of theirs.
fn certificates(cluster: &ClusterStatusResponse, now: u64) -> Markup {
    let rows = html! {
        @for member in &cluster.members { (certificates_of(member, Timestamp(now))) }
    };
    html! {
        section aria-labelledby="certificates" {
            h2 #certificates { "Certificates" }
            (table(&OF_CERTIFICATES, &rows))
        }
    }
}

fn certificates_of(member: &Member, now: Timestamp) -> Markup {
    let ends = member
        .certificates
        .as_ref()
        .map(|told| told.ends.as_slice());
    let instead = match ends {
        None => Some("unknown: it does not answer, or its version does not tell"),
        Some([]) => Some(
            "none: senders are offered no STARTTLS, and peers and operators reach it from its machine alone",
        ),
        Some(_) => None,
    };
    html! {
        @if let Some(words) = instead {
            tr { th scope="row" { (member.id) } td colspan="3" { (words) } }
        }
        @for end in ends.unwrap_or_default() { (certificate(member.id, end, now)) }
    }
}

fn certificate(node: u64, certificate: &CertificateEnd, now: Timestamp) -> Markup {
    let end = Timestamp(certificate.not_after_ms);
    html! {
        tr {
            th scope="row" { (node) }
            td { (certificate.usage) }
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
    use api::admin::v1::Certificates;

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
    fn the_certificates_of_all_who_tell_are_shown_and_those_that_end_soon_are_told_apart() {
        const DAY: u64 = 24 * 3_600_000;
        let member = |id, ends: Option<&[(&str, u64)]>| Member {
            id,
            certificates: ends.map(|ends| Certificates {
                ends: ends
                    .iter()
                    .map(|(usage, days)| CertificateEnd {
                        usage: (*usage).to_owned(),
                        not_after_ms: days * DAY,
                    })
                    .collect(),
            }),
            ..Member::default()
        };
        let cluster = ClusterStatusResponse {
            members: vec![
                member(1, Some(&[("cluster", 30), ("smtp", 12)])),
                member(2, Some(&[("cluster", 10)])),
                member(3, None),
                member(4, Some(&[])),
            ],
            ..ClusterStatusResponse::default()
        };
        let shown = certificates(&cluster, 10 * DAY).into_string();
        for row in [
            "<th scope=\"row\">1</th><td>cluster</td><td>1970-01-31 00:00:00 UTC</td><td class=\"number\">20 d</td>",
            "<th scope=\"row\">1</th><td>smtp</td><td>1970-01-13 00:00:00 UTC</td><td class=\"number\">\
             <strong class=\"warning\">2 d, renew it</strong></td>",
            "<th scope=\"row\">2</th><td>cluster</td><td>1970-01-11 00:00:00 UTC</td><td class=\"number\">\
             <strong class=\"warning\">none</strong></td>",
            "<th scope=\"row\">3</th><td colspan=\"3\">unknown: ",
            "<th scope=\"row\">4</th><td colspan=\"3\">none: ",
        ] {
            assert!(shown.contains(row), "{row} in {shown}");
        }
    }
}
