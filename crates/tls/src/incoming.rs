//! Connections that have come through the handshake.

use std::{io, sync::Arc};

use futures::{Stream, stream};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use crate::{
    MutualTls,
    limits::{ACCEPT_RETRY, HANDSHAKES_MAX},
    words::in_words,
};

type Handshake = io::Result<Box<TlsStream<TcpStream>>>;

/// The connections to a port, each as soon as its handshake is done; many shake hands at the same
/// time. What fails is not told to the one who serves: it is the client's business.
pub fn incoming(
    listener: TcpListener,
    tls: Arc<MutualTls>,
) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> + Send {
    let door = Door {
        listener,
        tls,
        handshakes: JoinSet::new(),
    };
    stream::unfold(door, |mut door| async {
        let stream = door.next().await;
        Some((Ok(stream), door))
    })
}

struct Door {
    listener: TcpListener,
    tls: Arc<MutualTls>,
    handshakes: JoinSet<Handshake>,
}

enum Action {
    Shake(TcpStream),
    Pause(io::Error),
    Admit(Handshake),
}

impl Door {
    async fn next(&mut self) -> TlsStream<TcpStream> {
        loop {
            let has_room = self.handshakes.len() < HANDSHAKES_MAX;
            let action = tokio::select! {
                Some(done) = self.handshakes.join_next() => {
                    Action::Admit(done.unwrap_or_else(|error| Err(io::Error::other(error))))
                }
                accepted = self.listener.accept(), if has_room => match accepted {
                    Ok((stream, _)) => Action::Shake(stream),
                    Err(error) => Action::Pause(error),
                },
            };
            match action {
                Action::Shake(stream) => self.shake(stream),
                Action::Admit(Ok(stream)) => return *stream,
                Action::Admit(Err(error)) => debug!(error = in_words(&error), "a handshake failed"),
                Action::Pause(error) => {
                    warn!(%error, "connection could not be taken");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn shake(&mut self, stream: TcpStream) {
        let tls = Arc::clone(&self.tls);
        self.handshakes.spawn(async move {
            // Small answers must not wait for more to come.
            stream.set_nodelay(true)?;
            tls.accept(stream).await.map(Box::new)
        });
    }
}
