//! Messages that are judged by what a name server says.

use smtp::ReversePath;
use spool::{Finding, authentication::Signature};

use super::{
    signer::{Algorithm, Form},
    *,
};
use crate::{
    dns::tests::{
        asking_nobody, asking_of,
        name_server::{Data, NameServer},
    },
    inbound::tests::metrics,
};

const MESSAGE: &[u8] = b"From: A <a@sender.example>\r\nSubject: hello\r\n\r\nhello\r\n";

struct Scene {
    server: NameServer,
    authenticator: Authenticator,
}

impl Scene {
    async fn new() -> Self {
        let server = NameServer::start();
        let authenticator =
            Authenticator::new(asking_of(&server).await, "mx1.example.net", metrics());
        Self {
            server,
            authenticator,
        }
    }

    fn text(&self, name: &str, text: &str) {
        self.server.tell(name, &[Data::Txt(text.to_owned())]);
    }

    fn publish(&self, signer: &Signer<'_>) {
        self.text(&signer.record_name(), signer.record());
    }

    async fn judge_from(&self, sender: &ReversePath, message: &[u8]) -> Told {
        self.judge_at(&places(1), sender, message).await
    }

    /// With so many places of the client.
    async fn judge_at(&self, places: &Arc<Places>, sender: &ReversePath, message: &[u8]) -> Told {
        let policy = policy("");
        let client = ([192, 0, 2, 1].into(), Arc::clone(places));
        let begun = self
            .authenticator
            .begin(&policy, client, "client.example", sender);
        let (evaluation, evidence) = begun.unwrap();
        let mut screen = Screen::new(None);
        screen.gather(evidence);
        let gathered = pass(screen, message.chunks(1000)).gathered.unwrap();
        let told = self
            .authenticator
            .finish(evaluation, gathered, Some(&policy), sender);
        told.await.unwrap()
    }

    async fn judge(&self, message: &[u8]) -> Authentication {
        self.judge_from(&sender(), message).await.authentication
    }
}

fn places(number: usize) -> Arc<Places> {
    Arc::new(Places::new(number))
}

fn sender() -> ReversePath {
    ReversePath::Mailbox("a@sender.example".parse().unwrap())
}

fn by(domain: &str, finding: Finding) -> Signature {
    Signature {
        domain: domain.to_owned(),
        finding,
    }
}

#[tokio::test]
async fn spf_is_asked_for_the_reverse_path_and_for_helo() {
    let unpublished = Scene::new().await;
    let found = unpublished.judge(MESSAGE).await;
    assert_eq!((found.spf, found.spf_helo), (Finding::None, Finding::None));
    let scene = Scene::new().await;
    for (record, finding) in [
        ("v=spf1 ip4:192.0.2.0/24 -all", Finding::Pass),
        ("v=spf1 ip4:198.51.100.0/24 -all", Finding::Fail),
        ("v=spf1 ~all", Finding::SoftFail),
        ("v=spf1 ?all", Finding::Neutral),
        (
            "v=spf1 a:no.example include:no.example -all",
            Finding::PermError,
        ),
        ("v=spf1 ip4:nonsense -all", Finding::PermError),
        ("some text", Finding::None),
    ] {
        scene.text("sender.example", record);
        scene.text("client.example", "v=spf1 -all");
        let found = scene.judge(MESSAGE).await;
        assert_eq!(
            (found.spf, found.spf_helo),
            (finding, Finding::Fail),
            "{record}"
        );
    }
    scene.server.fail("sender.example");
    assert_eq!(scene.judge(MESSAGE).await.spf, Finding::TempError);
}

#[tokio::test]
async fn without_a_reverse_path_helo_is_what_counts() {
    let scene = Scene::new().await;
    scene.text("client.example", "v=spf1 ip4:192.0.2.1 -all");
    let told = scene.judge_from(&ReversePath::Null, MESSAGE).await;
    let found = told.authentication;
    assert_eq!((found.spf, found.spf_helo), (Finding::None, Finding::Pass));
    assert!(!found.proves(&ReversePath::Null));
    let expected = "Authentication-Results: mx1.example.net;\r\n\
        \tspf=pass smtp.helo=client.example;\r\n\
        \tdkim=none;\r\n\
        \tdmarc=none header.from=sender.example\r\n";
    assert_eq!(told.field, expected);
}

