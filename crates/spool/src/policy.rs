//! Everything on which all nodes must agree: whose mail is taken, and where it goes.

mod authentication;
mod document;
mod domains;
mod drill;
mod errors;
mod file;
mod in_force;
mod keeping;
mod list;
mod name;
mod position;
mod quota;
mod reports;
mod tables;
#[cfg(test)]
mod tests;
mod values;
mod webhook;

use core::time::Duration;

use smtp::{ForwardPath, Mailbox};

pub use authentication::Authentication;
pub use document::{DOCUMENT_BYTES_MAX, Document, NamedList, lists_named};
pub use domains::Domains;
pub use drill::Drill;
pub use errors::{PolicyError, PolicyErrors};
pub use in_force::InForce;
pub use keeping::Keeping;
pub use list::{LISTED_MAX, List};
pub use name::{DEFAULT_SMTP_PORT, HostPortError, domain_named, host_port, in_ascii};
pub use position::{line_and_column, one_line};
pub use quota::Quota;
pub use reports::{QUEUE, ReportTo, Reports};
pub use values::size;
pub use webhook::Webhook;

/// What a policy says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// How long mail is kept.
    pub keeping: Keeping,
    /// The domains whose mail is taken.
    pub domains: Domains,
    /// What is found out about the origin of mail.
    pub authentication: Authentication,
    /// Block lists in the DNS, by their zones, lower case. Clients that stand on one are put off.
    pub dnsbl: Vec<String>,
    /// Where alarms are told, if anywhere.
    pub webhook: Option<Webhook>,
    /// Who is told of mail that fails, and how.
    pub reports: Reports,
    /// When drills are held by themselves.
    pub drill: Drill,
}

/// A primary that is back is found within this time, where the policy says nothing of it.
const PROBE_INTERVAL_DEFAULT: Duration = Duration::from_secs(15);

/// One domain whose mail is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// `example.com`, or `*.example.com` for every subdomain; ASCII, lower case.
    pub name: String,
    /// Hosts to deliver to, `host:port`, tried in order. Empty: those that the domain's MX records name.
    pub primary: Vec<String>,
    /// Whom to take mail for.
    pub recipients: Recipients,
    /// Whether senders are sent to the primary while it is up.
    pub sentry: bool,
    /// How deliveries are protected.
    pub tls: Tls,
    /// What order deliveries keep.
    pub order: Order,
    /// Connections to the primary at most, with those of other domains at the same host.
    pub connections: u32,
    /// Messages a second at most; 0 is no limit.
    pub messages_per_second: u32,
    /// How often a primary that is down is asked whether it is back.
    pub probe_interval: Duration,
    /// How much of its mail may be queued.
    pub quota: Quota,
    /// Whether the first answers after an outage are a trial ([`guard`](crate::guard)).
    pub recovery_guard: bool,
    /// Whether the primary is told who brought a message, where it offers XCLIENT or XFORWARD.
    pub xclient: bool,
    /// Whom drills go to; ASCII.
    pub canary: Option<Mailbox>,
}

/// Whom a domain takes mail for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// Every local part.
    Any,
    /// Those that are listed, and postmaster.
    List(List),
    /// Those whom the primary knows: it is asked, and its answers are remembered.
    Verify {
        /// What one gets of whom nothing is known while the primary is down.
        unknown_while_down: WhileDown,
    },
}

/// What becomes of a recipient of whom nothing is known while his primary can not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhileDown {
    /// Mail for him is taken, and the primary decides when it is back.
    Accept,
    /// The sender is to come again.
    Defer,
}

/// How deliveries to a primary are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tls {
    /// Never.
    Off,
    /// Where the primary offers it, with any certificate.
    Opportunistic,
    /// Always, with any certificate.
    Require,
    /// Always, with a certificate that a public authority issued for the host's name.
    Verify,
    /// With a certificate that signed records in the DNS name, always; where there are none, as
    /// `Opportunistic` (RFC 7672).
    Dane,
}

/// What order deliveries keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Arrival order for each recipient.
    Recipient,
    /// Arrival order for the whole domain: one message at a time.
    Strict,
    /// None.
    None,
}

/// `user%elsewhere@ours`, `elsewhere!user@ours` and `"user@elsewhere"@ours` ask whoever takes them to
/// send the mail on. A primary that trusts this host would, and one that normalises what is beyond
/// ASCII reads the small and the wide forms of these characters as the characters (Unicode, NFKC).
const ROUTES: [char; 9] = [
    '@', '%', '!', '\u{ff20}', '\u{ff05}', '\u{ff01}', '\u{fe6b}', '\u{fe6a}', '\u{fe57}',
];

/// The recipient's domain is not in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOurs;

impl Policy {
    /// Reads a policy file's text that names no other file.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, PolicyErrors> {
        Document::of_text(text).policy()
    }

    /// The policy's domain that a recipient falls under. An exact name wins over a wildcard, a
    /// longer wildcard over a shorter one. `<Postmaster>` without a domain falls under the first.
    ///
    /// The policy's names are ASCII. A domain in the characters of its own script is compared in the form
    /// that the DNS has of it ([`in_ascii`]).
    ///
    /// # Errors
    /// [`NotOurs`] when taking it would make this an open relay.
    pub fn domain_of(&self, path: &ForwardPath) -> Result<&Domain, NotOurs> {
        let mailbox = match path {
            ForwardPath::Postmaster => return self.domains.first().ok_or(NotOurs),
            ForwardPath::Mailbox(mailbox) => mailbox,
        };
        if mailbox.local_part.contains(ROUTES) {
            return Err(NotOurs);
        }
        self.domain_covering(&mailbox.domain).ok_or(NotOurs)
    }

    /// The policy's domain that mail for a domain, in any case, falls under.
    #[must_use]
    pub fn domain_covering(&self, domain: &str) -> Option<&Domain> {
        self.domains.covering(&in_ascii(domain)?)
    }

    /// The policy's domains that mail for a domain, in any case, or for any below it may fall under,
    /// in the order of the file.
    #[must_use]
    pub fn domains_below(&self, domain: &str) -> Vec<&Domain> {
        let Some(domain) = in_ascii(domain) else {
            return Vec::new();
        };
        let covering = self.domain_covering(&domain).map(|own| own.name.as_str());
        self.domains
            .iter()
            .filter(|own| name::is_below(&own.name, &domain) || Some(own.name.as_str()) == covering)
            .collect()
    }

    /// The domain of that name in the policy; the queue of reports is one where a smarthost takes them.
    #[must_use]
    pub fn domain(&self, name: &str) -> Option<&Domain> {
        let queue = || self.reports.queue().filter(|queue| queue.name == name);
        self.domains.named(name).or_else(queue)
    }

    /// Everything that mail is delivered for by the policy: its domains, and the queue of reports where a
    /// smarthost takes them.
    pub fn queues(&self) -> impl Iterator<Item = &Domain> {
        self.domains.iter().chain(self.reports.queue())
    }
}

impl Domain {
    /// Whether it has a recipient that falls under it, as far as the policy itself knows. It always
    /// has a postmaster (RFC 5321 section 4.5.1). What a subaddress such as `user+tag` belongs to is
    /// not known here: it is an address like others.
    #[must_use]
    pub fn has(&self, path: &ForwardPath) -> bool {
        match (&self.recipients, path) {
            (Recipients::List(list), ForwardPath::Mailbox(mailbox)) => {
                path.is_postmaster() || list.has(mailbox)
            }
            _ => true,
        }
    }
}
