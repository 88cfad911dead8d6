//! `layover queue …`.

mod change;
mod export;
mod summary;

use api::admin::v1::{
    Authentication, Expiry, QueueEntry, QueueListRequest, QueueShowRequest, QueueShowResponse,
    Recipient,
};
use comfy_table::Table;

use crate::{
    arguments::{Filter, List, QueueCommand},
    listing::Listing,
    output::Output,
    servers::{Client, Servers},
    words,
};

/// Does what the command says.
pub(crate) async fn run(
    servers: &Servers,
    output: &mut Output,
    command: QueueCommand,
) -> anyhow::Result<()> {
    match command {
        QueueCommand::List(wanted) => list(servers, output, wanted).await,
        QueueCommand::Summary => summary::summary(servers, output).await,
        QueueCommand::Show { id } => show(servers, output, id).await,
        QueueCommand::Export { id } => export::export(servers, output, id).await,
        QueueCommand::Hold(selection) => {
            change::change(servers, output, change::HOLD, selection).await
        }
        QueueCommand::Release(selection) => {
            change::change(servers, output, change::RELEASE, selection).await
        }
        QueueCommand::Delete { selection, yes } => {
            change::give_up(servers, output, change::DELETE, selection, yes).await
        }
        QueueCommand::Bounce { selection, yes } => {
            change::give_up(servers, output, change::BOUNCE, selection, yes).await
        }
        QueueCommand::Retry(selection) => {
            change::change(servers, output, change::RETRY, selection).await
        }
    }
}

/// Lists messages as they come, however many there are.
async fn list(servers: &Servers, output: &mut Output, wanted: List) -> anyhow::Result<()> {
    let request = QueueListRequest {
        limit: wanted.limit.unwrap_or(0),
        ..filter_of(wanted.filter)
    };
    let entries = servers
        .ask(async |mut client: Client| Ok(client.queue_list(request.clone()).await?.into_inner()))
        .await?;
    let listing = Listing {
        headings: HEADINGS,
        row,
        nothing: "No messages.",
    };
    listing.show(entries, output).await
}

fn filter_of(filter: Filter) -> QueueListRequest {
    QueueListRequest {
        domain: filter.domain,
        sender: filter.sender,
        recipient: filter.recipient,
        state: filter.state.map(|state| state.word().to_owned()),
        older_than_ms: filter
            .older
            .map(|older| u64::try_from(older.as_millis()).unwrap_or(u64::MAX)),
        limit: 0,
    }
}

// A message's line must go out before the next one is known, so the columns have fixed widths and
// those without a bound stand last.
const HEADINGS: &str = "ID                          RECEIVED              STATE           SIZE  TRIES  SENDER -> RECIPIENTS";

fn row(entry: &QueueEntry) -> String {
    let mut recipients = entry
        .recipients
        .iter()
        .map(|address| words::escaped(address));
    let first = recipients.next().unwrap_or_default();
    let rest = recipients.len();
    let more = if rest == 0 {
        String::new()
    } else {
        format!(" and {rest} more")
    };
    let reason = entry.reason.as_ref().map_or_else(String::new, |reason| {
        format!(" ({})", words::escaped(reason))
    });
    let owed = if entry.owed {
        ", its sender is to be told"
    } else {
        ""
    };
    format!(
        "{:<26}  {:<20}  {:<8}  {:>10}  {:>5}  {} -> {first}{more}{reason}{owed}",
        entry.id,
        words::moment(entry.received_ms),
        entry.state,
        words::size(entry.size),
        entry.attempts,
        sender(&entry.sender),
    )
}

/// The reverse-path; "<>" for the null sender.
pub(crate) fn sender(path: &str) -> String {
    if path.is_empty() {
        "<>".to_owned()
    } else {
        words::escaped(path)
    }
}

/// Shows one message.
async fn show(servers: &Servers, output: &mut Output, id: String) -> anyhow::Result<()> {
    let request = QueueShowRequest { id };
    let message = servers
        .ask(async |mut client: Client| Ok(client.queue_show(request.clone()).await?.into_inner()))
        .await?;
    if output.is_json() {
        return Ok(output.document(&message)?);
    }
    for (name, value) in facts(&message) {
        output.line(&format!("{name:<11} {value}"))?;
    }
    output.line("")?;
    output.table(recipients(&message.recipients))?;
    output.line("")?;
    for line in words::escaped_lines(&message.header) {
        output.line(&line)?;
    }
    if message.header_cut {
        output.line("(the header is longer than what is shown)")?;
    }
    Ok(())
}

fn facts(message: &QueueShowResponse) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("id", message.id.clone()),
        ("state", message.state.clone()),
        ("received", words::moment(message.received_ms)),
        ("sender", sender(&message.sender)),
    ];
    if let Some(hold) = &message.hold {
        let since = words::moment(hold.since_ms);
        let by = words::escaped(&hold.by);
        let reason = match hold.reason.as_str() {
            "" => String::new(),
            reason => format!(": {}", words::escaped(reason)),
        };
        facts.push(("held", format!("since {since} by {by}{reason}")));
    }
    if let Some(client) = &message.client {
        facts.push(("client", client_words(client)));
    }
    if let Some(authentication) = &message.authentication {
        facts.push(("origin", origin(authentication)));
    }
    facts.push((
        "size",
        format!("{} ({})", words::size(message.size), message.body_type),
    ));
    facts.push(("sha-256", message.digest.clone()));
    facts.push((
        "tries",
        match message.attempted_ms {
            Some(at) => format!("{}, the last at {}", message.attempts, words::moment(at)),
            None => message.attempts.to_string(),
        },
    ));
    facts.extend(
        message
            .expiry
            .as_ref()
            .map(|expiry| ("expires", expiry_words(expiry))),
    );
    facts
}

