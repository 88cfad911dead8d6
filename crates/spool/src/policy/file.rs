//! The policy file as it is written: every key, its default, and what this version can do of it.

use core::{net::SocketAddr, ops::Range, time::Duration};
use std::collections::BTreeSet;

use serde::Deserialize;
use toml::Spanned;

use super::{
    Authentication, DEFAULT_SMTP_PORT, DOCUMENT_BYTES_MAX, Document, Domain, Keeping, NamedList,
    Order, PROBE_INTERVAL_DEFAULT, Policy, PolicyErrors, QUEUE, Quota, Recipients, Tls, WhileDown,
    authentication::AuthenticationTable,
    drill::{DrillTable, canary},
    errors::{Fault, Faults},
    host_port, keeping, line_and_column,
    list::Lists,
    name,
    reports::DsnTable,
    tables::{self, Read},
    values::{choice, duration, number, octets},
    webhook,
};

/// A primary that takes more than this many sessions from one host is not known; it is a slip.
const CONNECTIONS_MAX: u32 = 1000;
/// Enough to fill a primary's pipeline without being taken for an attack.
const CONNECTIONS_DEFAULT: u32 = 20;
/// Every client is asked about at each of them; more than a few differ in nothing but the waiting.
const ZONES_MAX: usize = 8;
/// Asking more often than this only makes noise on both sides.
const PROBE_INTERVAL_MIN: Duration = Duration::from_millis(100);
/// The longest: what is reckoned with it must not exceed what a moment can be.
const PROBE_INTERVAL_MAX: Duration = Duration::from_hours(30 * 24);