#[tokio::test]
async fn where_nothing_is_published_and_nothing_signed_no_field_is_added() {
    let scene = Scene::new().await;
    let told = scene.judge_from(&ReversePath::Null, MESSAGE).await;
    assert_eq!(told.authentication.dmarc, Finding::None);
    assert_eq!(told.field, "");
    // Of the name in EHLO nothing is told where there is a sender.
    let scene = Scene::new().await;
    scene.text("client.example", "v=spf1 ip4:192.0.2.1 -all");
    let path = ReversePath::Mailbox("a@sender.example".parse().unwrap());
    let told = scene.judge_from(&path, MESSAGE).await;
    assert_eq!(told.authentication.spf_helo, Finding::Pass);
    assert_eq!(told.field, "");
}

#[tokio::test]
async fn signatures_of_every_kind_are_verified() {
    let scene = Scene::new().await;
    let body = b"text \t with  white space \r\n\r\n\r\n".repeat(1000);
    let message = [&b"From: a@sender.example\r\nSubject: x\r\n\r\n"[..], &body].concat();
    for algorithm in [Algorithm::Rsa, Algorithm::Ed25519] {
        for header in [Form::Simple, Form::Relaxed] {
            for body in [Form::Simple, Form::Relaxed] {
                let signer = Signer {
                    algorithm,
                    header,
                    body,
                    ..Signer::new("sender.example")
                };
                scene.publish(&signer);
                let found = scene.judge(&signer.signed(&message)).await;
                let expected = [by("sender.example", Finding::Pass)];
                assert_eq!(found.dkim, expected, "{signer:?}");
                assert!(found.proves(&sender()));
            }
        }
    }
}

#[tokio::test]
async fn what_was_changed_is_found_out() {
    let scene = Scene::new().await;
    let signer = Signer::new("sender.example");
    scene.publish(&signer);
    let signed = signer.signed(MESSAGE);
    let changed = |from: &str, to: &str| {
        let text = String::from_utf8(signed.clone()).unwrap();
        assert!(text.contains(from));
        text.replace(from, to).into_bytes()
    };
    let names = {
        let text = String::from_utf8(signed.clone()).unwrap();
        let (_, behind) = text.split_once("h=").unwrap();
        format!("h={}", behind.split_once(';').unwrap().0)
    };
    for (message, finding) in [
        (signed.clone(), Finding::Pass),
        (changed("\r\n\r\nhello", "\r\n\r\nhallo"), Finding::Fail),
        (changed("Subject: hello", "Subject: hallo"), Finding::Fail),
        (
            changed("\r\n\r\nhello", "\n\nevil\r\n\r\nhello"),
            Finding::PermError,
        ),
        (changed(&names, "h=Subject"), Finding::PermError),
        (changed("v=1;", "v=2;"), Finding::Neutral),
        (changed("a=rsa-sha256", "a=rsa-sha1"), Finding::Policy),
    ] {
        let found = scene.judge(&message).await;
        assert_eq!(found.dkim_finding(), finding, "{}", message.escape_ascii());
        assert_eq!(found.proves(&sender()), finding == Finding::Pass);
    }
    let partly = Signer {
        limits_body: true,
        ..signer
    };
    let found = scene.judge(&partly.signed(MESSAGE)).await;
    assert_eq!(found.dkim, [by("", Finding::Policy)]);
    scene.server.fail(&signer.record_name());
    let found = scene.judge(&signed).await;
    assert_eq!(found.dkim, [by("sender.example", Finding::TempError)]);
    scene.server.forget(&signer.record_name());
    let found = scene.judge(&signed).await;
    assert_eq!(found.dkim, [by("sender.example", Finding::PermError)]);
}

#[tokio::test]
async fn no_more_signatures_are_looked_at_than_honest_mail_has() {
    let scene = Scene::new().await;
    let mut message = MESSAGE.to_vec();
    for number in 0..20 {
        let domain = format!("signer{number}.example");
        let signer = Signer::new(&domain);
        scene.publish(&signer);
        message = signer.signed(&message);
    }
    let found = scene.judge(&message).await;
    assert_eq!(found.dkim.len(), 8);
    assert!(found.dkim.iter().all(|it| it.finding == Finding::Pass));
    let keys = scene.server.asked();
    let keys = keys.iter().filter(|asked| asked.contains("_domainkey"));
    assert_eq!(keys.count(), 8);
}

