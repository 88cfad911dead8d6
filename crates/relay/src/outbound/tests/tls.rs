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
    // The primary offers STARTTLS and then speaks SMTP instead of TLS.
    let refusing = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_cert_resolver(Arc::new(NoCertificate));
    let acceptor = TlsAcceptor::from(Arc::new(refusing));
    let primary = Primary::start(ANY_PORT, usual(), Some(acceptor)).await;
    let outbox = MapOutbox::new(domain(primary.address), NEVER);
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert!(!primary.taken()[0].tls);
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
