//! Who is let in to the HTTP side, and for how long.

use core::net::SocketAddr;
use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tracing::{debug, warn};

use super::is_in;

/// Connections of staff and of those who read metrics: some dozens of browsers.
const KNOWN_MAX: usize = 128;

/// Connections of all others, who may ask for nothing but whether the node lives and takes mail.
const STRANGERS_MAX: usize = 32;

/// A head is a few KiB, and the next one of a connection that is kept open comes within this time or
/// over a new connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause before the next connection is taken, when taking one failed.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// The places, of which strangers can not take those of staff.
struct Door {
    known: Vec<IpNet>,
    of_known: Arc<Semaphore>,
    of_strangers: Arc<Semaphore>,
}

impl Door {
    /// A place until it is dropped; `None` while there is none.
    fn enter(&self, peer: SocketAddr) -> Option<OwnedSemaphorePermit> {
        let places = if is_in(&self.known, peer) {
            &self.of_known
        } else {
            &self.of_strangers
        };
        Arc::clone(places).try_acquire_owned().ok()
    }
}

/// Serves until the token is cancelled, and then until what was asked is answered. `known` are those who
/// have more to ask than strangers have.
pub(super) async fn serve(
    listener: TcpListener,
    known: Vec<IpNet>,
    router: Router,
    stop: CancellationToken,
) {
    let door = Door {
        known,
        of_known: Arc::new(Semaphore::new(KNOWN_MAX)),
        of_strangers: Arc::new(Semaphore::new(STRANGERS_MAX)),
    };
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            // Without a place it is closed at once: whoever waited for one would keep others waiting.
            Ok((stream, peer)) => match door.enter(peer) {
                Some(place) => {
                    let (router, stop) = (router.clone(), stop.clone());
                    connections.spawn(converse(stream, peer, place, router, stop));
                }
                None => debug!(%peer, "no place is free for an http connection"),
            },
            Err(error) => {
                warn!(%error, "http connection could not be taken");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Answers what is asked over one connection.
async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
    router: Router,
    stop: CancellationToken,
) {
    let answer = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request.map(Body::new))
    });
    let mut conversation = core::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), answer)
    );
    let ended = tokio::select! {
        ended = conversation.as_mut() => ended,
        () = stop.cancelled() => {
            conversation.as_mut().graceful_shutdown();
            conversation.await
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "http connection broke");
    }
    drop(place);
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpSocket,
        sync::Notify,
    };

    use super::*;

    /// A door that knows 127.0.0.1 only.
    async fn open(router: Router, stop: CancellationToken) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let known = vec!["127.0.0.1/32".parse().unwrap()];
        tokio::spawn(serve(listener, known, router, stop));
        address
    }

    fn health() -> Router {
        Router::new().route("/healthz", get(async || "ok\n"))
    }

    async fn connect(from: &str, to: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(from.parse().unwrap()).unwrap();
        socket.connect(to).await.unwrap()
    }

    /// Everything until the other end closes; nothing where it was closed without a word.
    async fn ask(mut connection: TcpStream) -> String {
        let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let mut answer = String::new();
        if connection.write_all(request).await.is_ok() {
            drop(connection.read_to_string(&mut answer).await);
        }
        answer
    }

    #[tokio::test]
    async fn idle_strangers_do_not_keep_staff_out() {
        let address = open(health(), CancellationToken::new()).await;
        let mut idle = Vec::new();
        for _ in 0..STRANGERS_MAX {
            idle.push(connect("127.0.0.2:0", address).await);
        }
        assert_eq!(ask(connect("127.0.0.2:0", address).await).await, "");
        let told = ask(connect("127.0.0.1:0", address).await).await;
        assert!(told.ends_with("ok\n"), "{told}");
        // Each place is for whoever comes next.
        for stranger in idle {
            let told = ask(stranger).await;
            assert!(told.ends_with("ok\n"), "{told}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_nothing_is_sent_away() {
        let address = open(health(), CancellationToken::new()).await;
        let began = tokio::time::Instant::now();
        let mut silent = connect("127.0.0.2:0", address).await;
        assert_eq!(silent.read(&mut [0; 100]).await.unwrap(), 0);
        assert!(began.elapsed() >= HEAD_TIMEOUT);
    }

    #[tokio::test]
    async fn what_was_asked_before_the_stop_is_answered() {
        let (stop, asked) = (CancellationToken::new(), Arc::new(Notify::new()));
        let (stopped, told) = (stop.clone(), Arc::clone(&asked));
        let late = async move || {
            told.notify_one();
            stopped.cancelled().await;
            "late\n"
        };
        let address = open(Router::new().route("/late", get(late)), stop.clone()).await;
        let mut connection = connect("127.0.0.1:0", address).await;
        let request = b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n";
        connection.write_all(request).await.unwrap();
        asked.notified().await;
        stop.cancel();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("late\n"), "{answer}");
    }
}