fn origin(found: &Authentication) -> String {
    let mut words = format!("spf {} (HELO {})", found.spf, found.spf_helo);
    for signature in &found.dkim {
        let domain = match signature.domain.as_str() {
            "" => "unreadable",
            domain => domain,
        };
        words.push_str(&format!(", dkim {} ({domain})", signature.result));
    }
    if found.dkim.is_empty() {
        words.push_str(", dkim none");
    }
    words.push_str(&format!(", dmarc {}", found.dmarc));
    if !found.from_domain.is_empty() {
        words.push_str(&format!(" ({})", found.from_domain));
    }
    let sender = if found.authenticated {
        "the sender is authenticated"
    } else {
        "the sender is not authenticated"
    };
    words::escaped(&format!("{words}; {sender}"))
}

/// `in 12 days, not counting outages; it counts as 18 days old`.
pub(crate) fn expiry_words(expiry: &Expiry) -> String {
    let when = match (expiry.left_ms, expiry.is_suspended) {
        (0, _) => "now".to_owned(),
        (left, false) => format!("in {}, not counting outages", words::span(left)),
        (left, true) => format!(
            "{} after mail can leave again, or less after a long outage",
            words::span(left)
        ),
    };
    format!(
        "{when}; it counts as {} old",
        words::span(expiry.counted_age_ms)
    )
}

/// Who brought a message.
pub(crate) fn client_words(client: &api::admin::v1::Client) -> String {
    let tls = client.tls.as_deref().unwrap_or("in clear");
    words::escaped(&format!("{} (HELO {}, {tls})", client.address, client.helo))
}

/// `rejected, the sender is to be told`, `returned by ID`.
pub(crate) fn status_words(recipient: &Recipient) -> String {
    let status = &recipient.status;
    match (&recipient.report, recipient.owed.as_deref()) {
        (Some(report), _) => format!("{status} by {report}"),
        (None, Some("failed")) => format!("{status}, the sender is to be told"),
        (None, Some(kind)) => format!("{status}, the sender is to be told: {kind}"),
        (None, None) if status == "returned" => "dropped, as it is a report itself".to_owned(),
        (None, None) => status.clone(),
    }
}

fn recipients(recipients: &[Recipient]) -> Table {
    let mut table = Table::new();
    table.set_header(["RECIPIENT", "STATUS", "AT", "REPLY"]);
    for recipient in recipients {
        table.add_row([
            words::escaped(&recipient.address),
            status_words(recipient),
            recipient
                .at_ms
                .map_or_else(|| "-".to_owned(), words::moment),
            words::escaped(recipient.reply.as_deref().unwrap_or("-")),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_sender_knows_stands_with_each_recipient() {
        let words = |status: &str, owed: Option<&str>, report: Option<&str>| {
            status_words(&Recipient {
                status: status.to_owned(),
                owed: owed.map(str::to_owned),
                report: report.map(str::to_owned),
                ..Recipient::default()
            })
        };
        assert_eq!(words("rejected", None, None), "rejected");
        assert_eq!(
            words("rejected", Some("failed"), None),
            "rejected, the sender is to be told"
        );
        assert_eq!(
            words("deferred", Some("delayed"), None),
            "deferred, the sender is to be told: delayed"
        );
        assert_eq!(words("returned", None, Some("ID")), "returned by ID");
        assert!(words("returned", None, None).starts_with("dropped"));
    }

    #[test]
    fn it_is_told_when_a_message_expires() {
        let expiry = |left_ms, is_suspended| {
            expiry_words(&Expiry {
                left_ms,
                is_suspended,
                counted_age_ms: 86_400_000,
                ..Expiry::default()
            })
        };
        assert_eq!(
            expiry(2 * 86_400_000, false),
            "in 2 days, not counting outages; it counts as 1 day old"
        );
        assert!(expiry(2 * 86_400_000, true).starts_with("2 days after mail can leave again"));
        assert!(expiry(0, true).starts_with("now; "));
    }

    #[test]
    fn a_row_is_one_line_whatever_the_mail_says() {
        let entry = QueueEntry {
            id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(),
            recipients: vec!["a\n@example.com".to_owned(), "b@example.com".to_owned()],
            state: "deferred".to_owned(),
            size: 10_240,
            attempts: 3,
            reason: Some("451 4.3.0 later\r\n\x1b]0;evil".to_owned()),
            ..QueueEntry::default()
        };
        let row = row(&entry);
        assert!(!row.contains('\n'));
        assert!(!row.contains('\x1b'));
        assert!(row.contains("<> -> a\\u{a}@example.com and 1 more (451 4.3.0 later"));
        assert_eq!(row.find("<> ->"), HEADINGS.find("SENDER"));
    }

    #[test]
    fn what_was_found_out_is_one_line() {
        let mut found = Authentication {
            spf: "fail".to_owned(),
            spf_helo: "none".to_owned(),
            dmarc: "none".to_owned(),
            ..Authentication::default()
        };
        let expected =
            "spf fail (HELO none), dkim none, dmarc none; the sender is not authenticated";
        assert_eq!(origin(&found), expected);
        found.dkim.push(api::admin::v1::authentication::Signature {
            domain: "evil\n.example".to_owned(),
            result: "pass".to_owned(),
        });
        found.from_domain = "sender.example".to_owned();
        found.authenticated = true;
        let expected = "spf fail (HELO none), dkim pass (evil\\u{a}.example), dmarc none \
                        (sender.example); the sender is authenticated";
        assert_eq!(origin(&found), expected);
    }
}
