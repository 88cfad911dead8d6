//! One message as it would leave, piece by piece.

use std::vec;

use api::copy::v1::ExportChunk;
use cluster::Cluster;
use futures::{Stream, stream};
use sha2::{Digest as _, Sha256};
use spool::Message;
use tonic::Status;

use super::refused;

struct Export {
    cluster: Cluster,
    message: Message,
    /// The pieces that are to come.
    pieces: vec::IntoIter<u64>,
    sum: Sha256,
    is_begun: bool,
}

/// Its Received field, then its body. Ends with an error unless that is, octet for octet, what was accepted.
pub(super) fn chunks(
    cluster: &Cluster,
    message: Message,
) -> impl Stream<Item = Result<ExportChunk, Status>> + Send + use<> {
    let export = Export {
        cluster: cluster.clone(),
        pieces: message.body.pieces.clone().into_iter(),
        message,
        sum: Sha256::new(),
        is_begun: false,
    };
    stream::try_unfold(export, Export::step)
}

impl Export {
    async fn step(mut self) -> Result<Option<(ExportChunk, Self)>, Status> {
        if !self.is_begun {
            self.is_begun = true;
            let octets = self.message.trace.clone();
            return Ok(Some((ExportChunk { octets }, self)));
        }
        let Some(piece) = self.pieces.next() else {
            return self.end();
        };
        let octets = self.cluster.body_piece(piece).await.map_err(refused)?;
        let octets = octets.ok_or_else(|| self.is_not_whole())?;
        self.sum.update(&octets);
        let octets = octets.into();
        Ok(Some((ExportChunk { octets }, self)))
    }

    fn end(self) -> Result<Option<(ExportChunk, Self)>, Status> {
        let digest: [u8; 32] = self.sum.clone().finalize().into();
        if digest == self.message.body.digest.0 {
            Ok(None)
        } else {
            Err(self.is_not_whole())
        }
    }

    /// It may have left while it was read, with its pieces, or be damaged.
    fn is_not_whole(&self) -> Status {
        let id = self.message.id;
        Status::data_loss(format!(
            "what came of message {id} is not all that was accepted: it has left meanwhile, or is damaged on \
             this node; ask another one"
        ))
    }
}
