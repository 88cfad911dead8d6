//! What is known of one message, in the spool or gone.

use api::admin::v1::{TraceResponse, Traced, Try};
use cluster::{Cluster, Trace};
use relay::route::Routes;
use spool::{Message, MessageId, Timestamp};
use tonic::Status;

use super::{answer, refused, ways};

/// Looks it up, and tells when it is given up and which way it goes if it is in the spool.
pub(super) async fn trace(
    cluster: &Cluster,
    routes: &Routes,
    id: MessageId,
    now: Timestamp,
) -> Result<TraceResponse, Status> {
    let trace = cluster.trace(id).await.map_err(refused)?;
    let trace = trace.ok_or_else(|| {
        Status::not_found(format!(
            "nothing is known of a message {id}: it never came to this cluster, or left so long ago \
             that it is forgotten"
        ))
    })?;
    let mut response = response(id, &trace);
    if let (Trace::Queued(message), Some(traced)) = (&trace, &mut response.message) {
        let expiry = cluster.expiry(message).await.map_err(refused)?;
        traced.expiry = expiry.map(|expiry| answer::expiry(expiry, now));
        response.ways = ways::of(cluster, routes, message).await;
    }
    Ok(response)
}

/// What there is to tell.
fn response(id: MessageId, trace: &Trace) -> TraceResponse {
    let response = TraceResponse {
        id: id.to_string(),
        ..TraceResponse::default()
    };
    match trace {
        Trace::Queued(message) => TraceResponse {
            state: answer::state_of(message).to_owned(),
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
    match message {
        Some(message) if message.is_delivered() => "delivered",
        Some(message) if message.is_settled() => "returned",
        Some(_) => "deleted",
        None => "gone",
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
