//! From the spool's and the cluster's types to the admin service's.

use std::{collections::BTreeMap, time::Duration};

use api::admin::v1::{
    Authentication, Certificates, Client, ClusterStatusResponse, DomainStatus, ExpiringMessages,
    Expiry, Hold, Member, Pause, PrimaryOffers, QueueShowResponse, Quota, Recipient, Replica,
    authentication::Signature,
};
use cluster::{CertificateEnd, ClusterStatus, MemberStatus};
use smtp::BodyType;
use spool::{
    Destination, KnownOffers, Message, Reachability, Standing, Status, Timestamp, notice::Kind,
};

use super::delivery;

/// One domain, without its oldest message.
pub(super) fn domain(
    name: String,
    primary: Vec<String>,
    destination: &Destination,
    now: Timestamp,
) -> DomainStatus {
    let (state, reason) = match &destination.reachability {
        Reachability::Up => ("up", None),
        Reachability::Down(reason) => ("down", Some(reason.clone())),
    };
    DomainStatus {
        name,
        primary,
        primary_state: state.to_owned(),
        since_ms: (destination.since != Timestamp(0)).then_some(destination.since.0),
        reason,
        waiting: destination.totals.waiting,
        deferred: destination.totals.deferred,
        rejected: destination.totals.rejected,
        bytes: destination.totals.bytes,
        oldest_ms: None,
        in_policy: false,
        offers: destination.learned.map(offers),
        recipients: None,
        held: destination.totals.held,
        paused: destination.pause_at(now).map(|pause| Pause {
            since_ms: pause.since.0,
            until_ms: pause.until.map(|until| until.0),
            by: pause.by.clone(),
            reason: pause.reason.clone(),
        }),
        condition: destination.condition(now).word().to_owned(),
        guard: destination.guard.as_deref().map(delivery::guard),
        delivery: None,
        expiring: None,
        quota: None,
    }
}

/// How much of a domain's mail may be queued, if there is a limit.
pub(super) fn quota(quota: spool::policy::Quota, destination: &Destination) -> Option<Quota> {
    quota.is_set().then(|| Quota {
        messages: quota.messages,
        bytes: quota.bytes,
        is_reached: quota.is_reached(&destination.totals),
    })
}

fn offers(learned: KnownOffers) -> PrimaryOffers {
    let KnownOffers { offers, since } = learned;
    let extensions = [
        (offers.eight_bit_mime, "8BITMIME"),
        (offers.smtputf8, "SMTPUTF8"),
        (offers.chunking, "CHUNKING"),
        (offers.binary_mime, "BINARYMIME"),
        (offers.dsn, "DSN"),
    ];
    PrimaryOffers {
        since_ms: since.0,
        size_max: offers.size_max,
        extensions: extensions
            .into_iter()
            .filter(|(offered, _)| *offered)
            .map(|(_, name)| name.to_owned())
            .collect(),
    }
}

/// The cluster with its members in order of id, and the certificates of those who told of theirs.
pub(super) fn cluster(
    status: &ClusterStatus,
    ends: &BTreeMap<u64, Vec<CertificateEnd>>,
) -> ClusterStatusResponse {
    let leader = status.leadership.leader;
    let members = status.members.iter().map(|own| Member {
        certificates: ends.get(&own.id).map(|ends| certificates(ends)),
        ..member(own, leader)
    });
    let mut members: Vec<Member> = members.collect();
    members.sort_by_key(|member| member.id);
    ClusterStatusResponse {
        cluster: status.cluster.map(|name| format!("{name:032x}")),
        node_id: status.node_id,
        term: status.leadership.term,
        leader: status.leadership.leader,
        accepting: status.accepting,
        last_log_index: status.last_log_index,
        last_applied_index: status.last_applied_index,
        free_bytes: status.disk.free_bytes,
        members,
    }
}

fn member(member: &MemberStatus, leader: Option<u64>) -> Member {
    let role = match member.voter {
        _ if leader == Some(member.id) => "leader",
        true => "follower",
        false => "learner",
    };
    Member {
        id: member.id,
        address: member.address.clone(),
        role: role.to_owned(),
        lag: member.lag,
        silent_ms: member.silent_ms,
        free_bytes: member.disk.map(|disk| disk.free_bytes),
        certificates: None,
    }
}

