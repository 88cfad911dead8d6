//! Who is told of mail that fails, and how those reports leave.

use core::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::{
    DEFAULT_SMTP_PORT, Domain, Order, PROBE_INTERVAL_DEFAULT, Quota, Recipients, Tls,
    errors::{Fault, Faults},
    host_port, name,
    values::{choice, duration},
};

/// The queue in which reports wait that go to the senders' own hosts, or to the smarthost. No domain of a
/// policy has this name.
pub const QUEUE: &str = "dsn";

/// Connections to the smarthost: reports are few, and nobody waits for one.
const CONNECTIONS: u32 = 5;

/// Which senders are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReportTo {
    /// All.
    Always,
    /// Those who have surely sent what they are told of ([`Message::is_authenticated`](crate::Message::is_authenticated)).
    #[default]
    Authenticated,
    /// None.
    Never,
}

/// How senders are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reports {
    /// Which of them.
    pub to: ReportTo,
    /// A sender is told once that his message waits for so long; zero: never.
    pub delay_notice_after: Duration,
    /// `host:port` that takes all reports; `None` when each goes to the hosts of its own recipient.
    pub smarthost: Option<String>,
    /// Whom reports name as their author; `None` for the postmaster of the node that writes one.
    pub postmaster: Option<String>,
    /// The queue of reports as a domain whose primary is the smarthost.
    queue: Option<Box<Domain>>,
}

impl Reports {
    /// The queue of reports ([`QUEUE`]) as a domain whose primary is the smarthost; `None` when there is
    /// none.
    #[must_use]
    pub fn queue(&self) -> Option<&Domain> {
        self.queue.as_deref()
    }
}

type Text = Option<Spanned<String>>;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DsnTable {
    smarthost: Text,
    postmaster: Text,
}

impl DsnTable {
    /// What it says, together with the keys of `[queue]` that belong to it.
    pub(super) fn reports(
        self,
        dsn: Option<&Spanned<String>>,
        delay_notice_after: Option<&Spanned<String>>,
        faults: &mut Faults<'_>,
    ) -> Reports {
        let to = faults.note(choice(
            "dsn",
            dsn,
            ReportTo::default(),
            &[
                ("always", Some(ReportTo::Always)),
                ("authenticated", Some(ReportTo::Authenticated)),
                ("never", Some(ReportTo::Never)),
            ],
        ));
        let delay_notice_after = delay_notice_after
            .and_then(|text| faults.note(duration("delay_notice_after", text)))
            .unwrap_or_default();
        let smarthost = said(self.smarthost).and_then(|text| {
            let normal = host_port(text.get_ref(), DEFAULT_SMTP_PORT)
                .map_err(|error| Fault::new(text.span(), format!("smarthost {error}")));
            faults.note(normal)
        });
        let postmaster = said(self.postmaster).and_then(|text| faults.note(address(text)));
        let queue = smarthost.clone().map(queue_by).map(Box::new);
        Reports {
            to: to.unwrap_or_default(),
            delay_notice_after,
            smarthost,
            postmaster,
            queue,
        }
    }
}

/// An empty text says as much as none.
fn said(text: Text) -> Text {
    text.filter(|text| !text.get_ref().is_empty())
}

fn address(text: Spanned<String>) -> Result<String, Fault> {
    let breaks_a_field = |c: char| c.is_control() || c.is_whitespace() || c == '<' || c == '>';
    let is_sound = text
        .get_ref()
        .rsplit_once('@')
        .is_some_and(|(local_part, domain)| {
            !local_part.is_empty()
                && !local_part.contains(breaks_a_field)
                && domain.is_ascii()
                && name::normal_domain(domain).is_ok_and(|d| !name::is_wildcard(&d))
        });
    if is_sound {
        return Ok(text.into_inner());
    }
    let message = format!(
        "postmaster = \"{}\" is not an address; write one such as \"postmaster@example.com\"",
        text.get_ref().escape_debug()
    );
    Err(Fault::new(text.span(), message))
}

/// A smarthost is a relay like any other, and not known for anybody's mail: there is no order to keep, and
/// nothing to learn from its refusals.
fn queue_by(smarthost: String) -> Domain {
    Domain {
        name: QUEUE.to_owned(),
        primary: vec![smarthost],
        recipients: Recipients::Any,
        sentry: false,
        tls: Tls::Opportunistic,
        order: Order::None,
        connections: CONNECTIONS,
        messages_per_second: 0,
        probe_interval: PROBE_INTERVAL_DEFAULT,
        quota: Quota::default(),
        recovery_guard: false,
        xclient: false,
        canary: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;

    const PLAIN: &str = "[[domain]]\nname = \"example.com\"\nprimary = [\"mail.example.com\"]\n";

    fn with(lines: &str) -> String {
        format!("{PLAIN}{lines}\n")
    }

    #[test]
    fn reports_go_to_authenticated_senders_by_their_own_hosts_unless_said_otherwise() {
        let policy = Policy::parse(&with("")).unwrap();
        assert_eq!(policy.reports, Reports::default());
        assert_eq!(policy.reports.to, ReportTo::Authenticated);
        assert!(policy.reports.delay_notice_after.is_zero());
        assert_eq!(policy.domain(QUEUE), None);
        let said = "[queue]\ndsn = \"always\"\ndelay_notice_after = \"4h\"\n[dsn]\nsmarthost = \"Relay.example.\"\n\
                    postmaster = \"pm@example.com\"";
        let policy = Policy::parse(&with(said)).unwrap();
        let reports = &policy.reports;
        assert_eq!(reports.to, ReportTo::Always);
        assert_eq!(reports.delay_notice_after, Duration::from_secs(4 * 3600));
        assert_eq!(reports.smarthost.as_deref(), Some("relay.example:25"));
        assert_eq!(reports.postmaster.as_deref(), Some("pm@example.com"));
    }

    #[test]
    fn a_smarthost_is_the_primary_of_the_queue_of_reports_and_of_nothing_that_is_addressed() {
        let policy = Policy::parse(&with("[dsn]\nsmarthost = \"relay.example\"")).unwrap();
        let queue = policy.domain(QUEUE).unwrap();
        assert_eq!(queue.primary, ["relay.example:25"]);
        assert_eq!(policy.queues().count(), policy.domains.len() + 1);
        assert_eq!(policy.domain_covering(QUEUE), None);
    }

    #[test]
    fn mistakes_about_reports_are_named_with_their_place() {
        for (lines, expected) in [
            (
                "[queue]\ndelay_notice_after = \"soon\"",
                "5:22: delay_notice_after = \"soon\" is not a duration",
            ),
            (
                "[dsn]\nsmarthost = \"x:0\"",
                "5:13: smarthost \"x:0\" has no valid port",
            ),
            (
                "[[domain]]\nname = \"DSN\"\nprimary = [\"x\"]",
                "5:8: name = \"DSN\" is what the queue of reports is called",
            ),
            (
                "[dsn]\npostmaster = \"a\\nb@c\"",
                "5:14: postmaster = \"a\\nb@c\" is not an address",
            ),
        ] {
            let complaint = Policy::parse(&with(lines)).unwrap_err().to_string();
            assert!(complaint.starts_with(expected), "{complaint}");
        }
    }
}
