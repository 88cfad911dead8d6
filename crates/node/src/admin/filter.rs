//! Which messages a list shows.

use api::admin::v1::{QueueEntry, QueueListRequest};
use cluster::Cluster;
use spool::{
    Message, Policy, Recipient, Standing, Status, Timestamp, notice, policy::domain_named,
};

use super::{
    answer::{standing, state},
    recipients::policy_beside,
};

/// A list's request, checked once and applied to each message.
#[derive(Debug)]
pub(super) struct Filter {
    domain: Option<String>,
    sender: Option<String>,
    /// Each of these is of one whom a message is still to be delivered to.
    recipients: Vec<String>,
    state: Option<String>,
    received_until: Option<Timestamp>,
}

impl Filter {
    /// The error says what is wrong with the request and what would be right.
    pub(super) fn new(request: QueueListRequest, now: Timestamp) -> Result<Self, String> {
        let known = ["waiting", "deferred", "held", "rejected"];
        if let Some(state) = request
            .state
            .as_ref()
            .filter(|state| !known.contains(&state.as_str()))
        {
            return Err(format!(
                "state {state:?} is unknown; use {}",
                known.join(", ")
            ));
        }
        Ok(Self {
            domain: request.domain.as_deref().map(domain_named),
            sender: request.sender,
            recipients: request.recipient.into_iter().collect(),
            state: request.state,
            received_until: request
                .older_than_ms
                .map(|age| Timestamp(now.0.saturating_sub(age))),
        })
    }

    /// A filter whose domain there is: in the policy, or with mail that was taken before it left that.
    ///
    /// # Errors
    /// The request makes no sense, or names a domain that there is not.
    pub(super) fn of(
        cluster: &Cluster,
        request: QueueListRequest,
        now: Timestamp,
    ) -> Result<Self, tonic::Status> {
        let mut filter = Self::new(request, now).map_err(tonic::Status::invalid_argument)?;
        if let Some(policy) = cluster.policy() {
            filter.resolve(&policy);
        }
        let of_reports = |name: &&String| name.as_str() == notice::QUEUE;
        if let Some(name) = filter.domain.as_ref().filter(|name| !of_reports(name)) {
            policy_beside(cluster, name)?;
        }
        Ok(filter)
    }

    /// A domain that falls under a wildcard of the policy has no queue of its own: it stands for the recipients
    /// in it.
    fn resolve(&mut self, policy: &Policy) {
        let is_covered = |name: &mut String| {
            let is_wildcard = name.starts_with('*');
            !is_wildcard && policy.domain(name).is_none() && policy.domain_covering(name).is_some()
        };
        if let Some(name) = self.domain.take_if(is_covered) {
            self.recipients.push(format!("@{name}"));
        }
    }

    /// Where a message stands that the filter lets through.
    pub(super) fn selects(&self, message: &Message) -> Option<Standing> {
        if self
            .received_until
            .is_some_and(|until| message.received_at > until)
        {
            return None;
        }
        let standing = standing(message, self.domain.as_deref())?;
        if self
            .state
            .as_ref()
            .is_some_and(|wanted| wanted != state(standing))
        {
            return None;
        }
        if self
            .sender
            .as_ref()
            .is_some_and(|pattern| !matches(pattern, &message.reverse_path.to_string()))
        {
            return None;
        }
        let is_left = |pattern: &String| {
            left(message).any(|recipient| matches(pattern, &recipient.path.to_string()))
        };
        if !self.recipients.iter().all(is_left) {
            return None;
        }
        Some(standing)
    }

    /// Whether every recipient that a message has not been delivered to is of the domain and the address
    /// that the filter names.
    pub(super) fn names_all_left(&self, message: &Message) -> bool {
        left(message).all(|recipient| {
            let is_of_domain = |domain: &String| recipient.domain == *domain;
            let is_named = |pattern: &String| matches(pattern, &recipient.path.to_string());
            self.domain.as_ref().is_none_or(is_of_domain) && self.recipients.iter().all(is_named)
        })
    }

    /// The line for a message; `None` when the filter holds it back.
    pub(super) fn entry(&self, message: &Message) -> Option<QueueEntry> {
        let standing = self.selects(message)?;
        let words = left(message).find_map(|recipient| match &recipient.status {
            Status::Deferred { reason, .. } => Some(reason.clone()),
            Status::Rejected { reply, .. } => Some(reply.clone()),
            Status::Pending | Status::Delivered { .. } | Status::Returned { .. } => None,
        });
        let reason = match &message.hold {
            Some(hold) if !hold.reason.is_empty() => Some(hold.reason.clone()),
            _ => words,
        };
        Some(QueueEntry {
            id: message.id.to_string(),
            received_ms: message.received_at.0,
            sender: message.reverse_path.to_string(),
            recipients: left(message).map(|left| left.path.to_string()).collect(),
            state: state(standing).to_owned(),
            due_ms: match standing {
                Standing::Deferred(until) => Some(until.0),
                Standing::Waiting | Standing::Held | Standing::Rejected => None,
            },
            size: message.body.size,
            attempts: message.attempts,
            reason,
            owed: message.is_owed(),
        })
    }
}

