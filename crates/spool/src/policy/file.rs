//! The policy file as it is written: every key, its default, and what this version can do of it.

use core::{fmt::Display, ops::Range, time::Duration};

use serde::Deserialize;
use toml::Spanned;

use super::{
    DEFAULT_SMTP_PORT, Domain, Order, Policy, PolicyError, Recipients, Tls, host_port,
    line_and_column, name, one_line,
};

/// A primary that takes more than this many sessions from one host is not known; it is a slip.
const CONNECTIONS_MAX: u32 = 1000;
/// Enough to fill a primary's pipeline without being taken for an attack.
const CONNECTIONS_DEFAULT: u32 = 20;
/// Asking more often than this only makes noise on both sides.
const PROBE_INTERVAL_MIN: Duration = Duration::from_millis(100);
/// A primary that is back is found within this time.
const PROBE_INTERVAL_DEFAULT: Duration = Duration::from_secs(15);

/// What is wrong, and the octets of the file it is about.
struct Fault {
    span: Range<usize>,
    message: String,
}

impl Fault {
    fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
        }
    }
}

type Text = Option<Spanned<String>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    queue: Option<QueueTable>,
    domain: Option<Vec<DomainTable>>,
    dsn: Option<DsnTable>,
    alarms: Option<AlarmsTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueTable {
    max_age: Text,
    max_age_total: Text,
    delay_notice_after: Text,
    retain_delivered: Text,
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
    sentry: Option<Spanned<bool>>,
    tls: Text,
    order: Text,
    connections: Option<Spanned<i64>>,
    messages_per_second: Option<Spanned<i64>>,
    probe_interval: Text,
    recovery_guard: Option<Spanned<bool>>,
    xclient: Option<Spanned<bool>>,
    max_queued_messages: Option<Spanned<i64>>,
    max_queued_size: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DsnTable {
    smarthost: Text,
    postmaster: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlarmsTable {
    webhook: Text,
}

pub(super) fn parse(text: &str) -> Result<Policy, PolicyError> {
    let placed = |offset: usize, message: &str| {
        let (line, column) = line_and_column(text, offset);
        PolicyError {
            line,
            column,
            message: one_line(message),
        }
    };
    let file: File = toml::from_str(text)
        .map_err(|error| placed(error.span().map_or(0, |span| span.start), error.message()))?;
    let policy = file
        .policy()
        .map_err(|fault| placed(fault.span.start, &fault.message))?;
    if policy.domains.is_empty() {
        let end = text.trim_end().len();
        return Err(placed(
            end,
            "no domain is named; add [[domain]] with a name and its primary",
        ));
    }
    Ok(policy)
}

impl File {
    fn policy(self) -> Result<Policy, Fault> {
        if let Some(queue) = &self.queue {
            queue.check()?;
        }
        if let Some(dsn) = &self.dsn {
            dsn.check()?;
        }
        if let Some(alarms) = &self.alarms {
            only("webhook", alarms.webhook.as_ref(), "")?;
        }
        let mut domains: Vec<Domain> = Vec::new();
        for table in self.domain.unwrap_or_default() {
            let span = table.name.span();
            let domain = table.domain()?;
            if domains.iter().any(|earlier| earlier.name == domain.name) {
                let message = format!(
                    "\"{}\" is named twice; join the two [[domain]]s",
                    domain.name
                );
                return Err(Fault::new(span, message));
            }
            domains.push(domain);
        }
        Ok(Policy { domains })
    }
}

impl QueueTable {
    fn check(&self) -> Result<(), Fault> {
        only_duration("max_age", self.max_age.as_ref(), "30d")?;
        only_duration("max_age_total", self.max_age_total.as_ref(), "60d")?;
        only_duration("delay_notice_after", self.delay_notice_after.as_ref(), "0s")?;
        only_duration("retain_delivered", self.retain_delivered.as_ref(), "48h")?;
        only_duration("history", self.history.as_ref(), "30d")?;
        only("dsn", self.dsn.as_ref(), "authenticated")
    }
}

impl DsnTable {
    fn check(&self) -> Result<(), Fault> {
        only("smarthost", self.smarthost.as_ref(), "")?;
        let Some(postmaster) = &self.postmaster else {
            return Ok(());
        };
        let address = postmaster.get_ref();
        let sound = address
            .rsplit_once('@')
            .is_some_and(|(local_part, domain)| {
                !local_part.is_empty()
                    && name::normal_domain(domain).is_ok_and(|d| !name::is_wildcard(&d))
            });
        if sound {
            return Ok(());
        }
        let message = format!(
            "postmaster = \"{}\" is not an address; write one such as \"postmaster@example.com\"",
            address.escape_debug()
        );
        Err(Fault::new(postmaster.span(), message))
    }
}

impl DomainTable {
    fn domain(self) -> Result<Domain, Fault> {
        self.check_unsupported()?;
        let name = name::normal_domain(self.name.get_ref())
            .map_err(|message| Fault::new(self.name.span(), format!("name = {message}")))?;
        Ok(Domain {
            primary: primary(self.primary.as_ref(), &self.name)?,
            recipients: Recipients::Any,
            tls: choice(
                "tls",
                self.tls.as_ref(),
                Tls::Opportunistic,
                &[
                    ("off", Some(Tls::Off)),
                    ("opportunistic", Some(Tls::Opportunistic)),
                    ("require", Some(Tls::Require)),
                    ("verify", Some(Tls::Verify)),
                    ("dane", None),
                ],
            )?,
            order: choice(
                "order",
                self.order.as_ref(),
                Order::Recipient,
                &[
                    ("recipient", Some(Order::Recipient)),
                    ("strict", Some(Order::Strict)),
                    ("none", Some(Order::None)),
                ],
            )?,
            connections: number(
                "connections",
                self.connections.as_ref(),
                CONNECTIONS_DEFAULT,
                1..=CONNECTIONS_MAX,
            )?,
            messages_per_second: number(
                "messages_per_second",
                self.messages_per_second.as_ref(),
                0,
                0..=u32::MAX,
            )?,
            probe_interval: probe_interval(self.probe_interval.as_ref())?,
            name,
        })
    }

    fn check_unsupported(&self) -> Result<(), Fault> {
        let modes = &[("any", Some(())), ("list", None), ("verify", None)];
        choice("recipients", self.recipients.as_ref(), (), modes)?;
        only("recipients_file", self.recipients_file.as_ref(), "")?;
        let answers = &[("accept", Some(())), ("defer", None)];
        choice(
            "unknown_while_down",
            self.unknown_while_down.as_ref(),
            (),
            answers,
        )?;
        only("sentry", self.sentry.as_ref(), false)?;
        only("recovery_guard", self.recovery_guard.as_ref(), true)?;
        only("xclient", self.xclient.as_ref(), false)?;
        only("max_queued_messages", self.max_queued_messages.as_ref(), 0)?;
        only("max_queued_size", self.max_queued_size.as_ref(), "0")
    }
}

fn primary(
    hosts: Option<&Spanned<Vec<Spanned<String>>>>,
    name: &Spanned<String>,
) -> Result<Vec<String>, Fault> {
    let Some(hosts) = hosts else {
        let message = format!(
            "\"{}\" has no primary, and finding it by MX records is not supported by this version; \
             add for example primary = [\"mail.example.com:25\"]",
            name.get_ref().escape_debug()
        );
        return Err(Fault::new(name.span(), message));
    };
    if hosts.get_ref().is_empty() {
        let message = "primary names no host; write for example [\"mail.example.com:25\"]";
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
    Ok(interval)
}

fn duration(key: &str, text: &Spanned<String>) -> Result<Duration, Fault> {
    humantime::parse_duration(text.get_ref()).map_err(|_| {
        let message = format!(
            "{key} = \"{}\" is not a duration; write for example \"15s\", \"4h\" or \"30d\"",
            text.get_ref().escape_debug()
        );
        Fault::new(text.span(), message)
    })
}

/// Refuses any value but the one that stands for what this version does.
fn only<T, D>(key: &str, value: Option<&Spanned<T>>, supported: D) -> Result<(), Fault>
where
    T: PartialEq<D> + core::fmt::Debug,
    D: core::fmt::Debug,
{
    let Some(value) = value else { return Ok(()) };
    if *value.get_ref() == supported {
        return Ok(());
    }
    let message = format!(
        "{key} = {:?} is not supported by this version; use {supported:?} or leave it out",
        value.get_ref()
    );
    Err(Fault::new(value.span(), message))
}

fn only_duration(key: &str, value: Option<&Spanned<String>>, supported: &str) -> Result<(), Fault> {
    let Some(value) = value else { return Ok(()) };
    let given = duration(key, value)?;
    if humantime::parse_duration(supported) == Ok(given) {
        return Ok(());
    }
    only(key, Some(value), supported)
}

/// One of several words; those without a meaning are known but not supported by this version.
fn choice<T: Copy>(
    key: &str,
    word: Option<&Spanned<String>>,
    default: T,
    known: &[(&str, Option<T>)],
) -> Result<T, Fault> {
    let Some(word) = word else { return Ok(default) };
    let found = known.iter().find(|(name, _)| name == word.get_ref());
    if let Some((_, Some(meaning))) = found {
        return Ok(*meaning);
    }
    let supported = or_list(
        known
            .iter()
            .filter(|(_, meaning)| meaning.is_some())
            .map(|(name, _)| name),
    );
    let given = word.get_ref().escape_debug();
    let what = if found.is_some() {
        "is not supported by this version"
    } else {
        "is unknown"
    };
    Err(Fault::new(
        word.span(),
        format!("{key} = \"{given}\" {what}; use {supported}"),
    ))
}

fn or_list<T: Display>(words: impl Iterator<Item = T>) -> String {
    let quoted: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

fn number(
    key: &str,
    value: Option<&Spanned<i64>>,
    default: u32,
    range: core::ops::RangeInclusive<u32>,
) -> Result<u32, Fault> {
    let Some(value) = value else {
        return Ok(default);
    };
    u32::try_from(*value.get_ref())
        .ok()
        .filter(|n| range.contains(n))
        .ok_or_else(|| {
            let message = format!(
                "{key} = {} is out of range; {} to {} are possible",
                value.get_ref(),
                range.start(),
                range.end()
            );
            Fault::new(value.span(), message)
        })
}
