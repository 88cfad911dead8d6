//! The admin service: what operators ask over gRPC, answered from this node's copy of the spool.

mod answer;
mod audit;
mod backup;
mod change;
mod delivery;
pub(crate) mod doctor;
mod domain;
pub(crate) mod drill;
mod export;
mod filter;
mod flush;
mod level;
mod list;
mod membership;
mod outages;
mod pause;
mod policy;
mod recipients;
mod replay;
mod rpc;
mod serve;
mod status;
mod summary;
mod trace;
mod trouble;
mod ways;

use std::{pin::Pin, sync::Arc};

use api::admin::v1::{QueueExportRequest, QueueListRequest};
use api::copy::v1::ExportChunk;
use cluster::{Cluster, RequestError};
use futures::Stream;
use relay::route::Routes;
use spool::{Clock, Message, MessageId};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use crate::{logging::Shown, lookback::Lookback};
use doctor::Doctor;
use drill::Drills;
use list::Turn;

pub(crate) use list::{Listed, Mark, Order};
pub(crate) use serve::serve;

/// Longest header that is shown. Real ones are a tenth of it.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// Answers operators.
#[derive(Debug)]
pub(crate) struct AdminService {
    cluster: Cluster,
    routes: Arc<Routes>,
    hostname: String,
    clock: Clock,
    doctor: Doctor,
    drills: Arc<Drills>,
    lookback: Lookback,
    shown: Shown,
    turn: Turn,
}

impl AdminService {
    pub(crate) fn new(
        cluster: Cluster,
        routes: Arc<Routes>,
        hostname: String,
        clock: Clock,
        doctor: Doctor,
        shown: Shown,
    ) -> Self {
        let drills = Drills::new(cluster.clone(), doctor.dns(), hostname.clone(), clock);
        Self {
            cluster,
            routes,
            hostname,
            clock,
            doctor,
            drills: Arc::new(drills),
            lookback: Lookback::new(clock.now()),
            shown,
            turn: Turn::default(),
        }
    }

    /// Those who hold drills.
    pub(crate) fn drills(&self) -> Arc<Drills> {
        Arc::clone(&self.drills)
    }

    /// What this node has seen of the queues.
    pub(crate) const fn lookback(&self) -> &Lookback {
        &self.lookback
    }

    /// Looks at the queues, until the token is cancelled.
    pub(crate) async fn look_back(self: Arc<Self>, stop: CancellationToken) {
        self.lookback.run(&self.cluster, self.clock, stop).await;
    }

    /// A part of the queue, behind a message, in an order.
    pub(crate) async fn queue_page(
        &self,
        request: QueueListRequest,
        order: Order,
        after: Option<Mark>,
    ) -> Result<Listed, Status> {
        let (turn, now) = (&self.turn, self.clock.now());
        list::page(&self.cluster, turn, request, order, after, now).await
    }

    /// The message that an operator has named.
    async fn message(&self, text: &str) -> Result<Message, Status> {
        let id = id_of(text)?;
        let message = self.cluster.message(id).await.map_err(refused)?;
        message.ok_or_else(|| {
            Status::not_found(format!(
                "no message {id} is in the spool; `layover trace {id}` tells of one that has left"
            ))
        })
    }

    /// A whole message, for somebody of whom it is noted first that he has read it.
    pub(crate) async fn read(
        &self,
        request: Request<QueueExportRequest>,
    ) -> Result<Exported, Status> {
        let by = audit::asker(&request);
        let message = self.message(&request.into_inner().id).await?;
        audit::note_first(&self.cluster, by, format!("queue export {}", message.id)).await?;
        Ok(Box::pin(export::chunks(&self.cluster, message)))
    }
}

/// A message, piece by piece.
type Exported = Pin<Box<dyn Stream<Item = Result<ExportChunk, Status>> + Send>>;

/// What an operator is told when the spool did not answer.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
fn refused(error: RequestError) -> Status {
    match error {
        RequestError::NoQuorum => Status::unavailable(error.to_string()),
        RequestError::NoSpool(_) => Status::failed_precondition(error.to_string()),
        RequestError::Storage(_) => Status::internal(error.to_string()),
    }
}

fn id_of(text: &str) -> Result<MessageId, Status> {
    text.parse()
        .map_err(|error| Status::invalid_argument(format!("{text:?} is {error}")))
}
