//! Reports on their way to senders: to their own hosts, or by a smarthost.
//!
//! MX records name no port, so a sender's own host needs port 25 of a loopback address, which only root may listen
//! on.

use std::net::Ipv4Addr;

use smtp::{ForwardPath, Mailbox};
use spool::{Message, Policy, policy::Domains};

use super::reports::verdicts;
use super::*;
use crate::dns::tests::name_server::{Data, NameServer};
use crate::outbound::limits::{COURIERS_MAX, DEAD_END_WAIT};
use crate::route::tests::routes_by;

/// Where the sender's own host is in a test of this number.
const fn at(test: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 25, 2, test)
}

/// A name server that knows the sender's own host.
fn name_server(test: u8) -> NameServer {
    let server = NameServer::start();
    server.tell("sender.example", &[Data::Mx(10, "mx.sender.example")]);
    server.tell("mx.sender.example", &[Data::A(at(test))]);
    server
}

/// The sender's own host. `None`, and a line that says so, where there can be none.
async fn host(test: u8, script: Script) -> Option<Primary> {
    let address = SocketAddr::from((at(test), 25));
    if let Err(error) = std::net::TcpListener::bind(address) {
        println!("skipped: {address} can not be listened on ({error}); run the tests as root");
        return None;
    }
    Some(Primary::start(address, script, None).await)
}

/// Makes a message one to somebody in this domain.
fn to(domain: &str) -> impl FnOnce(&mut Message) {
    let path = ForwardPath::Mailbox(Mailbox {
        local_part: "a".into(),
        domain: domain.into(),
    });
    |message| message.recipients[0].path = path
}

/// An outbox without a smarthost.
fn reports(retry: Duration) -> Arc<MapOutbox> {
    MapOutbox::of_reports(Policy::default(), retry)
}

async fn start(outbox: &Arc<MapOutbox>, server: &NameServer) -> Running {
    Running::by_routes(outbox, 1, PATIENT, routes_by(server).await)
}

fn taken() -> Verdict {
    Verdict::Delivered("250 2.0.0 taken".to_owned())
}

/// The hosts of all attempts.
fn hosts(outbox: &MapOutbox) -> Vec<String> {
    let state = outbox.state.lock().unwrap();
    let attempts = state.reports.iter().flat_map(|report| &report.attempts);
    attempts.map(|attempt| attempt.host.clone()).collect()
}

