//! `layover trace`.

use api::admin::v1::{Recipient, TraceRequest, TraceResponse, Traced, Try, WayOfDomain};
use comfy_table::Table;

use crate::{
    output::Output,
    queue,
    servers::{Client, Servers},
    words,
};

/// Shows where a message came from and how its deliveries went.
pub(crate) async fn show(servers: &Servers, output: &mut Output, id: String) -> anyhow::Result<()> {
    let request = TraceRequest { id };
    let trace = servers
        .ask(async |mut client: Client| Ok(client.trace(request.clone()).await?.into_inner()))
        .await?;
    if output.is_json() {
        return Ok(output.document(&trace)?);
    }
    for (name, value) in facts(&trace) {
        output.line(&format!("{name:<11} {value}"))?;
    }
    let Some(message) = &trace.message else {
        return Ok(());
    };
    output.line("")?;
    output.table(recipients(&message.recipients))?;
    if !message.tries.is_empty() {
        output.line("")?;
        output.table(tries(&message.tries))?;
    }
    for line in trace.ways.iter().flat_map(way) {
        output.line(&line)?;
    }
    Ok(())
}

/// How mail goes to a domain, behind an empty line.
fn way(way: &WayOfDomain) -> Vec<String> {
    let domain = words::escaped(&way.domain);
    let mut lines = vec![String::new(), format!("way to {domain}")];
    let sentences = way.words.iter();
    lines.extend(sentences.map(|words| format!("  {}", words::escaped(words))));
    lines
}

fn facts(trace: &TraceResponse) -> Vec<(&'static str, String)> {
    let mut facts = vec![("id", trace.id.clone()), ("state", state(trace))];
    let Some(message) = &trace.message else {
        return facts;
    };
    facts.extend([
        ("received", words::moment(message.received_ms)),
        ("sender", queue::sender(&message.sender)),
    ]);
    facts.extend(
        message
            .client
            .as_ref()
            .map(|client| ("client", queue::client_words(client))),
    );
    facts.extend([
        ("size", words::size(message.size)),
        ("sha-256", message.digest.clone()),
        ("tries", tries_in_all(message)),
    ]);
    let expiry = message.expiry.as_ref();
    facts.extend(expiry.map(|expiry| ("expires", queue::expiry_words(expiry))));
    facts
}

fn state(trace: &TraceResponse) -> String {
    let at = trace.left_ms.map(words::moment).unwrap_or_default();
    match (&trace.repeat_of, trace.state.as_str()) {
        (Some(first), _) => format!("{first} again, at {at}: its sender had not read the reply"),
        (None, "delivered") => format!("delivered, the last time at {at}"),
        (None, "returned") => format!("returned, the last time at {at}"),
        (None, "reporting") => "in the spool until its sender is told".to_owned(),
        (None, "deleted") => format!(
            "deleted at {at}: `layover audit` says by whom; by nobody if it had been rejected for retain_rejected"
        ),
        (None, "gone") => format!("has left at {at}; no history was kept then"),
        (None, state) => format!("in the spool, {state}"),
    }
}

fn tries_in_all(message: &Traced) -> String {
    let shown = message.tries.len();
    if usize::try_from(message.attempts).is_ok_and(|all| all > shown) {
        format!(
            "{}, of which the last {shown} are told below",
            message.attempts
        )
    } else {
        message.attempts.to_string()
    }
}

fn recipients(recipients: &[Recipient]) -> Table {
    let mut table = Table::new();
    table.set_header(["RECIPIENT", "STATUS", "AT", "HOST", "REPLY"]);
    for recipient in recipients {
        table.add_row([
            words::escaped(&recipient.address),
            status(recipient),
            recipient
                .at_ms
                .map_or_else(|| "-".to_owned(), words::moment),
            words::escaped(recipient.host.as_deref().unwrap_or("-")),
            words::escaped(recipient.reply.as_deref().unwrap_or("-")),
        ]);
    }
    table
}

fn status(recipient: &Recipient) -> String {
    let status = queue::status_words(recipient);
    match recipient.replayed_ms {
        Some(at) => format!("{status}, replayed {}", words::moment(at)),
        None => status,
    }
}

fn tries(tries: &[Try]) -> Table {
    let mut table = Table::new();
    table.set_header(["TRIED AT", "HOST", "RESULT"]);
    for tried in tries {
        table.add_row([
            words::moment(tried.at_ms),
            words::escaped(tried.host.as_deref().unwrap_or("-")),
            result(tried),
        ]);
    }
    table
}

/// `1 delivered, 2 deferred: 451 4.3.0 later`.
fn result(tried: &Try) -> String {
    let counts = [
        (tried.delivered, "delivered"),
        (tried.deferred, "deferred"),
        (tried.rejected, "rejected"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let mut result = counts
        .map(|(count, what)| format!("{count} {what}"))
        .collect::<Vec<_>>()
        .join(", ");
    if let Some(said) = &tried.words {
        result.push_str(": ");
        result.push_str(&words::escaped(said));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_try_is_told_by_what_came_of_it() {
        let tried = Try {
            delivered: 1,
            deferred: 2,
            words: Some("451 4.3.0 later\u{1b}[31m".to_owned()),
            ..Try::default()
        };
        assert_eq!(
            result(&tried),
            "1 delivered, 2 deferred: 451 4.3.0 later\\u{1b}[31m"
        );
    }

    #[test]
    fn what_became_of_a_message_is_told_in_words() {
        let trace = |state: &str, left_ms, repeat_of: Option<&str>, is_remembered: bool| {
            state_of(&TraceResponse {
                state: state.to_owned(),
                left_ms,
                repeat_of: repeat_of.map(str::to_owned),
                message: is_remembered.then(Traced::default),
                ..TraceResponse::default()
            })
        };
        assert_eq!(
            trace("deferred", None, None, true),
            "in the spool, deferred"
        );
        assert_eq!(
            trace("delivered", Some(0), None, true),
            "delivered, the last time at 1970-01-01T00:00:00Z"
        );
        assert!(trace("returned", Some(0), None, true).starts_with("returned, the last time"));
        assert!(trace("reporting", None, None, true).starts_with("in the spool"));
        assert!(trace("deleted", Some(0), None, true).starts_with("deleted at 1970"));
        assert!(trace("gone", Some(0), None, false).ends_with("no history was kept then"));
        assert!(trace("repeat", Some(0), Some("ID"), false).starts_with("ID again, at 1970"));
    }

    fn state_of(trace: &TraceResponse) -> String {
        state(trace)
    }

    #[test]
    fn what_the_dns_says_of_the_way_does_not_reach_the_terminal_as_it_is() {
        let told = way(&WayOfDomain {
            domain: "example.com".to_owned(),
            words: vec!["mail\u{1b}[2J (10) has no address".to_owned()],
        });
        let expected = [
            "",
            "way to example.com",
            "  mail\\u{1b}[2J (10) has no address",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn the_tries_that_are_forgotten_still_count() {
        let message = |attempts| Traced {
            attempts,
            tries: vec![Try::default()],
            ..Traced::default()
        };
        assert_eq!(tries_in_all(&message(1)), "1");
        assert_eq!(
            tries_in_all(&message(7)),
            "7, of which the last 1 are told below"
        );
    }
}
