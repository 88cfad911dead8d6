//! TLS as the policy says.

use super::*;

pub(crate) fn acceptor() -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(vec!["primary.test".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn tls_is_used_as_the_policy_says() {
    for (tls, expected) in [
        (Tls::Off, false),
        (Tls::Opportunistic, true),
        (Tls::Require, true),
    ] {
        let primary = Primary::start(ANY_PORT, usual(), Some(acceptor())).await;
        let outbox = MapOutbox::new(
            Domain {
                tls,
                ..domain(primary.address)
            },
            NEVER,
        );
        outbox.queue(&["a"], &BODY.repeat(10_000));
        let running = Running::start(&outbox);
        until("delivered", || outbox.is_empty()).await;
        running.stop().await.unwrap();
        assert_eq!(primary.taken()[0].tls, expected, "{tls:?}");
    }
}

#[tokio::test]
async fn a_certificate_of_no_authority_is_not_enough_to_verify() {
    let primary = Primary::start(ANY_PORT, usual(), Some(acceptor())).await;
    let outbox = MapOutbox::new(
        Domain {
            tls: Tls::Verify,
            ..domain(primary.address)
        },
        NEVER,
    );
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("down", || {
        !outbox.state.lock().unwrap().observations.is_empty()
    })
    .await;
    running.stop().await.unwrap();
    assert!(primary.taken().is_empty());
}

#[tokio::test]
async fn required_tls_that_is_not_offered_keeps_the_mail_here() {
    let primary = Primary::start(ANY_PORT, usual(), None).await;
    let outbox = MapOutbox::new(
        Domain {
            tls: Tls::Require,
            ..domain(primary.address)
        },
        NEVER,
    );
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("down", || {
        !outbox.state.lock().unwrap().observations.is_empty()
    })
    .await;
    running.stop().await.unwrap();
    assert!(primary.taken().is_empty());
}

#[tokio::test]
async fn a_handshake_that_fails_is_followed_by_clear_text_where_that_is_allowed() {
    let primary = Primary::start(ANY_PORT, usual(), Some(failing_acceptor())).await;
    let outbox = MapOutbox::new(domain(primary.address), NEVER);
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert!(!primary.taken()[0].tls);
}

#[tokio::test]
async fn tls_that_ends_before_anything_was_said_counts_as_a_handshake_that_failed() {
    let greetings = AtomicUsize::new(0);
    // The second EHLO of the first connection is the one under TLS.
    let script: Script = Arc::new(move |connection, moment| {
        let is_under_tls = connection == 1
            && *moment == Moment::Ehlo
            && greetings.fetch_add(1, Ordering::SeqCst) == 1;
        if is_under_tls { Act::Close } else { Act::Usual }
    });
    let primary = Primary::start(ANY_PORT, script, Some(acceptor())).await;
    let outbox = MapOutbox::new(domain(primary.address), NEVER);
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert!(!primary.taken()[0].tls);
    assert!(outbox.state.lock().unwrap().observations.is_empty());
}

#[tokio::test]
async fn tls_that_is_gone_is_an_alarm_until_it_is_back() {
    for tls in [Tls::Opportunistic, Tls::Require] {
        let primary = Primary::start(ANY_PORT, usual(), Some(acceptor())).await;
        let address = primary.address;
        let outbox = MapOutbox::new(
            Domain {
                tls,
                ..domain(address)
            },
            NEVER,
        );
        let running = Running::start(&outbox);
        let departed = || outbox.state.lock().unwrap().departed.len();
        let raised = || {
            let state = outbox.state.lock().unwrap();
            let alarms = spool::alarm::of_destination(DOMAIN, &state.destination).into_iter();
            alarms.map(|alarm| alarm.name).collect::<Vec<_>>()
        };
        outbox.queue(&["a"], BODY);
        until("delivered", || departed() == 1).await;
        assert!(raised().is_empty());
        primary.stop().await;

        let stripped = Primary::start(address, usual(), None).await;
        outbox.queue(&["a"], BODY);
        until("the alarm is raised", || {
            raised() == [spool::alarm::TLS_GONE]
        })
        .await;
        if tls == Tls::Opportunistic {
            until("delivered in clear", || departed() == 2).await;
        }
        let in_clear = stripped.taken().len();
        assert_eq!(in_clear, usize::from(tls == Tls::Opportunistic));
        stripped.stop().await;

        let _mended = Primary::start(address, usual(), Some(acceptor())).await;
        outbox.queue(&["a"], BODY);
        until("all are delivered", || departed() == 3).await;
        running.stop().await.unwrap();
        assert!(raised().is_empty());
        assert_eq!(outbox.state.lock().unwrap().starttls, [true, false, true]);
    }
}

/// Of a primary that offers STARTTLS, and with which no handshake comes to an end.
pub(super) fn failing_acceptor() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let failing = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(NoCertificate));
    TlsAcceptor::from(Arc::new(failing))
}

/// Makes every handshake fail.
#[derive(Debug)]
struct NoCertificate;

impl rustls::server::ResolvesServerCert for NoCertificate {
    fn resolve(
        &self,
        _: rustls::server::ClientHello<'_>,
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }
}