/// Until when a node's certificates are valid.
fn certificates(ends: &[CertificateEnd]) -> Certificates {
    let ends = ends.iter().map(|end| api::admin::v1::CertificateEnd {
        usage: end.usage.clone(),
        not_after_ms: end.not_after.0,
    });
    Certificates {
        ends: ends.collect(),
    }
}

/// One member's copy of the spool, or why it did not tell.
pub(super) fn replica(replica: cluster::Replica) -> Replica {
    let (digest, failure) = match replica.digest {
        Ok(digest) => (Some(digest), None),
        Err(why) => (None, Some(why)),
    };
    Replica {
        id: replica.id,
        address: replica.address,
        applied_index: digest.map(|digest| digest.applied_index),
        rows: digest.map(|digest| digest.rows),
        digest: digest.map(|digest| hexadecimal(&digest.sha256)),
        failure,
    }
}

/// Words, if any were said.
pub(super) fn said(words: &str) -> Option<String> {
    (!words.is_empty()).then(|| words.to_owned())
}

/// Two digits for each octet.
pub(super) fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Where a message stands in all its queues, or in one: what is nearest to be tried counts.
pub(super) fn standing(message: &Message, domain: Option<&str>) -> Option<Standing> {
    match domain {
        Some(domain) => message.standing(domain),
        None => message
            .domains()
            .into_iter()
            .filter_map(|d| message.standing(d))
            .min(),
    }
}

/// The service's word for it.
pub(super) const fn state(standing: Standing) -> &'static str {
    match standing {
        Standing::Waiting => "waiting",
        Standing::Deferred(_) => "deferred",
        Standing::Held => "held",
        Standing::Rejected => "rejected",
    }
}

/// The service's word for how a message stands that is in the spool. One that is delivered, or returned, to all
/// stays until its sender knows.
pub(super) fn state_of(message: &Message) -> &'static str {
    standing(message, None).map_or("reporting", state)
}

/// One message with the beginning of its body, of which `head_max` octets were asked for.
pub(super) fn message(message: &Message, head: &[u8], head_max: usize) -> QueueShowResponse {
    let (header, header_cut) = header(head, head_max, message.body.size);
    let trace = String::from_utf8_lossy(&message.trace);
    QueueShowResponse {
        id: message.id.to_string(),
        sequence: message.sequence,
        received_ms: message.received_at.0,
        sender: message.reverse_path.to_string(),
        body_type: match message.body_type {
            BodyType::SevenBit => "7bit",
            BodyType::EightBitMime => "8bitmime",
            BodyType::BinaryMime => "binarymime",
        }
        .to_owned(),
        size: message.body.size,
        digest: hexadecimal(&message.body.digest.0),
        state: state_of(message).to_owned(),
        recipients: message.recipients.iter().map(recipient).collect(),
        attempts: message.attempts,
        attempted_ms: message.attempted_at.map(|at| at.0),
        client: Some(client(&message.client)),
        header: format!("{trace}{header}"),
        header_cut,
        authentication: message
            .authentication
            .as_ref()
            .map(|evidence| authentication(evidence, message.is_authenticated())),
        hold: message.hold.as_ref().map(|hold| Hold {
            since_ms: hold.at.0,
            by: hold.by.clone(),
            reason: hold.reason.clone(),
        }),
        expiry: None,
    }
}

fn authentication(evidence: &spool::Authentication, authenticated: bool) -> Authentication {
    let signature = |signature: &spool::authentication::Signature| Signature {
        domain: signature.domain.clone(),
        result: signature.finding.to_string(),
    };
    Authentication {
        spf: evidence.spf.to_string(),
        spf_helo: evidence.spf_helo.to_string(),
        dkim: evidence.dkim.iter().map(signature).collect(),
        dmarc: evidence.dmarc.to_string(),
        from_domain: evidence.from_domain.clone(),
        authenticated,
    }
}