type Text = Option<Spanned<String>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    queue: Option<QueueTable>,
    domain: Option<Vec<Spanned<DomainTable>>>,
    authentication: Option<AuthenticationTable>,
    dsn: Option<DsnTable>,
    dnsbl: Option<DnsblTable>,
    alarms: Option<AlarmsTable>,
    drill: Option<DrillTable>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueTable {
    max_age: Text,
    max_age_total: Text,
    delay_notice_after: Text,
    retain_delivered: Text,
    retain_rejected: Text,
    history: Text,
    dsn: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DomainTable {
    name: Spanned<String>,
    primary: Option<Spanned<Vec<Spanned<String>>>>,
    recipients: Text,
    recipients_file: Text,
    unknown_while_down: Text,
    sentry: Option<bool>,
    tls: Text,
    order: Text,
    connections: Option<Spanned<i64>>,
    messages_per_second: Option<Spanned<i64>>,
    probe_interval: Text,
    recovery_guard: Option<bool>,
    xclient: Option<bool>,
    canary: Text,
    max_queued_messages: Option<Spanned<i64>>,
    max_queued_size: Text,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DnsblTable {
    zones: Option<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlarmsTable {
    webhook: Text,
}

pub(super) fn parse(document: &Document, lists: Lists<'_>) -> Result<Policy, PolicyErrors> {
    let text = document.text.as_str();
    let mut faults = Faults::new(text);
    if document.octets() > DOCUMENT_BYTES_MAX {
        let message = format!(
            "the policy and its lists have {} octets; {DOCUMENT_BYTES_MAX} are possible",
            document.octets()
        );
        faults.add(&Fault::new(0..0, message));
        return faults.unless_any(None);
    }
    let policy = tables::read(text, &mut faults)
        .map(|read: Read<File>| read.tables.policy(&read.lacking, lists, &mut faults));
    if faults.is_empty() && policy.as_ref().is_some_and(|p| p.domains.is_empty()) {
        let end = text.trim_end().len();
        let message = "no domain is named; add [[domain]] with a name and its primary";
        faults.add(&Fault::new(end..end, message));
    }
    faults.unless_any(policy)
}

pub(super) fn lists_named(text: &str) -> Vec<NamedList> {
    let read: Option<Read<File>> = tables::read(text, &mut Faults::new(text));
    let domains = read.and_then(|read| read.tables.domain).unwrap_or_default();
    let mut lists: Vec<NamedList> = Vec::new();
    for file in domains
        .iter()
        .filter_map(|table| table.get_ref().list_named())
    {
        let (line, column) = line_and_column(text, file.span().start);
        if !lists.iter().any(|earlier| earlier.name == *file.get_ref()) {
            let name = file.get_ref().clone();
            lists.push(NamedList { name, line, column });
        }
    }
    lists
}

impl File {
    fn policy(
        self,
        lacking: &[Range<usize>],
        mut lists: Lists<'_>,
        faults: &mut Faults<'_>,
    ) -> Policy {
        let queue = self.queue.unwrap_or_default();
        let keeping = queue.keeping(faults);
        let authentication = self
            .authentication
            .map_or_else(Authentication::default, |table| {
                table.authentication(faults)
            });
        let dsn = self.dsn.unwrap_or_default();
        let delay_notice_after = queue.delay_notice_after.as_ref();
        let reports = dsn.reports(queue.dsn.as_ref(), delay_notice_after, faults);
        let webhook = self.alarms.as_ref().and_then(|alarms| {
            let webhook = webhook::webhook(alarms.webhook.as_ref());
            faults.note(webhook).flatten()
        });
        let mut domains: Vec<Domain> = Vec::new();
        let mut names: BTreeSet<String> = BTreeSet::new();
        for table in self.domain.unwrap_or_default() {
            let is_whole = !lacking.contains(&table.span());
            let table = table.into_inner();
            let span = table.name.span();
            let Some(domain) = table.domain(is_whole, &mut lists, faults) else {
                continue;
            };
            if !names.insert(domain.name.clone()) {
                let message = format!(
                    "\"{}\" is named twice; join the two [[domain]]s",
                    domain.name
                );
                faults.add(&Fault::new(span, message));
            }
            domains.push(domain);
        }
        lists.check_all_taken(faults);
        let dnsbl = self.dnsbl.unwrap_or_default().zones(faults);
        let drill = self.drill.unwrap_or_default().drill(faults);
        Policy {
            keeping,
            domains: domains.into(),
            authentication,
            dnsbl,
            webhook,
            reports,
            drill,
        }
    }
}

impl QueueTable {
    fn keeping(&self, faults: &mut Faults<'_>) -> Keeping {
        let written = keeping::Written {
            max_age: self.max_age.as_ref(),
            max_age_total: self.max_age_total.as_ref(),
            retain_delivered: self.retain_delivered.as_ref(),
            retain_rejected: self.retain_rejected.as_ref(),
            history: self.history.as_ref(),
        };
        written.keeping(faults)
    }
}

impl DnsblTable {
    fn zones(self, faults: &mut Faults<'_>) -> Vec<String> {
        let Some(listed) = self.zones else {
            return Vec::new();
        };
        if listed.get_ref().len() > ZONES_MAX {
            let message = format!(
                "zones names {} block lists; {ZONES_MAX} are possible",
                listed.get_ref().len()
            );
            faults.add(&Fault::new(listed.span(), message));
        }
        let mut zones: Vec<String> = Vec::new();
        for written in listed.into_inner() {
            let zone = name::normal_zone(written.get_ref())
                .map_err(|message| Fault::new(written.span(), format!("zones {message}")));
            let Some(zone) = faults.note(zone) else {
                continue;
            };
            if zones.contains(&zone) {
                let message = format!("zones \"{zone}\" is named twice; leave one out");
                faults.add(&Fault::new(written.span(), message));
            }
            zones.push(zone);
        }
        zones
    }
}

/// What `recipients` may be.
#[derive(Clone, Copy)]
enum RecipientsMode {
    Any,
    List,
    Verify,
}

impl DomainTable {
    /// What it says. Of one that is not whole, what it lacks is no mistake.
    fn domain(
        self,
        is_whole: bool,
        lists: &mut Lists<'_>,
        faults: &mut Faults<'_>,
    ) -> Option<Domain> {
        let name = faults.note(
            domain_name(self.name.get_ref())
                .map_err(|message| Fault::new(self.name.span(), format!("name = {message}"))),
        );
        let primary = match &self.primary {
            None if !is_whole => None,
            hosts => faults.note(primary(hosts.as_ref(), &self.name)),
        };
        let recipients = self.recipients(name.as_deref(), lists, faults);
        let tls = self.tls(primary.as_deref().unwrap_or_default(), faults);
        let order = faults.note(choice(
            "order",
            self.order.as_ref(),
            Order::Recipient,
            &[
                ("recipient", Some(Order::Recipient)),
                ("strict", Some(Order::Strict)),
                ("none", Some(Order::None)),
            ],
        ));
        let connections = faults.note(number(
            "connections",
            self.connections.as_ref(),
            CONNECTIONS_DEFAULT,
            1..=CONNECTIONS_MAX,
        ));
        let messages_per_second = faults.note(number(
            "messages_per_second",
            self.messages_per_second.as_ref(),
            0,
            0..=u32::MAX,
        ));
        let probe_interval = faults.note(probe_interval(self.probe_interval.as_ref()));
        let max_messages = faults.note(number(
            "max_queued_messages",
            self.max_queued_messages.as_ref(),
            0,
            0..=u32::MAX,
        ));
        let max_size = faults.note(octets("max_queued_size", self.max_queued_size.as_ref()));
        let canary = match &name {
            Some(name) => faults.note(canary(self.canary.as_ref(), name)),
            None => Some(None),
        };
        Some(Domain {
            name: name?,
            primary: primary?,
            recipients: recipients?,
            sentry: self.sentry.unwrap_or(false),
            tls: tls?,
            order: order?,
            connections: connections?,
            messages_per_second: messages_per_second?,
            probe_interval: probe_interval?,
            quota: Quota {
                messages: max_messages?.into(),
                bytes: max_size?,
            },
            recovery_guard: self.recovery_guard.unwrap_or(true),
            xclient: self.xclient.unwrap_or(false),
            canary: canary?,
        })
    }

    fn tls(&self, primary: &[String], faults: &mut Faults<'_>) -> Option<Tls> {
        let tls = faults.note(choice(
            "tls",
            self.tls.as_ref(),
            Tls::Opportunistic,
            &[
                ("off", Some(Tls::Off)),
                ("opportunistic", Some(Tls::Opportunistic)),
                ("require", Some(Tls::Require)),
                ("verify", Some(Tls::Verify)),
                ("dane", Some(Tls::Dane)),
            ],
        ))?;
        match &self.tls {
            Some(text) if tls == Tls::Dane => {
                faults.note(no_addresses(primary, text)).map(|()| tls)
            }
            _ => Some(tls),
        }
    }

    /// The file that it names, if it names one.
    fn list_named(&self) -> Option<&Spanned<String>> {
        let file = self.recipients_file.as_ref();
        file.filter(|file| !file.get_ref().is_empty())
    }

    fn recipients(
        &self,
        name: Option<&str>,
        lists: &mut Lists<'_>,
        faults: &mut Faults<'_>,
    ) -> Option<Recipients> {
        let unknown_while_down = faults.note(choice(
            "unknown_while_down",
            self.unknown_while_down.as_ref(),
            WhileDown::Accept,
            &[
                ("accept", Some(WhileDown::Accept)),
                ("defer", Some(WhileDown::Defer)),
            ],
        ));
        let mode = faults.note(choice(
            "recipients",
            self.recipients.as_ref(),
            RecipientsMode::Any,
            &[
                ("any", Some(RecipientsMode::Any)),
                ("list", Some(RecipientsMode::List)),
                ("verify", Some(RecipientsMode::Verify)),
            ],
        ))?;
        match (mode, self.list_named()) {
            (RecipientsMode::Any, None) => Some(Recipients::Any),
            (RecipientsMode::Verify, None) => Some(Recipients::Verify {
                unknown_while_down: unknown_while_down?,
            }),
            (RecipientsMode::Any | RecipientsMode::Verify, Some(file)) => {
                let message =
                    "recipients_file belongs to recipients = \"list\"; write that, or leave it out";
                faults.add(&Fault::new(file.span(), message));
                None
            }
            (RecipientsMode::List, Some(file)) => {
                lists.take(file, name, faults).map(Recipients::List)
            }
            (RecipientsMode::List, None) => {
                let place = self.recipients.as_ref().unwrap_or(&self.name).span();
                let message = "recipients = \"list\" needs recipients_file = \"FILE\", with one address a line";
                faults.add(&Fault::new(place, message));
                None
            }
        }
    }
}

fn domain_name(text: &str) -> Result<String, String> {
    let name = name::normal_domain(text)?;
    if name == QUEUE {
        return Err(format!(
            "\"{text}\" is what the queue of reports is called; a domain needs another name"
        ));
    }
    Ok(name)
}

/// No hosts: the domain's MX records name them.
fn primary(
    hosts: Option<&Spanned<Vec<Spanned<String>>>>,
    name: &Spanned<String>,
) -> Result<Vec<String>, Fault> {
    let Some(hosts) = hosts else {
        if name::is_wildcard(name.get_ref()) {
            let message = format!(
                "\"{}\" has no primary, and many domains fall under it, each with MX records of its own; add \
                 for example primary = [\"mail.example.com:25\"], or name each domain that goes by MX records",
                name.get_ref().escape_debug()
            );
            return Err(Fault::new(name.span(), message));
        }
        return Ok(Vec::new());
    };
    if hosts.get_ref().is_empty() {
        let message = "primary names no host; write for example [\"mail.example.com:25\"], or leave it out \
                       and the domain's MX records count";
        return Err(Fault::new(hosts.span(), message));
    }
    let mut primary: Vec<String> = Vec::new();
    for host in hosts.get_ref() {
        let normal = host_port(host.get_ref(), DEFAULT_SMTP_PORT)
            .map_err(|error| Fault::new(host.span(), format!("primary {error}")))?;
        if primary.contains(&normal) {
            let message = format!("primary \"{normal}\" is named twice; leave one out");
            return Err(Fault::new(host.span(), message));
        }
        primary.push(normal);
    }
    Ok(primary)
}

/// TLSA records stand at names.
fn no_addresses(primary: &[String], tls: &Spanned<String>) -> Result<(), Fault> {
    let is_address = |host: &&String| host.parse::<SocketAddr>().is_ok();
    let Some(address) = primary.iter().find(is_address) else {
        return Ok(());
    };
    let message = format!(
        "tls = \"dane\" needs primaries with names, as records in the DNS say which certificate a name has; \
         name the host of \"{address}\", or use \"require\""
    );
    Err(Fault::new(tls.span(), message))
}

fn probe_interval(text: Option<&Spanned<String>>) -> Result<Duration, Fault> {
    let Some(text) = text else {
        return Ok(PROBE_INTERVAL_DEFAULT);
    };
    let interval = duration("probe_interval", text)?;
    if interval < PROBE_INTERVAL_MIN {
        let message = format!(
            "probe_interval = \"{}\" is too short; at least \"100ms\", usually \"15s\"",
            text.get_ref().escape_debug()
        );
        return Err(Fault::new(text.span(), message));
    }
    if interval > PROBE_INTERVAL_MAX {
        let message = format!(
            "probe_interval = \"{}\" is too long; at most \"30d\", usually \"15s\"",
            text.get_ref().escape_debug()
        );
        return Err(Fault::new(text.span(), message));
    }
    Ok(interval)
}
