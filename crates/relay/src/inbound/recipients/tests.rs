//! Recipients of a primary on loopback that answers on cue.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use prometheus_client::registry::Registry;
use smtp::Mailbox;
use spool::{
    Destination, Fact, Learned, Policy, Reachability, Timestamp,
    recipients::{NONSENSE_FRESH, News, Source, UNKNOWN_FRESH, VALID_FRESH},
};
use tokio::time::sleep;

use super::*;
use crate::{
    inbound::limits::{REFUSALS_PER_CONNECTION_MAX, SILENCE_MIN},
    outbound::tests::primary::{Act, Moment, Primary, Script},
    route::tests::routes_without_dns,
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const NO: Act = Act::Say("550 5.1.1 no such user");

/// An address book that is a map, and learns at once.
#[derive(Debug, Default)]
struct Book {
    known: Mutex<HashMap<String, Learned>>,
    destination: Mutex<Destination>,
    facts: Mutex<Vec<Fact>>,
}

impl AddressBook for Book {
    async fn look_up(&self, _: &str, address: &str) -> Result<Option<Learned>, Refusal> {
        Ok(self.known.lock().unwrap().get(address).copied())
    }

    fn primary(&self, _: &str) -> Destination {
        self.destination.lock().unwrap().clone()
    }

    fn learn(&self, domain: &Domain, address: String, news: News) {
        let (is_valid, from) = match news {
            News::Valid(from) => (true, from),
            News::Unknown(from) => (false, from),
            News::Nothing => panic!("only operators forget"),
        };
        let learned = Learned {
            is_valid,
            at: NOW,
            from,
            policy_version: 1,
        };
        if address.is_empty() {
            self.destination.lock().unwrap().roster.nonsense = Some(learned);
        } else {
            let mut known = self.known.lock().unwrap();
            known.insert(address.clone(), learned);
        }
        self.facts.lock().unwrap().push(Fact {
            domain: domain.name.clone(),
            address,
            news,
        });
    }
}

/// A verifier with its primary. It lives as long as the primary does.
struct Scene {
    primary: Primary,
    book: Arc<Book>,
    verifier: Arc<Verifier<Book>>,
    policy: Policy,
}

fn path(local_part: &str) -> ForwardPath {
    ForwardPath::Mailbox(Mailbox {
        local_part: local_part.into(),
        domain: "Example.com".into(),
    })
}

fn policy(primary: SocketAddr) -> Policy {
    let text = format!(
        "[[domain]]\nname = \"example.com\"\nprimary = [\"{primary}\"]\nrecipients = \"verify\"\n"
    );
    Policy::parse(&text).unwrap()
}

impl Scene {
    async fn new(script: Script) -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let primary = Primary::start(any_port, script, None).await;
        let book = Arc::new(Book::default());
        let metrics = Metrics::register(&mut Registry::default());
        let (hostname, clock) = ("mx.test".to_owned(), Clock(|| NOW));
        let verifier = Verifier::new(
            Arc::clone(&book),
            hostname,
            clock,
            metrics,
            routes_without_dns(),
        );
        Self {
            policy: policy(primary.address),
            primary,
            book,
            verifier: Arc::new(verifier),
        }
    }

    async fn rule_on(&self, local_part: &str, while_down: WhileDown) -> Ruling {
        let (domain, path) = (&self.policy.domains[0], path(local_part));
        let ruling = self.verifier.rule(domain, &path, while_down).await;
        ruling.unwrap()
    }

    async fn rule(&self, local_part: &str) -> Ruling {
        self.rule_on(local_part, WhileDown::Accept).await
    }

    fn know(&self, address: &str, is_valid: bool, at: Timestamp) {
        let from = Source::Delivery;
        let learned = Learned {
            is_valid,
            at,
            from,
            policy_version: 1,
        };
        let mut known = self.book.known.lock().unwrap();
        known.insert(address.to_owned(), learned);
    }

    fn learned(&self) -> Vec<(String, News)> {
        let facts = self.book.facts.lock().unwrap();
        facts
            .iter()
            .map(|fact| (fact.address.clone(), fact.news))
            .collect()
    }

    fn connections(&self) -> usize {
        self.primary.log.lock().unwrap().connections
    }

    async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while !condition(self) {
            assert!(std::time::Instant::now() < deadline, "not in time: {what}");
            sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Takes some, says to all others that they are unknown, and counts the questions.
fn taking(valid: &'static [&'static str]) -> (Script, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let script: Script = Arc::new(move |_, moment| {
        let Moment::Rcpt(to) = moment else {
            return Act::Usual;
        };
        count.fetch_add(1, Ordering::SeqCst);
        let to = to.to_ascii_lowercase();
        if valid.iter().any(|valid| to.starts_with(valid)) {
            Act::Usual
        } else {
            NO
        }
    });
    (script, asked)
}

fn saying(act: Act) -> Script {
    Arc::new(move |_, moment| match moment {
        Moment::Rcpt(_) => act.clone(),
        _ => Act::Usual,
    })
}

const YES: News = News::Valid(Source::Probe);
const NOBODY: News = News::Unknown(Source::Probe);

#[tokio::test]
async fn a_recipient_is_asked_about_once_and_then_known() {
    let (script, asked) = taking(&["ann@", "bob@"]);
    let scene = Scene::new(script).await;
    for _ in 0..3 {
        assert_eq!(scene.rule("Ann").await, Ruling::Taken);
        assert_eq!(scene.rule("nobody").await, Ruling::Unknown);
        assert_eq!(scene.rule("bob").await, Ruling::Taken);
    }
    let expected = [
        ("", NOBODY),
        ("ann@example.com", YES),
        ("nobody@example.com", NOBODY),
        ("bob@example.com", YES),
    ];
    let expected = expected.map(|(address, news)| (address.to_owned(), news));
    assert_eq!(scene.learned(), expected);
    assert_eq!(asked.load(Ordering::SeqCst), 4, "one of them nonsense");
    assert_eq!(scene.connections(), 1);
}

#[tokio::test]
async fn the_postmaster_is_always_there() {
    let (script, asked) = taking(&[]);
    let scene = Scene::new(script).await;
    assert_eq!(scene.rule("PostMaster").await, Ruling::Taken);
    let domain = &scene.policy.domains[0];
    let ruling = scene
        .verifier
        .rule(domain, &ForwardPath::Postmaster, WhileDown::Defer);
    assert_eq!(ruling.await.unwrap(), Ruling::Taken);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn of_a_primary_that_takes_everybody_nobody_is_learned() {
    let (script, asked) = taking(&[""]);
    let scene = Scene::new(script).await;
    for local_part in ["a", "b", "c"] {
        assert_eq!(scene.rule(local_part).await, Ruling::Taken);
    }
    assert_eq!(scene.learned(), [(String::new(), YES)]);
    assert_eq!(asked.load(Ordering::SeqCst), 2, "the first, and nonsense");
    // A day later it is asked again, and nobody waits for that.
    let old = NOW.before(NONSENSE_FRESH * 2);
    let mut destination = scene.book.destination.lock().unwrap().clone();
    destination.roster.nonsense = destination.roster.nonsense.map(|nonsense| Learned {
        at: old,
        ..nonsense
    });
    *scene.book.destination.lock().unwrap() = destination;
    assert_eq!(scene.rule("d").await, Ruling::Taken);
    scene
        .until("the next question", |_| asked.load(Ordering::SeqCst) > 2)
        .await;
}

#[tokio::test]
async fn what_proves_nothing_is_taken_and_not_learned() {
    for reply in ["554 5.7.1 you are listed", "550 5.7.1 no", "501 what?"] {
        let scene = Scene::new(saying(Act::Say(reply))).await;
        assert_eq!(scene.rule("a").await, Ruling::Taken, "{reply}");
        assert_eq!(scene.learned(), [], "{reply}");
    }
}

#[tokio::test]
async fn who_is_put_off_is_put_off() {
    let scene = Scene::new(saying(Act::Say("451 4.3.0 later"))).await;
    assert_eq!(scene.rule("a").await, Ruling::Later);
    assert_eq!(scene.rule_on("a", WhileDown::Defer).await, Ruling::Later);
    assert_eq!(scene.learned(), []);
}

#[tokio::test]
async fn a_primary_that_can_not_be_reached_leaves_it_to_the_policy() {
    let (script, _) = taking(&[]);
    let scene = Scene::new(script).await;
    let Scene {
        primary,
        book,
        verifier,
        policy,
    } = scene;
    primary.stop().await;
    let domain = &policy.domains[0];
    book.known.lock().unwrap().insert(
        "gone@example.com".to_owned(),
        Learned {
            is_valid: false,
            at: NOW.before(UNKNOWN_FRESH * 2),
            from: Source::Probe,
            policy_version: 1,
        },
    );
    for (local_part, while_down, expected) in [
        ("a", WhileDown::Accept, Ruling::Taken),
        ("a", WhileDown::Defer, Ruling::Later),
        ("gone", WhileDown::Accept, Ruling::Unknown),
    ] {
        let ruling = verifier.rule(domain, &path(local_part), while_down).await;
        assert_eq!(ruling.unwrap(), expected, "{local_part} {while_down:?}");
    }
}

#[tokio::test]
async fn a_primary_that_is_known_to_be_down_is_not_asked() {
    let (script, asked) = taking(&["a@"]);
    let scene = Scene::new(script).await;
    let reachability = Reachability::Down("refused".into());
    scene.book.destination.lock().unwrap().reachability = reachability;
    scene.know("known@example.com", true, NOW.before(VALID_FRESH * 100));
    scene.know("unknown@example.com", false, NOW.before(UNKNOWN_FRESH * 2));
    for (local_part, while_down, expected) in [
        ("a", WhileDown::Accept, Ruling::Taken),
        ("a", WhileDown::Defer, Ruling::Later),
        ("known", WhileDown::Defer, Ruling::Taken),
        ("unknown", WhileDown::Accept, Ruling::Unknown),
    ] {
        let ruling = scene.rule_on(local_part, while_down).await;
        assert_eq!(ruling, expected, "{local_part} {while_down:?}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_is_old_is_asked_again() {
    let (script, _) = taking(&["back@"]);
    let scene = Scene::new(script).await;
    scene.know("left@example.com", true, NOW.before(VALID_FRESH * 2));
    scene.know("back@example.com", false, NOW.before(UNKNOWN_FRESH * 2));
    assert_eq!(scene.rule("back").await, Ruling::Taken);
    assert_eq!(scene.rule("left").await, Ruling::Taken, "for the last time");
    scene
        .until("he is known to have left", |scene| {
            let known = scene.book.known.lock().unwrap();
            known.get("left@example.com").is_some_and(|l| !l.is_valid)
        })
        .await;
    assert_eq!(scene.rule("left").await, Ruling::Unknown);
}

#[tokio::test]
async fn those_who_ask_at_once_are_answered_by_one_question() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let script: Script = Arc::new(move |_, moment| match moment {
        Moment::Rcpt(_) => {
            count.fetch_add(1, Ordering::SeqCst);
            Act::Say("451 4.3.0 nothing is learned of this")
        }
        // Long enough for all to have asked.
        Moment::Ehlo => Act::After(Duration::from_millis(300)),
        _ => Act::Usual,
    });
    let scene = Arc::new(Scene::new(script).await);
    let mut sessions = JoinSet::new();
    for _ in 0..20 {
        let scene = Arc::clone(&scene);
        sessions.spawn(async move { scene.rule("a").await });
    }
    assert_eq!(sessions.join_all().await, [Ruling::Later; 20]);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn no_more_questions_wait_than_can_be_answered() {
    let script: Script = Arc::new(|connection, moment| match moment {
        Moment::Ehlo if connection == 1 => Act::After(Duration::from_millis(500)),
        Moment::Rcpt(_) => NO,
        _ => Act::Usual,
    });
    let scene = Arc::new(Scene::new(script).await);
    let began = Instant::now();
    let mut sessions = JoinSet::new();
    for number in 0..2 * QUESTIONS_MAX {
        let scene = Arc::clone(&scene);
        sessions.spawn(async move { (scene.rule(&format!("n{number}")).await, began.elapsed()) });
    }
    let answers = sessions.join_all().await;
    let at_once = answers
        .iter()
        .filter(|(ruling, after)| *ruling == Ruling::Later && *after < Duration::from_millis(400));
    assert!(at_once.count() >= QUESTIONS_MAX / 2, "{answers:?}");
    let later = answers
        .iter()
        .filter(|(ruling, _)| *ruling == Ruling::Unknown);
    assert!(later.count() >= QUESTIONS_MAX / 2, "{answers:?}");
}

#[tokio::test]
async fn a_silent_primary_holds_nobody_up_for_long_and_the_next_not_at_all() {
    let scene = Scene::new(saying(Act::Silence)).await;
    let began = Instant::now();
    assert_eq!(scene.rule("a").await, Ruling::Later);
    let waited = began.elapsed();
    assert!(
        waited < QUESTION_PATIENCE + Duration::from_secs(2),
        "{waited:?}"
    );
    let began = Instant::now();
    assert_eq!(scene.rule("b").await, Ruling::Later);
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_primary_that_is_slow_and_answers_is_asked_again_at_once() {
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Rcpt(to) if to.starts_with("slow@") => Act::Say("451 4.3.0 later"),
        Moment::Rcpt(_) => NO,
        Moment::Ehlo => Act::After(SILENCE_MIN),
        _ => Act::Usual,
    });
    let scene = Scene::new(script).await;
    assert_eq!(scene.rule("slow").await, Ruling::Later);
    assert_eq!(scene.rule("a").await, Ruling::Unknown);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_opened_again() {
    let script: Script = Arc::new(|connection, moment| match moment {
        Moment::Rcpt(to) if to.starts_with("last@") && connection == 1 => {
            Act::SayAndClose("421 4.3.2 too many errors")
        }
        Moment::Rcpt(to) if to.starts_with("last@") => Act::Usual,
        Moment::Rcpt(_) => NO,
        _ => Act::Usual,
    });
    let scene = Scene::new(script).await;
    assert_eq!(scene.rule("a").await, Ruling::Unknown);
    assert_eq!(scene.rule("last").await, Ruling::Taken);
    assert_eq!(scene.connections(), 2);
}

#[tokio::test]
async fn a_server_is_not_taxed_with_too_many_refusals_at_a_time() {
    let (script, _) = taking(&[]);
    let scene = Scene::new(script).await;
    for number in 0..2 * REFUSALS_PER_CONNECTION_MAX {
        assert_eq!(scene.rule(&format!("n{number}")).await, Ruling::Unknown);
    }
    assert_eq!(scene.connections(), 2);
}

#[tokio::test]
async fn an_address_that_no_server_can_be_asked_about_is_taken() {
    let (script, asked) = taking(&[]);
    let scene = Scene::new(script).await;
    assert_eq!(scene.rule("gr\u{fc}n").await, Ruling::Taken);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_recipient_under_either_form_of_his_domain_is_asked_about_under_the_one_of_the_dns() {
    let named = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&named);
    let script: Script = Arc::new(move |_, moment| match moment {
        Moment::Rcpt(to) => {
            noted.lock().unwrap().push(to.to_owned());
            NO
        }
        _ => Act::Usual,
    });
    let scene = Scene::new(script).await;
    let domain = &scene.policy.domains[0];
    for address in ["ann@b\u{fc}cher.example", "Ann@XN--BCHER-KVA.example"] {
        let path = ForwardPath::Mailbox(address.parse().unwrap());
        let ruling = scene.verifier.rule(domain, &path, WhileDown::Accept).await;
        assert_eq!(ruling.unwrap(), Ruling::Unknown, "{address}");
    }
    let named = named.lock().unwrap();
    assert_eq!(*named, ["ann@xn--bcher-kva.example"], "it was known then");
    let learned = [("ann@xn--bcher-kva.example".to_owned(), NOBODY)];
    assert_eq!(scene.learned(), learned);
}