#[tokio::test]
async fn dmarc_asks_whether_either_speaks_for_the_domain_that_people_see() {
    let scene = Scene::new().await;
    let signer = Signer::new("sender.example");
    scene.publish(&signer);
    let dmarc = async |from: &str, policy: &str, spf: &str, is_signed: bool| {
        scene.text("sender.example", spf);
        scene.text("_dmarc.sender.example", policy);
        let message = format!("From: {from}\r\nSubject: x\r\n\r\nx\r\n").into_bytes();
        let message = if is_signed {
            signer.signed(&message)
        } else {
            message
        };
        let found = scene.judge(&message).await;
        (found.dmarc, found.from_domain)
    };
    let (pass, fail) = ("v=spf1 ip4:192.0.2.1 -all", "v=spf1 -all");
    let (relaxed, strict) = ("v=DMARC1; p=reject", "v=DMARC1; p=reject; aspf=s; adkim=s");
    let below = "a@news.sender.example";
    for (from, policy, spf, is_signed, finding) in [
        ("a@sender.example", relaxed, pass, false, Finding::Pass),
        ("a@sender.example", relaxed, fail, true, Finding::Pass),
        ("a@sender.example", relaxed, fail, false, Finding::Fail),
        ("a@sender.example", "no policy", pass, true, Finding::None),
        (below, relaxed, pass, false, Finding::Pass),
        (below, strict, pass, true, Finding::Fail),
    ] {
        let expected = from.split_once('@').unwrap().1.to_owned();
        let found = dmarc(from, policy, spf, is_signed).await;
        assert_eq!(
            found,
            (finding, expected),
            "{from} {policy} {spf} {is_signed}"
        );
    }
    let several = "a@sender.example, b@other.example";
    let found = dmarc(several, relaxed, pass, true).await;
    assert_eq!(found, (Finding::None, String::new()));
    scene.server.fail("_dmarc.sender.example");
    let found = scene.judge(MESSAGE).await;
    assert_eq!(
        (found.dmarc, &*found.from_domain),
        (Finding::TempError, "sender.example")
    );
}

#[tokio::test]
async fn the_field_names_what_was_asked_and_what_was_found() {
    let scene = Scene::new().await;
    let signer = Signer::new("sender.example");
    scene.publish(&signer);
    scene.text("sender.example", "v=spf1 ip4:192.0.2.1 -all");
    scene.text("_dmarc.sender.example", "v=DMARC1; p=quarantine");
    let told = scene.judge_from(&sender(), &signer.signed(MESSAGE)).await;
    let expected = "Authentication-Results: mx1.example.net;\r\n\
        \tspf=pass smtp.mailfrom=sender.example;\r\n\
        \tdkim=pass header.d=sender.example\r\n\t\theader.s=test;\r\n\
        \tdmarc=pass (p=quarantine) header.from=sender.example\r\n";
    assert_eq!(told.field, expected);
}

#[tokio::test]
async fn answers_that_do_not_come_cost_three_seconds_and_are_said_to_be_missing() {
    let scene = Scene::new().await;
    let signer = Signer::new("sender.example");
    for name in [
        "sender.example",
        &signer.record_name(),
        "_dmarc.sender.example",
    ] {
        scene.server.ignore(name);
    }
    let began = Instant::now();
    let found = scene.judge(&signer.signed(MESSAGE)).await;
    assert!(began.elapsed() < EVALUATION_PATIENCE * 3);
    assert_eq!(
        (found.spf, found.dmarc),
        (Finding::TempError, Finding::TempError)
    );
    assert_eq!(found.dkim, [by("sender.example", Finding::TempError)]);
    assert_eq!(found.from_domain, "sender.example");
}

#[tokio::test]
async fn who_has_no_place_waits_for_his_own_and_takes_none_from_others() {
    let scene = Scene::new().await;
    scene.text("sender.example", "v=spf1 ip4:192.0.2.1 -all");
    let (busy, free) = (places(0), places(1));
    let (from, began) = (sender(), Instant::now());
    let waiting = scene.judge_at(&busy, &from, MESSAGE);
    let other = async {
        let told = scene.judge_at(&free, &from, MESSAGE).await;
        assert!(began.elapsed() < EVALUATION_PATIENCE);
        let places = &scene.authenticator.places;
        for left in [&places.spf, &places.rest] {
            assert_eq!(left.available_permits(), EVALUATIONS_MAX);
        }
        told
    };
    let (waiting, other) = join!(waiting, other);
    assert_eq!(waiting.authentication.spf, Finding::TempError);
    assert_eq!(other.authentication.spf, Finding::Pass);
    assert_eq!(free.spf.available_permits(), 1);
}

#[tokio::test]
async fn nothing_is_begun_while_the_dns_is_dead_or_the_policy_does_not_want_it() {
    let dead = Authenticator::new(asking_nobody(), "mx1.example.net", metrics());
    let begin = |authenticator: &Authenticator, policy: &Policy| {
        let client = ([192, 0, 2, 1].into(), places(1));
        authenticator
            .begin(policy, client, "x", &sender())
            .is_some()
    };
    assert!(!begin(&dead, &policy("")));
    let scene = Scene::new().await;
    assert!(begin(&scene.authenticator, &policy("")));
    assert!(!begin(&scene.authenticator, &policy("evaluate = false")));
}
