//! TLS towards a primary: which certificates are good enough.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;

use crate::outbound::dane::Associations;
use crate::outbound::protection::Protection;

/// The configurations that connections choose from, built once.
#[derive(Debug)]
pub(crate) struct Connectors {
    provider: Arc<CryptoProvider>,
    any: Arc<ClientConfig>,
    /// Built when first wanted: a machine without any root certificates can do all but `verify`.
    verified: OnceLock<Result<Arc<ClientConfig>, rustls::Error>>,
}

impl Connectors {
    pub(crate) fn new() -> Self {
        let provider = Arc::new(ring::default_provider());
        let verifier = OwnJudgement::of(&provider, Judge::Anything);
        let any = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("ring offers cipher suites for both versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Self {
            provider,
            any: Arc::new(any),
            verified: OnceLock::new(),
        }
    }

    /// The connector for what is to be done.
    ///
    /// # Errors
    /// This machine has no root certificates to verify with.
    pub(crate) fn connector(&self, protection: &Protection) -> Result<TlsConnector, rustls::Error> {
        let config = match protection {
            Protection::Off | Protection::Opportunistic | Protection::Require => self.any.clone(),
            Protection::Verify => self
                .verified
                .get_or_init(|| verified(&self.provider))
                .clone()?,
            Protection::Dane(associations) => {
                let judge = Judge::Named(Arc::clone(associations));
                let verifier = OwnJudgement::of(&self.provider, judge);
                verifying(&self.provider, Arc::new(verifier))?
            }
        };
        Ok(TlsConnector::from(config))
    }
}

fn verified(provider: &Arc<CryptoProvider>) -> Result<Arc<ClientConfig>, rustls::Error> {
    let verifier = rustls_platform_verifier::Verifier::new(provider.clone())?;
    verifying(provider, Arc::new(verifier))
}

fn verifying(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Which certificates are taken where no public authority is asked.
#[derive(Debug)]
enum Judge {
    /// Every one, for policies that want privacy from onlookers and trust the route: anything is better than
    /// clear text, which is what such a policy would otherwise fall back to.
    Anything,
    /// Those that the DNS names (RFC 7672).
    Named(Arc<Associations>),
}

/// Judges certificates by itself. That the host has the key of its certificate is checked in any case.
#[derive(Debug)]
struct OwnJudgement {
    judge: Judge,
    algorithms: WebPkiSupportedAlgorithms,
}

impl OwnJudgement {
    fn of(provider: &CryptoProvider, judge: Judge) -> Self {
        Self {
            judge,
            algorithms: provider.signature_verification_algorithms,
        }
    }
}

impl ServerCertVerifier for OwnJudgement {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Judge::Named(associations) = &self.judge {
            associations.check(end_entity, intermediates, now, &self.algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
