//! `layover queue hold`, `release`, `delete`, `retry` and `bounce`.

use std::io::{self, Write as _};

use anyhow::{bail, ensure};
use api::admin::v1::{QueueChangeRequest, QueueChangeResponse};

use super::filter_of;
use crate::{
    arguments::{Filter, Selection, Usage},
    output::Output,
    servers::{Client, Servers, in_time},
    words,
};

/// What is done, as it is asked for and as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verb {
    name: &'static str,
    done: &'static str,
    /// Why a message was not changed that could have been.
    unaffected: &'static str,
}

pub(crate) const HOLD: Verb = Verb {
    name: "hold",
    done: "held",
    unaffected: "held already, or only refused recipients are left",
};

pub(crate) const RELEASE: Verb = Verb {
    name: "release",
    done: "released",
    unaffected: "not held",
};

pub(crate) const DELETE: Verb = Verb {
    name: "delete",
    done: "deleted",
    unaffected: "as they were",
};

pub(crate) const RETRY: Verb = Verb {
    name: "retry",
    done: "due now",
    unaffected: "due already",
};

pub(crate) const BOUNCE: Verb = Verb {
    name: "bounce",
    done: "bounced",
    unaffected: "their senders are told already, or may not be told",
};

/// Why a filter's domain or recipient does not suffice to delete a message, or to give it up.
const ELSEWHERE: &str = "with recipients that the filter does not name; name them by id, or without --domain and --recipient";

/// Does something with messages, and tells with how many and why not with others.
pub(crate) async fn change(
    servers: &Servers,
    output: &mut Output,
    verb: Verb,
    selection: Selection,
) -> anyhow::Result<()> {
    let request = request_of(verb, selection)?;
    carry_out(servers, output, verb, request).await
}

/// Drops messages, or gives them up, when somebody who was asked wants it.
pub(crate) async fn give_up(
    servers: &Servers,
    output: &mut Output,
    verb: Verb,
    selection: Selection,
    yes: bool,
) -> anyhow::Result<()> {
    let what = words_of(&selection);
    let mut request = request_of(verb, selection)?;
    if !yes && request.ids.len() != 1 {
        let counting = QueueChangeRequest {
            count_only: true,
            ..request.clone()
        };
        let counted = ask(servers, output, verb, &counting).await?;
        if counted.selected > 1 {
            confirm(verb, &counted, &what)?;
        }
        // What comes meanwhile, or grows old, or is refused, was not counted and is not meant.
        request.through = Some(counted.through);
        request.as_of_ms = (counted.as_of_ms > 0).then_some(counted.as_of_ms);
        request.at_most = Some(counted.selected);
    }
    carry_out(servers, output, verb, request).await
}

fn request_of(verb: Verb, selection: Selection) -> Result<QueueChangeRequest, Usage> {
    let Selection {
        ids,
        filter,
        all,
        reason,
    } = selection;
    let is_filtered = filter != Filter::default();
    if usize::from(!ids.is_empty()) + usize::from(is_filtered) + usize::from(all) != 1 {
        return Err(Usage(format!(
            "name the messages to {} by their ids, or by a filter (--domain, --sender, --recipient, --state, \
             --older), or say --all",
            verb.name
        )));
    }
    let filter = filter_of(filter);
    Ok(QueueChangeRequest {
        verb: verb.name.to_owned(),
        ids,
        filter: is_filtered.then_some(filter),
        all,
        reason,
        ..QueueChangeRequest::default()
    })
}

/// ` of example.com`, where that is all that is said.
fn words_of(selection: &Selection) -> String {
    let filter = &selection.filter;
    let of_domain = Filter {
        domain: filter.domain.clone(),
        ..Filter::default()
    };
    match &filter.domain {
        Some(domain) if *filter == of_domain => format!(" of {}", words::escaped(domain)),
        _ => String::new(),
    }
}

/// Asks whoever is at the other end of standard input: a person at the terminal, or a script that has an answer.
fn confirm(verb: Verb, counted: &QueueChangeResponse, what: &str) -> anyhow::Result<()> {
    let question = format!(
        "{} {} messages{what}?{}",
        verb.name,
        words::grouped(counted.selected),
        match counted.elsewhere {
            0 => String::new(),
            count => format!(" (left alone: {}, {ELSEWHERE})", words::grouped(count)),
        }
    );
    eprint!("{question} [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    if io::stdin().read_line(&mut answer)? == 0 {
        eprintln!();
        bail!(Usage(
            "nobody is there to be asked; say --yes if that is meant".to_owned()
        ));
    }
    let is_meant = matches!(answer.trim(), "y" | "Y" | "yes");
    ensure!(is_meant, "nothing was {}", verb.done);
    Ok(())
}