/// The recipients that a message has not been delivered to, nor returned for.
fn left(message: &Message) -> impl Iterator<Item = &Recipient> {
    let recipients = message.recipients.iter();
    recipients.filter(|recipient| match recipient.status {
        Status::Pending | Status::Deferred { .. } | Status::Rejected { .. } => true,
        Status::Delivered { .. } | Status::Returned { .. } => false,
    })
}

/// A whole address, `@example.com` for all of a domain, or `<>` for none.
fn matches(pattern: &str, address: &str) -> bool {
    let address = compared(address);
    match pattern
        .strip_prefix('<')
        .and_then(|inner| inner.strip_suffix('>'))
    {
        Some(inner) => address == compared(inner),
        None if pattern.starts_with('@') => address.ends_with(&compared(pattern)),
        None => address == compared(pattern),
    }
}

/// An address as it is compared: in lower case, its domain as a policy would name it.
fn compared(address: &str) -> String {
    let lower = address.to_ascii_lowercase();
    match lower.rsplit_once('@') {
        Some((local_part, domain)) => format!("{local_part}@{}", domain_named(domain)),
        None => lower,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use smtp::{
        BodyType, ForwardPath, Mailbox, ReversePath,
        dsn::{PerMessage, PerRecipient},
    };
    use spool::{Body, Client, Digest, MessageId};

    use super::*;

    fn mailbox(address: &str) -> Mailbox {
        let (local_part, domain) = address.rsplit_once('@').unwrap();
        Mailbox {
            local_part: local_part.to_owned(),
            domain: domain.to_owned(),
        }
    }

    fn message(recipients: &[(&str, Status)]) -> Message {
        Message {
            id: MessageId::new(1_000, 7),
            sequence: 1,
            received_at: Timestamp(1_000),
            reverse_path: ReversePath::Mailbox(mailbox("Ann@Sender.example")),
            body_type: BodyType::SevenBit,
            smtputf8: false,
            dsn: PerMessage::default(),
            recipients: recipients
                .iter()
                .map(|(address, status)| {
                    let mailbox = mailbox(address);
                    let domain = mailbox.domain.clone();
                    Recipient {
                        path: ForwardPath::Mailbox(mailbox),
                        dsn: PerRecipient::default(),
                        domain,
                        status: status.clone(),
                        host: String::new(),
                        replayed_at: None,
                        owed: None,
                    }
                })
                .collect(),
            body: Body {
                pieces: vec![1],
                size: 5,
                digest: Digest([0; 32]),
            },
            trace: Bytes::new(),
            authentication: None,
            client: Client {
                address: ([192, 0, 2, 1], 9).into(),
                helo: "x".to_owned(),
                tls: None,
            },
            attempts: 1,
            attempted_at: None,
            hold: None,
            tries: Vec::new(),
            renewed_at: None,
            delay_told_at: None,
        }
    }

    fn shows(request: QueueListRequest, message: &Message) -> bool {
        Filter::new(request, Timestamp(61_000))
            .unwrap()
            .entry(message)
            .is_some()
    }

    fn mixed() -> Message {
        message(&[
            (
                "a@one.example",
                Status::Delivered {
                    at: Timestamp(2),
                    reply: "250 ok".to_owned(),
                },
            ),
            (
                "b@one.example",
                Status::Rejected {
                    at: Timestamp(2),
                    reply: "550 no".to_owned(),
                },
            ),
            (
                "c@two.example",
                Status::Deferred {
                    until: Timestamp(9),
                    reason: "451".to_owned(),
                },
            ),
        ])
    }

    #[test]
    fn an_entry_names_who_is_left_and_what_comes_next() {
        let all = Filter::new(QueueListRequest::default(), Timestamp(0)).unwrap();
        let entry = all.entry(&mixed()).unwrap();
        assert_eq!(entry.recipients, ["b@one.example", "c@two.example"]);
        assert_eq!((entry.state.as_str(), entry.due_ms), ("deferred", Some(9)));
        assert_eq!(entry.reason.as_deref(), Some("550 no"));
    }

    #[test]
    fn the_state_is_that_of_the_domain_that_was_asked_for() {
        let request = |domain: &str, state: &str| QueueListRequest {
            domain: Some(domain.to_owned()),
            state: Some(state.to_owned()),
            ..QueueListRequest::default()
        };
        assert!(shows(request("One.example", "rejected"), &mixed()));
        assert!(!shows(request("one.example", "deferred"), &mixed()));
        assert!(shows(request("two.example", "deferred"), &mixed()));
        assert!(!shows(request("three.example", "deferred"), &mixed()));
    }

    #[test]
    fn senders_and_recipients_are_compared_without_case() {
        let from = |sender: &str| QueueListRequest {
            sender: Some(sender.to_owned()),
            ..QueueListRequest::default()
        };
        assert!(shows(from("ann@sender.example"), &mixed()));
        assert!(shows(from("<Ann@Sender.example>"), &mixed()));
        assert!(shows(from("@SENDER.example"), &mixed()));
        assert!(!shows(from("@er.example"), &mixed()));
        assert!(!shows(from("<>"), &mixed()));
        let to = |recipient: &str| QueueListRequest {
            recipient: Some(recipient.to_owned()),
            ..QueueListRequest::default()
        };
        assert!(shows(to("B@one.example"), &mixed()));
        assert!(!shows(to("a@one.example"), &mixed()), "already delivered");
    }

    #[test]
    fn either_form_of_a_domain_finds_both() {
        let pending = |address| message(&[(address, Status::Pending)]);
        let mut written = pending("gr\u{fc}n@B\u{dc}CHER.example");
        let mut in_ascii = pending("gr\u{fc}n@xn--bcher-kva.example");
        for message in [&mut written, &mut in_ascii] {
            message.reverse_path = ReversePath::Mailbox(mailbox("a@m\u{fc}ller.example"));
            message.recipients[0].domain = "xn--bcher-kva.example".to_owned();
        }
        for (domain, sender, recipient) in [
            (Some("b\u{fc}cher.example"), None, None),
            (Some("XN--BCHER-KVA.example."), None, None),
            (None, Some("a@xn--mller-kva.example"), None),
            (None, Some("<A@m\u{fc}ller.example>"), None),
            (None, Some("@m\u{fc}ller.example"), None),
            (None, None, Some("gr\u{fc}n@b\u{fc}cher.example")),
            (None, None, Some("@xn--bcher-kva.example")),
        ] {
            let request = QueueListRequest {
                domain: domain.map(str::to_owned),
                sender: sender.map(str::to_owned),
                recipient: recipient.map(str::to_owned),
                ..QueueListRequest::default()
            };
            assert!(shows(request.clone(), &written), "{request:?}");
            assert!(shows(request.clone(), &in_ascii), "{request:?}");
            assert!(!shows(request.clone(), &mixed()), "{request:?}");
        }
    }

    #[test]
    fn a_message_that_others_wait_for_is_not_all_of_a_filter() {
        let names_all = |domain: Option<&str>, recipient: Option<&str>| {
            let request = QueueListRequest {
                domain: domain.map(str::to_owned),
                recipient: recipient.map(str::to_owned),
                ..QueueListRequest::default()
            };
            let filter = Filter::new(request, Timestamp(0)).unwrap();
            filter.names_all_left(&mixed())
        };
        assert!(names_all(None, None));
        assert!(!names_all(Some("one.example"), None));
        assert!(!names_all(Some("two.example"), None));
        assert!(!names_all(None, Some("b@one.example")));
        let mut only_one = mixed();
        only_one.recipients.pop();
        let request = QueueListRequest {
            domain: Some("One.example".to_owned()),
            recipient: Some("B@one.example".to_owned()),
            ..QueueListRequest::default()
        };
        let filter = Filter::new(request, Timestamp(0)).unwrap();
        assert!(filter.names_all_left(&only_one), "who has it does not wait");
    }

    #[test]
    fn a_domain_below_a_wildcard_stands_for_its_recipients() {
        let domain = |name| format!("[[domain]]\nname = \"{name}\"\nprimary = [\"mx\"]\n");
        let policy = ["*.wild.example", "own.wild.example"].map(domain).concat();
        let policy = Policy::parse(&policy).unwrap();
        let filter = |name: &str| {
            let request = QueueListRequest {
                domain: Some(name.to_owned()),
                ..QueueListRequest::default()
            };
            let mut filter = Filter::new(request, Timestamp(0)).unwrap();
            filter.resolve(&policy);
            filter
        };
        let message = |addresses: &[&str]| {
            let recipients: Vec<_> = addresses.iter().map(|it| (*it, Status::Pending)).collect();
            let mut message = message(&recipients);
            for recipient in &mut message.recipients {
                recipient.domain = "*.wild.example".to_owned();
            }
            message
        };
        let one = message(&["ann@a.wild.example"]);
        let both = message(&["ann@a.wild.example", "bob@b.wild.example"]);
        for (name, of_one, of_both) in [
            ("A.wild.example", true, true),
            ("b.wild.example", false, true),
            ("*.wild.example", true, true),
            ("own.wild.example", false, false),
        ] {
            let filter = filter(name);
            let selected = [&one, &both].map(|message| filter.selects(message).is_some());
            assert_eq!(selected, [of_one, of_both], "{name}");
        }
        assert!(filter("a.wild.example").names_all_left(&one));
        assert!(!filter("a.wild.example").names_all_left(&both));
    }

    #[test]
    fn age_counts_from_the_receipt() {
        let older = |age| QueueListRequest {
            older_than_ms: Some(age),
            ..QueueListRequest::default()
        };
        assert!(shows(older(60_000), &mixed()));
        assert!(!shows(older(60_001), &mixed()));
    }

    #[test]
    fn an_unknown_state_is_refused() {
        let request = QueueListRequest {
            state: Some("new".to_owned()),
            ..Default::default()
        };
        let error = Filter::new(request, Timestamp(0)).unwrap_err();
        assert_eq!(
            error,
            "state \"new\" is unknown; use waiting, deferred, held, rejected"
        );
    }
}
