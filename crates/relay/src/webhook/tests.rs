//! The webhook on loopback, as a server that answers on cue.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_client::registry::Registry;
use serde_json::Value;
use spool::{Outbox as _, Policy, Reachability, Timestamp};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::limits::Pace;
use super::{Config, Metrics, tell};
use crate::outbound::tests::outbox::MapOutbox;
use crate::outbound::tests::tls::acceptor;
use crate::outbound::tests::{DOMAIN, clock, domain, until};

const HASTY: Pace = Pace {
    post: Duration::from_millis(500),
    retry_min: Duration::from_millis(20),
    retry_max: Duration::from_millis(40),
    tries_max: 3,
    record_retry: Duration::from_millis(20),
};

const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// What the webhook was sent, and what it answers.
#[derive(Debug)]
struct Heard {
    requests: Mutex<Vec<String>>,
    answer: Mutex<&'static str>,
}

impl Heard {
    fn answer(&self, answer: &'static str) {
        *self.answer.lock().unwrap() = answer;
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// The document of one request.
    fn document(&self, number: usize) -> Value {
        let requests = self.requests.lock().unwrap();
        let (_, body) = requests[number].split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    /// Which alarm each request was about, and what had happened to it.
    fn told(&self) -> Vec<(String, String)> {
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        (0..self.count())
            .map(|number| self.document(number))
            .map(|told| (word(&told["name"]), word(&told["state"])))
            .collect()
    }

    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut request = String::new();
        while !is_whole(&request) {
            let mut octets = [0; 4096];
            let Ok(count @ 1..) = stream.read(&mut octets).await else {
                return;
            };
            request.push_str(&String::from_utf8_lossy(&octets[..count]));
        }
        self.requests.lock().unwrap().push(request);
        let answer = *self.answer.lock().unwrap();
        if answer.is_empty() {
            // The webhook hangs.
            return std::future::pending().await;
        }
        drop(stream.write_all(answer.as_bytes()).await);
        drop(stream.shutdown().await);
    }
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length: ")?
            .parse()
            .ok()
    });
    body.len() == length.unwrap_or(0)
}

/// A node that leads, and the webhook that its policy names.
struct Scene {
    outbox: Arc<MapOutbox>,
    heard: Arc<Heard>,
    metrics: Metrics,
    address: SocketAddr,
    tasks: JoinSet<()>,
    leader: Option<AbortHandle>,
}