/// When a message is given up.
pub(super) fn expiry(expiry: spool::Expiry, now: Timestamp) -> Expiry {
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    Expiry {
        counted_age_ms: millis(expiry.counted),
        at_ms: expiry.at.0,
        left_ms: millis(expiry.at.since(now)),
        is_suspended: expiry.is_suspended,
    }
}

/// A domain's messages that expire soon.
pub(super) const fn expiring(expiring: cluster::Expiring) -> ExpiringMessages {
    ExpiringMessages {
        messages: expiring.messages,
        first_ms: expiring.first.0,
    }
}

/// Who brought a message.
pub(super) fn client(client: &spool::Client) -> Client {
    Client {
        address: client.address.to_string(),
        helo: client.helo.clone(),
        tls: client.tls.clone(),
    }
}

/// One recipient and how far it has come.
pub(super) fn recipient(recipient: &spool::Recipient) -> Recipient {
    let (status, at_ms, reply) = match &recipient.status {
        Status::Pending => ("pending", None, None),
        Status::Deferred { until, reason } => ("deferred", Some(until.0), Some(reason)),
        Status::Delivered { at, reply } => ("delivered", Some(at.0), Some(reply)),
        Status::Rejected { at, reply } => ("rejected", Some(at.0), Some(reply)),
        Status::Returned { at, reply, .. } => ("returned", Some(at.0), Some(reply)),
    };
    Recipient {
        address: recipient.path.to_string(),
        domain: recipient.domain.clone(),
        status: status.to_owned(),
        at_ms,
        reply: reply.cloned(),
        host: said(&recipient.host),
        replayed_ms: recipient.replayed_at.map(|at| at.0),
        owed: recipient.owed.map(|kind| notice(kind).to_owned()),
        report: match &recipient.status {
            Status::Returned { report, .. } => report.map(|id| id.to_string()),
            _ => None,
        },
    }
}

/// What a sender is to be told, in the words of RFC 3464 section 2.3.3.
const fn notice(kind: Kind) -> &'static str {
    match kind {
        Kind::Failed => "failed",
        Kind::Delayed => "delayed",
        Kind::Relayed => "relayed",
    }
}

/// The header out of the beginning of a body, and whether it goes on behind it.
fn header(head: &[u8], head_max: usize, body_size: u64) -> (String, bool) {
    let head = head.get(..head_max).unwrap_or(head);
    // A body may begin with the empty line that ends the header (RFC 5322 section 2.1).
    let end = if head.starts_with(b"\r\n") {
        Some(0)
    } else {
        head.windows(4)
            .position(|octets| octets == b"\r\n\r\n")
            .map(|at| at.saturating_add(2))
    };
    let header = end.and_then(|end| head.get(..end)).unwrap_or(head);
    let more = u64::try_from(head.len()).is_ok_and(|shown| shown < body_size);
    (
        String::from_utf8_lossy(header).into_owned(),
        end.is_none() && more,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_primary_offers_is_told_by_its_keywords() {
        let learned = KnownOffers {
            offers: spool::Offers {
                size_max: Some(1000),
                smtputf8: true,
                dsn: true,
                ..spool::Offers::default()
            },
            since: Timestamp(7),
        };
        let told = offers(learned);
        assert_eq!((told.since_ms, told.size_max), (7, Some(1000)));
        assert_eq!(told.extensions, ["SMTPUTF8", "DSN"]);
    }

    #[test]
    fn the_header_ends_at_the_first_empty_line() {
        let body = b"Subject: x\r\nTo: y\r\n\r\nbody\r\n\r\n";
        assert_eq!(
            header(body, 100, 30),
            ("Subject: x\r\nTo: y\r\n".to_owned(), false)
        );
        assert_eq!(header(b"\r\nbody\r\n\r\n", 100, 10), (String::new(), false));
        assert_eq!(header(b"", 100, 0), (String::new(), false));
    }

    #[test]
    fn a_header_longer_than_the_limit_is_cut_and_said_to_be() {
        assert_eq!(
            header(b"Subject: long\r\n", 8, 15),
            ("Subject:".to_owned(), true)
        );
        assert_eq!(
            header(b"Subject: x\r\n", 100, 12),
            ("Subject: x\r\n".to_owned(), false)
        );
    }
}
