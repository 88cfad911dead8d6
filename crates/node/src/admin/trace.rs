//! What is known of one message, in the spool or gone.

use api::admin::v1::{TraceResponse, Traced, Try};
use cluster::Trace;
use spool::{Message, MessageId, Status};

use super::answer;

/// What there is to tell.
pub(super) fn response(id: MessageId, trace: &Trace) -> TraceResponse {
    let response = TraceResponse {
        id: id.to_string(),
        ..TraceResponse::default()
    };
    match trace {
        Trace::Queued(message) => TraceResponse {
            state: answer::standing(message, None)
                .map(answer::state)
                .unwrap_or_default()
                .to_owned(),
            message: Some(traced(message)),
            ..response
        },
        Trace::Departed { at, message } => TraceResponse {
            state: how_it_left(message.as_deref()).to_owned(),
            left_ms: Some(at.0),
            message: message.as_deref().map(traced),
            ..response
        },
        Trace::Repeat { first, at } => TraceResponse {
            state: "repeat".to_owned(),
            left_ms: Some(at.0),
            repeat_of: Some(first.to_string()),
            ..response
        },
    }
}

fn how_it_left(message: Option<&Message>) -> &'static str {
    let delivered = |status: &Status| matches!(status, Status::Delivered { .. });
    let mut recipients = message.iter().flat_map(|message| &message.recipients);
    if message.is_some() && recipients.all(|recipient| delivered(&recipient.status)) {
        "delivered"
    } else {
        "gone"
    }
}

fn traced(message: &Message) -> Traced {
    Traced {
        sequence: message.sequence,
        received_ms: message.received_at.0,
        sender: message.reverse_path.to_string(),
        size: message.body.size,
        digest: answer::hexadecimal(&message.body.digest.0),
        client: Some(answer::client(&message.client)),
        recipients: message.recipients.iter().map(answer::recipient).collect(),
        attempts: message.attempts,
        tries: message.tries.iter().map(tried).collect(),
        expiry: None,
    }
}

fn tried(tried: &spool::Try) -> Try {
    Try {
        at_ms: tried.at.0,
        host: answer::said(&tried.host),
        delivered: tried.delivered,
        deferred: tried.deferred,
        rejected: tried.rejected,
        words: answer::said(&tried.words),
    }
}