impl Scene {
    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut scene = Self {
            outbox: MapOutbox::new(domain(nowhere), Duration::from_secs(60)),
            heard: Arc::new(Heard {
                requests: Mutex::default(),
                answer: Mutex::new(OK),
            }),
            metrics: Metrics::register(&mut Registry::default()),
            address: listener.local_addr().unwrap(),
            tasks: JoinSet::new(),
            leader: None,
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let heard = Arc::clone(&scene.heard);
        scene.tasks.spawn(async move {
            let mut sessions = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (heard, tls) = (Arc::clone(&heard), tls.clone());
                sessions.spawn(async move {
                    match tls {
                        None => heard.serve(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                heard.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        scene.name_webhook(scheme);
        scene.lead();
        scene
    }

    fn name_webhook(&self, scheme: &str) {
        let text = format!(
            "[[domain]]\nname = \"{DOMAIN}\"\nprimary = [\"127.0.0.1:9\"]\n\
             [alarms]\nwebhook = \"{scheme}://{}/hook?key=1\"\n",
            self.address
        );
        self.outbox.adopt_whole(Policy::parse(&text).unwrap());
    }

    /// Another leader takes the place of the one that there is.
    fn lead(&mut self) {
        if let Some(former) = self.leader.take() {
            former.abort();
        }
        let (outbox, metrics) = (Arc::clone(&self.outbox), self.metrics.clone());
        let leader = self.tasks.spawn(async move {
            let config = Config {
                node: 7,
                hostname: "node.test".into(),
                cluster: "c1".into(),
                pace: HASTY,
            };
            match tell(&*outbox, &config, clock(), &metrics).await {}
        });
        self.leader = Some(leader);
    }

    async fn raise(&self, since: u64) {
        let down = Reachability::Down("no route: nobody \"knows\"".into());
        self.outbox
            .observe(DOMAIN, down, Timestamp(since))
            .await
            .unwrap();
    }

    async fn clear(&self) {
        self.outbox
            .observe(DOMAIN, Reachability::Up, Timestamp(9))
            .await
            .unwrap();
    }

    async fn wait_told(&self, count: usize) {
        until("the webhook was told", || self.heard.count() >= count).await;
    }

    /// Waits until the outbox knows so many alarms to be posted.
    async fn wait_recorded(&self, count: usize) {
        let recorded = || {
            let posted = self.outbox.destination(DOMAIN).posted;
            posted.map_or(0, |posted| posted.raised.len()) == count
        };
        until("it is recorded", recorded).await;
    }
}

fn words(told: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, state): &(&str, &str)| ((*name).to_owned(), (*state).to_owned());
    told.iter().map(owned).collect()
}

#[tokio::test]
async fn an_alarm_is_told_once_when_it_begins_and_once_when_it_ends() {
    let scene = Scene::start(None).await;
    scene.raise(5).await;
    scene.wait_recorded(1).await;
    let request = scene.heard.requests.lock().unwrap()[0].clone();
    assert!(
        request.starts_with("POST /hook?key=1 HTTP/1.1\r\n"),
        "{request}"
    );
    let head = request.to_ascii_lowercase();
    for field in [
        format!("host: {}\r\n", scene.address),
        "content-type: application/json\r\n".to_owned(),
    ] {
        assert!(head.contains(&field), "{request}");
    }
    let told = scene.heard.document(0);
    assert_eq!(told["name"], "no-route");
    assert_eq!(told["domain"], DOMAIN);
    assert_eq!(told["state"], "raised");
    assert_eq!(told["since_ms"], 5);
    let text = "The mail of example.com waits: no route: nobody \"knows\".";
    assert_eq!(told["text"], text);
    assert_eq!(
        (&told["node"], &told["hostname"]),
        (&7.into(), &"node.test".into())
    );
    assert_eq!(told["cluster"], "c1");
    scene.clear().await;
    scene.wait_recorded(0).await;
    let both = words(&[("no-route", "raised"), ("no-route", "cleared")]);
    assert_eq!(scene.heard.told(), both);
    assert_eq!(scene.heard.document(1)["since_ms"], 5);
    assert_eq!(
        (scene.metrics.of("told"), scene.metrics.of("failed")),
        (2, 0)
    );
}

#[tokio::test]
async fn a_webhook_that_is_busy_or_hangs_is_told_again() {
    let scene = Scene::start(None).await;
    scene.heard.answer(BUSY);
    scene.raise(5).await;
    scene.wait_told(1).await;
    scene.heard.answer("");
    scene.wait_told(2).await;
    scene.heard.answer(OK);
    scene.wait_recorded(1).await;
    assert_eq!(scene.heard.count(), 3);
    assert_eq!(
        (scene.metrics.of("told"), scene.metrics.of("failed")),
        (1, 2)
    );
}

#[tokio::test]
async fn a_webhook_that_never_takes_it_is_given_up() {
    let scene = Scene::start(None).await;
    scene
        .heard
        .answer("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n");
    scene.raise(5).await;
    scene.wait_recorded(1).await;
    assert_eq!(scene.heard.count(), 3);
    assert_eq!(
        (scene.metrics.of("given-up"), scene.metrics.of("told")),
        (1, 0)
    );
}

#[tokio::test]
async fn what_could_not_be_recorded_is_not_posted_again() {
    let scene = Scene::start(None).await;
    scene.outbox.leads.store(false, Ordering::Relaxed);
    scene.raise(5).await;
    scene.wait_told(1).await;
    tokio::time::sleep(10 * HASTY.record_retry).await;
    scene.outbox.leads.store(true, Ordering::Relaxed);
    scene.wait_recorded(1).await;
    assert_eq!(scene.heard.count(), 1);
}

#[tokio::test]
async fn another_leader_does_not_tell_what_was_told() {
    let mut scene = Scene::start(None).await;
    scene.raise(5).await;
    scene.wait_recorded(1).await;
    scene.lead();
    scene.clear().await;
    scene.wait_recorded(0).await;
    let both = words(&[("no-route", "raised"), ("no-route", "cleared")]);
    assert_eq!(scene.heard.told(), both);
}

#[tokio::test]
async fn a_domain_that_leaves_the_policy_has_no_alarms() {
    let scene = Scene::start(None).await;
    scene.raise(5).await;
    scene.wait_recorded(1).await;
    let text = format!(
        "[[domain]]\nname = \"example.org\"\nprimary = [\"127.0.0.1:9\"]\n\
         [alarms]\nwebhook = \"http://{}/\"\n",
        scene.address
    );
    scene.outbox.adopt_whole(Policy::parse(&text).unwrap());
    scene.wait_recorded(0).await;
    assert_eq!(scene.heard.told()[1].1, "cleared");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_not_told_anything() {
    let scene = Scene::start(Some(acceptor())).await;
    scene.raise(5).await;
    until("it is given up", || scene.metrics.of("given-up") == 1).await;
    assert_eq!(scene.heard.count(), 0);
}