#[tokio::test]
async fn a_report_goes_to_the_senders_own_host() {
    let Some(host) = host(1, usual()).await else {
        return;
    };
    let server = name_server(1);
    let outbox = reports(NEVER);
    outbox.queue_as(&["x"], BODY, to("sender.example"));
    let running = start(&outbox, &server).await;
    until("empty", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(verdicts(&outbox), [taken()]);
    assert_eq!(hosts(&outbox), ["mx.sender.example:25"]);
    let report = host.taken().remove(0);
    assert!(report.commands[0].starts_with("MAIL FROM:<>"));
    assert_eq!(report.to, ["a@sender.example"]);
    assert!(report.body.ends_with(BODY));
    assert_eq!(outbox.state.lock().unwrap().unclaimed_reports, 0);
}

#[tokio::test]
async fn a_smarthost_takes_all_reports_and_no_name_server_is_asked_for_their_domains() {
    let smarthost = Primary::start(ANY_PORT, usual(), None).await;
    let text = format!(
        "[[domain]]\nname = \"example.com\"\nprimary = [\"mail.example.com\"]\n\
         [dsn]\nsmarthost = \"{}\"\n",
        smarthost.address
    );
    let mut policy = Policy::parse(&text).unwrap();
    // The outbox has nothing else than reports.
    policy.domains = Domains::default();
    let outbox = MapOutbox::of_reports(policy, NEVER);
    outbox.queue_as(&["x"], BODY, to("sender.example"));
    outbox.queue_as(&["x"], BODY, to("nowhere.example"));
    let server = NameServer::start();
    let running = start(&outbox, &server).await;
    until("empty", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(verdicts(&outbox), [taken(), taken()]);
    let mut to: Vec<String> = smarthost.taken().into_iter().flat_map(|it| it.to).collect();
    to.sort_unstable();
    assert_eq!(to, ["a@nowhere.example", "a@sender.example"]);
    let asked = server.asked();
    assert!(!asked.iter().any(|it| it.contains(".example")), "{asked:?}");
}

#[tokio::test]
async fn a_report_that_is_refused_is_tried_no_more() {
    let refusing: Script = Arc::new(|_, moment| match moment {
        Moment::Rcpt(_) => Act::Say("550 5.1.1 no such user"),
        _ => Act::Usual,
    });
    let Some(host) = host(2, refusing).await else {
        return;
    };
    let server = name_server(2);
    let outbox = reports(SOON);
    outbox.queue_as(&["x"], BODY, to("sender.example"));
    let running = start(&outbox, &server).await;
    until("dropped", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    let refused = Verdict::Rejected("550 5.1.1 no such user".to_owned());
    assert_eq!(verdicts(&outbox), [refused]);
    assert_eq!(host.log.lock().unwrap().connections, 1);
}

#[tokio::test]
async fn a_report_that_is_put_off_is_tried_again() {
    let later = Act::Say("451 4.3.0 later");
    let script = at_first(1, |moment| matches!(moment, Moment::Rcpt(_)), later);
    let Some(host) = host(3, script).await else {
        return;
    };
    let server = name_server(3);
    let outbox = reports(SOON);
    outbox.queue_as(&["x"], BODY, to("sender.example"));
    let running = start(&outbox, &server).await;
    until("empty", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    let later = Verdict::Deferred("451 4.3.0 later".to_owned());
    assert_eq!(verdicts(&outbox), [later, taken()]);
    assert_eq!(host.taken().len(), 1);
}

#[tokio::test]
async fn a_host_that_is_gone_puts_off_its_own_report_only_until_it_is_flushed() {
    let Some(there) = host(4, usual()).await else {
        return;
    };
    let server = name_server(4);
    server.tell("gone.example", &[Data::Mx(10, "mx.gone.example")]);
    server.tell("mx.gone.example", &[Data::A(at(5))]);
    let outbox = reports(NEVER);
    let first = outbox.queue_as(&["x"], BODY, to("gone.example"));
    outbox.queue_as(&["x"], BODY, to("sender.example"));
    let running = start(&outbox, &server).await;
    until("both were tried", || verdicts(&outbox).len() == 2).await;
    assert_eq!(there.taken().len(), 1);
    let put_off = outbox.message(first).unwrap();
    let Status::Deferred { reason, .. } = &put_off.recipients[0].status else {
        panic!("{put_off:?}");
    };
    let expected = "mx.gone.example:25: connecting failed";
    assert!(reason.starts_with(expected), "{reason}");

    let back = host(5, usual()).await.unwrap();
    outbox.flush();
    until("empty", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(back.taken().len(), 1);
}

#[tokio::test]
async fn a_domain_that_takes_no_mail_is_given_up_and_one_that_is_not_told_of_is_not() {
    let server = NameServer::start();
    server.tell("null.example", &[Data::Mx(0, ".")]);
    server.tell("empty.example", &[]);
    server.fail("broken.example");
    let outbox = reports(NEVER);
    for domain in ["nowhere.example", "null.example", "empty.example"] {
        outbox.queue_as(&["x"], BODY, to(domain));
    }
    let broken = outbox.queue_as(&["x"], BODY, to("broken.example"));
    let running = start(&outbox, &server).await;
    until("all were tried", || verdicts(&outbox).len() == 4).await;
    running.stop().await.unwrap();
    let mut reasons: Vec<String> = verdicts(&outbox)
        .into_iter()
        .filter_map(|verdict| match verdict {
            Verdict::Rejected(reason) => Some(reason),
            _ => None,
        })
        .collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            "5.1.10 null.example takes no mail",
            "5.1.2 there is no domain nowhere.example",
            "5.4.4 no host that would take the mail of empty.example has an address"
        ]
    );
    let state = outbox.state.lock().unwrap();
    let left: Vec<&u64> = state.messages.keys().collect();
    assert_eq!(left, [&broken]);
}

#[tokio::test]
async fn a_stop_before_a_host_has_greeted_leaves_the_report_as_it_was() {
    let silent: Script = Arc::new(|_, moment| match moment {
        Moment::Greeting => Act::Silence,
        _ => Act::Usual,
    });
    let Some(host) = host(6, silent).await else {
        return;
    };
    let server = name_server(6);
    let outbox = reports(NEVER);
    let sequence = outbox.queue_as(&["x"], BODY, to("sender.example"));
    let running = start(&outbox, &server).await;
    until("connected", || host.log.lock().unwrap().connections == 1).await;
    running.stop().await.unwrap();
    assert_eq!(verdicts(&outbox), []);
    assert!(outbox.claims().is_empty());
    let report = outbox.message(sequence).unwrap();
    assert_eq!(report.recipients[0].status, Status::Pending);
}

#[tokio::test]
async fn a_stop_behind_the_final_dot_waits_for_the_answer() {
    let slow: Script = Arc::new(|_, moment| match moment {
        Moment::Dot(_) => Act::After(Duration::from_millis(300)),
        _ => Act::Usual,
    });
    let Some(host) = host(7, slow).await else {
        return;
    };
    let server = name_server(7);
    let outbox = reports(NEVER);
    outbox.queue_as(&["x"], BODY, to("sender.example"));
    let running = start(&outbox, &server).await;
    until("the dot is out", || host.dots() == 1).await;
    running.stop().await.unwrap();
    assert_eq!(verdicts(&outbox), [taken()]);
    assert!(outbox.is_empty());
}

#[tokio::test]
async fn a_host_that_keeps_couriers_waiting_does_not_keep_all_of_them_for_long() {
    let Some(host) = host(20, Arc::new(|_, _| Act::Silence)).await else {
        return;
    };
    let server = name_server(20);
    let outbox = reports(NEVER);
    let count = 4 * COURIERS_MAX;
    for _ in 0..count {
        outbox.queue_as(&["x"], BODY, to("sender.example"));
    }
    let waiting = Timeouts {
        greeting: DEAD_END_WAIT,
        ..PATIENT
    };
    let running = Running::by_routes(&outbox, 1, waiting, routes_by(&server).await);
    until("each is put off", || verdicts(&outbox).len() == count).await;
    assert_eq!(host.log.lock().unwrap().connections, COURIERS_MAX);
    let is_put_off = |verdict: &Verdict| match verdict {
        Verdict::Deferred(words) => words.contains("no greeting"),
        _ => false,
    };
    assert!(verdicts(&outbox).iter().all(is_put_off));
    // An operator may know better.
    outbox.flush();
    until("they are tried again", || {
        host.log.lock().unwrap().connections > COURIERS_MAX
    })
    .await;
    running.stop().await.unwrap();
}