async fn carry_out(
    servers: &Servers,
    output: &mut Output,
    verb: Verb,
    request: QueueChangeRequest,
) -> anyhow::Result<()> {
    let told = ask(servers, output, verb, &request).await?;
    if output.is_json() {
        output.document(&told)?;
    } else {
        output.line(&result(verb, &told))?;
    }
    let is_named = !request.ids.is_empty();
    if is_named && told.absent > 0 {
        bail!(absent(&told));
    }
    let is_refused = told.held + told.elsewhere > 0;
    ensure!(
        !is_named || told.changed > 0 || !is_refused,
        "nothing was changed"
    );
    Ok(())
}

/// Shows how far it is until it is finished.
async fn ask(
    servers: &Servers,
    output: &mut Output,
    verb: Verb,
    request: &QueueChangeRequest,
) -> anyhow::Result<QueueChangeResponse> {
    let mut answers = servers
        .ask(async |mut client: Client| {
            Ok(client.queue_change(request.clone()).await?.into_inner())
        })
        .await?;
    let mut last = QueueChangeResponse::default();
    let mut is_shown = false;
    while !last.finished {
        let next = in_time(answers.message()).await;
        let next = next.map_err(|status| anyhow::anyhow!("broken off: {}", status.message()))?;
        let Some(next) = next else {
            bail!("broken off: {}", result(verb, &last));
        };
        last = next;
        if !last.finished && !output.is_json() && output.is_terminal() {
            let selected = words::grouped(last.selected);
            output.progress(&format!("{}: {selected} messages so far", verb.name))?;
            is_shown = true;
        }
    }
    if is_shown {
        output.end_progress()?;
    }
    Ok(last)
}

/// That messages were named which are not there.
fn absent(told: &QueueChangeResponse) -> String {
    if told.absent == told.selected {
        return "no such message is in the spool".to_owned();
    }
    format!(
        "{} of {} messages are not in the spool; `layover trace ID` tells of one that has left",
        words::grouped(told.absent),
        words::grouped(told.selected)
    )
}

fn result(verb: Verb, told: &QueueChangeResponse) -> String {
    let messages = |count: u64| match count {
        1 => "1 message".to_owned(),
        count => format!("{} messages", words::grouped(count)),
    };
    let mut line = format!("{}: {}", verb.done, messages(told.changed));
    for (count, why) in [
        (told.unaffected, verb.unaffected),
        (told.held, "held, release them first"),
        (told.absent, "not in the spool"),
        (told.elsewhere, ELSEWHERE),
    ] {
        if count > 0 {
            line.push_str(&format!("; not changed: {} ({why})", messages(count)));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_named_in_exactly_one_way() {
        let of_domain = || Filter {
            domain: Some("example.com".to_owned()),
            ..Filter::default()
        };
        for (ids, filter, all, is_right) in [
            (vec!["x"], Filter::default(), false, true),
            (vec![], of_domain(), false, true),
            (vec![], Filter::default(), true, true),
            (vec![], Filter::default(), false, false),
            (vec!["x"], of_domain(), false, false),
            (vec!["x"], Filter::default(), true, false),
            (vec![], of_domain(), true, false),
        ] {
            let selection = Selection {
                ids: ids.into_iter().map(str::to_owned).collect(),
                filter,
                all,
                reason: String::new(),
            };
            let words = format!("{selection:?}");
            assert_eq!(request_of(HOLD, selection).is_ok(), is_right, "{words}");
        }
    }

    #[test]
    fn it_is_told_how_many_were_changed_and_why_others_were_not() {
        let told = QueueChangeResponse {
            changed: 1_234_567,
            held: 1,
            absent: 2,
            ..QueueChangeResponse::default()
        };
        assert_eq!(
            result(RETRY, &told),
            "due now: 1,234,567 messages; not changed: 1 message (held, release them first); not changed: \
             2 messages (not in the spool)"
        );
    }
}
