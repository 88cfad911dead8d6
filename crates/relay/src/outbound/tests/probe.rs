//! What an operator is told of a primary.

use super::tls::failing_acceptor;
use super::*;
use crate::outbound::connection::Terms;
use crate::outbound::tls::Connectors;
use crate::outbound::{Step, probe};
use crate::route::Routes;

async fn probed(domain: &Domain, routes: &Routes) -> (bool, Vec<(bool, String)>) {
    let mut told = Vec::new();
    let tell = |step: Step| told.push((step.is_sound, step.words));
    let is_ready = probe(domain, routes, "node.test", tell).await;
    (is_ready, told)
}

#[tokio::test]
async fn each_step_up_to_a_ready_session_is_told() {
    let primary = Primary::start(ANY_PORT, usual(), None).await;
    let at = primary.address;
    let (is_ready, told) = probed(&domain(at), &routes_without_dns()).await;
    let words = [
        format!("route: as the policy says, mail goes to {at}"),
        format!("{at}: connected to {at}"),
        format!("{at}: greets: 220 primary.test"),
        format!("{at}: offers PIPELINING"),
        format!("{at}: in clear, without TLS"),
        format!("{at}: ready for mail"),
    ];
    assert_eq!(told, words.map(|words| (true, words)));
    assert!(is_ready);
    assert!(primary.taken().is_empty());
}

#[tokio::test]
async fn a_handshake_that_fails_is_a_warning_where_mail_goes_on_in_clear() {
    let primary = Primary::start(ANY_PORT, usual(), Some(failing_acceptor())).await;
    for (tls, is_warned, goes_on) in [
        (Tls::Opportunistic, true, true),
        (Tls::Require, false, false),
    ] {
        let domain = Domain {
            tls,
            ..domain(primary.address)
        };
        let mut told = Vec::new();
        let tell = |step: Step| told.push(step);
        let is_ready = probe(&domain, &routes_without_dns(), "node.test", tell).await;
        let failed = |step: &&Step| step.words.contains("the tls handshake failed: ");
        let step = told.iter().find(failed).unwrap();
        assert_eq!(
            (step.is_warning, step.is_sound),
            (is_warned, goes_on),
            "{told:?}"
        );
        assert_eq!(
            step.words.contains("mail goes in clear"),
            goes_on,
            "{told:?}"
        );
        assert_eq!(is_ready, goes_on, "{told:?}");
    }
}

#[tokio::test]
async fn where_it_ends_is_told() {
    let refusal: Script = Arc::new(|_, moment| match moment {
        Moment::Greeting => Act::Say("554 5.3.2 go away"),
        _ => Act::Usual,
    });
    let primary = Primary::start(ANY_PORT, refusal, None).await;
    let (is_ready, told) = probed(&domain(primary.address), &routes_without_dns()).await;
    let (is_sound, words) = told.last().unwrap();
    assert!(!is_ready && !is_sound);
    assert!(
        words.contains("not ready: ") && words.contains("554 5.3.2 go away"),
        "{words}"
    );

    let gone = primary.address;
    primary.stop().await;
    let (is_ready, told) = probed(&domain(gone), &routes_without_dns()).await;
    let (is_sound, words) = told.last().unwrap();
    assert!(!is_ready && !is_sound);
    let no_connection = format!("{gone}: no connection to {gone}: ");
    assert!(words.starts_with(&no_connection), "{words}");
}

#[tokio::test]
async fn the_next_host_is_tried_when_one_can_not_be_reached() {
    let gone = Primary::start(ANY_PORT, usual(), None).await;
    let primary = Primary::start(ANY_PORT, usual(), None).await;
    let mut domain = domain(gone.address);
    domain.primary.push(primary.address.to_string());
    gone.stop().await;
    let connectors = Connectors::new();
    let routes = routes_without_dns();
    let terms = Terms {
        hostname: "node.test",
        tls: Tls::Opportunistic,
        connectors: &connectors,
        dns: routes.dns(),
        timeouts: PATIENT,
        share: None,
    };
    let connection = routes.connect(&domain, terms).await.unwrap();
    assert_eq!(connection.host, primary.address.to_string());
    primary.stop().await;
    let why = routes.connect(&domain, terms).await.unwrap_err().words;
    assert_eq!(why.matches("connecting failed").count(), 2, "{why}");
}
