//! What the inbound side counts.

use core::time::Duration;

use prometheus_client::{
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use spool::Finding;

use super::refused::Reason;

type Results = Family<[(&'static str, &'static str); 1], Counter>;
type MethodResults = Family<[(&'static str, &'static str); 2], Counter>;

/// The inbound side's metrics. Clones count into the same place.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Sessions under way.
    pub(super) open: Gauge,
    /// Connections whose proxy has not yet said whose they are.
    pub(super) unnamed: Gauge,
    /// Whether places for sessions are short: 1 or 0.
    pub(super) crowded: Gauge,
    /// Connections that were refused or ended by a limit.
    connections_refused: Results,
    /// Messages by what became of them.
    pub(super) messages: Tally,
    /// Messages whose client went away or fell silent before their end.
    pub(super) messages_broken: Counter,
    /// Messages that had come before and were answered 250 without being spooled again.
    pub(super) messages_repeated: Counter,
    /// Recipients by what they were answered.
    pub(super) recipients: Tally,
    /// Questions to primaries about recipients, by what they came to.
    questions: Results,
    /// What SPF, DKIM and DMARC made of messages.
    authentication: MethodResults,
    /// Questions to block lists, by what they came to.
    listings: Results,
    received_bytes: Counter,
    commit_seconds: Histogram,
}

/// One counter for each way something can go.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// Answered 250.
    pub(super) accepted: Counter,
    /// Answered 5xx.
    pub(super) rejected: Counter,
    /// Answered 4xx.
    pub(super) deferred: Counter,
}

impl Tally {
    fn new(family: &Results) -> Self {
        let counter = |result| family.get_or_create(&[("result", result)]).clone();
        Self {
            accepted: counter("accepted"),
            rejected: counter("rejected"),
            deferred: counter("deferred"),
        }
    }
}

impl Metrics {
    /// Registers everything under its name without prefix.
    pub fn register(registry: &mut Registry) -> Self {
        let connections = Family::<[(&'static str, &'static str); 1], Gauge>::default();
        let messages = Results::default();
        let recipients = Results::default();
        // A family stays locked as long as what it returned is borrowed.
        let counter = |result| messages.get_or_create(&[("result", result)]).clone();
        let state = |state| connections.get_or_create(&[("state", state)]).clone();
        let metrics = Self {
            open: state("open"),
            unnamed: state("proxy"),
            crowded: Gauge::default(),
            connections_refused: Results::default(),
            messages: Tally::new(&messages),
            messages_broken: counter("broken"),
            messages_repeated: counter("repeated"),
            recipients: Tally::new(&recipients),
            questions: Results::default(),
            authentication: MethodResults::default(),
            listings: Results::default(),
            received_bytes: Counter::default(),
            // 0.1 ms to 60 s: a quorum on one disk to the commit timeout.
            commit_seconds: Histogram::new(exponential_buckets(0.0001, 2.0, 19).chain([60.0])),
        };
        for reason in Reason::ALL {
            metrics.refused(reason).inc_by(0);
        }
        registry.register(
            "smtp_connections",
            "Inbound SMTP sessions under way, and connections that wait for a proxy's header",
            connections,
        );
        registry.register(
            "smtp_crowded",
            "1 while SMTP connections are short and clients get less time",
            metrics.crowded.clone(),
        );
        registry.register(
            "smtp_connections_refused",
            "Inbound SMTP connections refused or ended by a limit",
            metrics.connections_refused.clone(),
        );
        registry.register("smtp_messages", "Messages by what became of them", messages);
        registry.register(
            "smtp_recipients",
            "Recipients by what they were answered",
            recipients,
        );
        metrics.register_inquiries(registry);
        registry.register_with_unit(
            "smtp_received",
            "Octets of the bodies of accepted messages",
            Unit::Bytes,
            metrics.received_bytes.clone(),
        );
        registry.register_with_unit(
            "smtp_commit",
            "From the end of data to its 250",
            Unit::Seconds,
            metrics.commit_seconds.clone(),
        );
        metrics
    }

    /// What is asked of others about a client and what it brings.
    fn register_inquiries(&self, registry: &mut Registry) {
        registry.register(
            "recipient_questions",
            "Questions to primaries whether there is a recipient, by what they came to",
            self.questions.clone(),
        );
        registry.register(
            "smtp_authentication",
            "What SPF, DKIM (each signature) and DMARC made of messages",
            self.authentication.clone(),
        );
        registry.register(
            "smtp_dnsbl_lookups",
            "Questions to block lists about clients, by what they came to",
            self.listings.clone(),
        );
    }

    /// The connections that were refused or ended for this reason.
    pub(super) fn refused(&self, reason: Reason) -> Counter {
        let labels = [("reason", reason.name())];
        self.connections_refused.get_or_create(&labels).clone()
    }

    pub(super) fn accepted(&self, octets: u64, took: Duration) {
        self.messages.accepted.inc();
        self.received_bytes.inc_by(octets);
        self.commit_seconds.observe(took.as_secs_f64());
    }

    /// Counts a question to a primary.
    pub(super) fn questioned(&self, result: &'static str) {
        self.questions.get_or_create(&[("result", result)]).inc();
    }

    /// Counts what a method made of a message.
    pub(super) fn authenticated(&self, method: &'static str, finding: Finding) {
        let labels = [("method", method), ("result", finding.name())];
        self.authentication.get_or_create(&labels).inc();
    }

    /// Counts a question to a block list.
    pub(super) fn listing(&self, result: &'static str) {
        self.listings.get_or_create(&[("result", result)]).inc();
    }

    pub(super) fn repeated(&self, took: Duration) {
        self.messages_repeated.inc();
        self.commit_seconds.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_that_dashboards_know() {
        let mut registry = Registry::with_prefix("layover");
        let metrics = Metrics::register(&mut registry);
        metrics.accepted(1000, Duration::from_millis(3));
        metrics.repeated(Duration::from_millis(3));
        metrics.recipients.rejected.inc();
        metrics.questioned("unknown");
        metrics.authenticated("spf", Finding::SoftFail);
        metrics.listing("listed");
        metrics.open.set(2);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "layover_smtp_connections{state=\"open\"} 2",
            "layover_smtp_connections{state=\"proxy\"} 0",
            "layover_smtp_connections_refused_total{reason=\"full\"} 0",
            "layover_smtp_messages_total{result=\"accepted\"} 1",
            "layover_smtp_messages_total{result=\"repeated\"} 1",
            "layover_smtp_recipients_total{result=\"rejected\"} 1",
            "layover_recipient_questions_total{result=\"unknown\"} 1",
            "layover_smtp_authentication_total{method=\"spf\",result=\"softfail\"} 1",
            "layover_smtp_dnsbl_lookups_total{result=\"listed\"} 1",
            "layover_smtp_received_bytes_total 1000",
            "layover_smtp_commit_seconds_count 2",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
