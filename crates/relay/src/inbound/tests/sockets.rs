//! The listener over real sockets.

use std::sync::atomic::Ordering;

use tokio::{
    net::TcpStream,
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::inbound::{Listener, limits::STOP_GRACE, refused::Reason};

pub(super) struct Served {
    address: SocketAddr,
    pub(super) memory: Arc<Memory>,
    pub(super) metrics: Metrics,
    accepting: watch::Sender<bool>,
    stop: CancellationToken,
    listener: JoinHandle<()>,
}

impl Served {
    pub(super) fn start(config: Config, memory: Memory, accepting: bool) -> Self {
        let listener = Listener::bind(config, None).unwrap();
        let address = listener.addresses()[0];
        let memory = Arc::new(memory);
        let (accepting, receiver) = watch::channel(accepting);
        let stop = CancellationToken::new();
        let metrics = metrics();
        let (intake, counts) = (Arc::clone(&memory), metrics.clone());
        let running = listener.run(
            intake,
            routes_without_dns(),
            clock(),
            counts,
            receiver,
            stop.clone(),
        );
        let listener = tokio::spawn(running);
        Self {
            address,
            memory,
            metrics,
            accepting,
            stop,
            listener,
        }
    }

    pub(super) async fn connect(&self) -> Client<TcpStream> {
        Client(BufReader::new(
            TcpStream::connect(self.address).await.unwrap(),
        ))
    }

    /// Waits until connecting works, or does not.
    pub(super) async fn until_open(&self, open: bool) {
        let poll = async {
            while TcpStream::connect(self.address).await.is_ok() != open {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), poll).await.unwrap();
    }

    async fn until_sessions_are(&self, number: i64) {
        let poll = async {
            while self.metrics.open.get() != number {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), poll).await.unwrap();
    }
}

#[tokio::test]
async fn a_message_goes_in_over_tcp() {
    let served = Served::start(config(), Memory::new(), true);
    served.until_open(true).await;
    let mut client = served.connect().await;
    client.begin().await;
    assert!(
        client
            .ask("text\r\n.")
            .await
            .starts_with("250 2.0.0 Ok: queued as ")
    );
    assert!(client.ask("QUIT").await.starts_with("221 "));
    assert_eq!(client.line().await, "");
    assert_eq!(served.memory.messages()[0].1, b"text\r\n");
    assert_eq!(served.metrics.messages.accepted.get(), 1);
    drop(client);
    served.until_sessions_are(0).await;
}

#[tokio::test]
async fn the_port_is_closed_while_no_mail_can_be_taken() {
    let served = Served::start(config(), Memory::new(), false);
    served.until_open(false).await;
    served.accepting.send_replace(true);
    served.until_open(true).await;
    let mut client = served.connect().await;
    assert!(client.line().await.starts_with("220 "));
    served.accepting.send_replace(false);
    served.until_open(false).await;
    assert!(client.ask("NOOP").await.starts_with("421 4.3.2 "));
    served.accepting.send_replace(true);
    served.until_open(true).await;
    let mut again = served.connect().await;
    again.begin().await;
    assert!(again.ask(".").await.starts_with("250 "));
}

#[tokio::test]
async fn connections_over_the_limit_hear_why_and_places_come_back() {
    let served = Served::start(
        Config {
            max_connections: 3,
            max_connections_per_ip: 2,
            ..config()
        },
        Memory::new(),
        true,
    );
    served.until_open(true).await;
    served.until_sessions_are(0).await;
    let mut first = served.connect().await;
    let mut second = served.connect().await;
    assert!(first.line().await.starts_with("220 "));
    assert!(second.line().await.starts_with("220 "));
    let mut third = served.connect().await;
    assert!(third.line().await.starts_with("421 4.7.0 "));
    assert_eq!(third.line().await, "");
    drop(first);
    served.until_sessions_are(1).await;
    assert!(served.connect().await.line().await.starts_with("220 "));
    assert!(served.metrics.refused(Reason::PerIp).get() >= 1);
}

#[tokio::test]
async fn a_node_that_takes_nothing_any_more_ends_sessions_in_the_middle_of_a_message() {
    let served = Served::start(config(), Memory::new(), true);
    served.until_open(true).await;
    let mut busy = served.connect().await;
    busy.begin().await;
    busy.send(b"half of ").await;
    let mut chunks = served.connect().await;
    chunks.line().await;
    for command in ["HELO c", "MAIL FROM:<>", "RCPT TO:<b@example.com>"] {
        assert!(chunks.ask(command).await.starts_with("250 "));
    }
    chunks.send(b"BDAT 1000 LAST\r\nhalf").await;
    served.memory.is_lost.store(true, Ordering::SeqCst);
    served.stop.cancel();
    for client in [&mut busy, &mut chunks] {
        assert!(client.line().await.starts_with("421 4.3.2 "));
        assert_eq!(client.line().await, "");
    }
    drop((busy, chunks));
    let ended = timeout(Duration::from_secs(5), served.listener).await;
    ended.unwrap().unwrap();
    assert!(served.memory.messages().is_empty());
}

#[tokio::test]
async fn a_client_that_takes_too_long_over_its_message_is_told_that_the_node_stops() {
    let served = Served::start(config(), Memory::new(), true);
    served.until_open(true).await;
    let mut slow = served.connect().await;
    slow.begin().await;
    slow.send(b"half of ").await;
    served.stop.cancel();
    let line = timeout(STOP_GRACE + Duration::from_secs(5), slow.line()).await;
    assert!(line.unwrap().starts_with("421 4.3.2 "));
    assert_eq!(slow.line().await, "");
    drop(slow);
    let ended = timeout(Duration::from_secs(5), served.listener).await;
    ended.unwrap().unwrap();
    assert!(served.memory.messages().is_empty());
}

#[tokio::test]
async fn stopping_ends_idle_sessions_and_waits_for_the_message_in_flight() {
    let hold = Arc::new(Notify::new());
    let memory = Memory {
        hold_accept: Some(Arc::clone(&hold)),
        ..Memory::new()
    };
    let served = Served::start(config(), memory, true);
    served.until_open(true).await;
    let mut idle = served.connect().await;
    assert!(idle.line().await.starts_with("220 "));
    let mut busy = served.connect().await;
    busy.begin().await;
    busy.send(b"text\r\n.\r\n").await;
    served.stop.cancel();
    assert!(idle.line().await.starts_with("421 4.3.2 "));
    served.until_open(false).await;
    hold.notify_one();
    assert!(busy.line().await.starts_with("250 2.0.0 Ok: queued as "));
    drop((idle, busy));
    timeout(Duration::from_secs(10), served.listener)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(served.memory.messages().len(), 1);
}

#[tokio::test]
async fn a_client_that_talks_a_moment_after_it_has_connected_has_not_waited_for_the_greeting() {
    let served = Served::start(config(), Memory::new(), true);
    served.until_open(true).await;
    for time in 0..20 {
        let mut client = served.connect().await;
        tokio::task::yield_now().await;
        client.send(b"EHLO a\r\n").await;
        let reply = client.line().await;
        assert!(reply.starts_with("554 5.5.1 "), "{time}: {reply}");
    }
    let mut polite = served.connect().await;
    assert!(polite.line().await.starts_with("220 "));
    assert!(polite.ask("EHLO a").await.starts_with("250"));
}
