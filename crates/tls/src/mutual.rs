//! Both ends of a talk in which each has a certificate.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::{Resumption, WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::{CryptoProvider, ring},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::SingleCertAndKey,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::{
    error::TlsError,
    limits::HANDSHAKE_TIMEOUT,
    names, pem,
    watch::{Fingerprint, Reload},
};

/// gRPC is HTTP/2 and nothing else (RFC 9113 section 3.2).
const ALPN: &[u8] = b"h2";

/// Where an authority, a certificate chain and its key lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutualFiles {
    /// The authorities by one of which the other end's certificate must be signed.
    pub ca: PathBuf,
    /// The own certificate chain.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// An authority, a certificate and its key, for one or both ends of a talk in which each end has a
/// certificate; may be read again from the files at any time.
#[derive(Debug)]
pub struct MutualTls {
    files: MutualFiles,
    host: Option<String>,
    loaded: RwLock<Loaded>,
}

#[derive(Clone, Debug)]
struct Loaded {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    not_after: UnixTime,
    fingerprint: Fingerprint,
}

impl MutualTls {
    /// For a server whose clients have certificates of the authority; the server's own may come
    /// from anywhere.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn for_server(files: MutualFiles, now: UnixTime) -> Result<Self, TlsError> {
        Self::load(files, None, now)
    }

    /// For one of several equals, which the others reach under `host`: they must accept the
    /// certificate, in both directions.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn for_peer(files: MutualFiles, host: &str, now: UnixTime) -> Result<Self, TlsError> {
        Self::load(files, Some(host.to_owned()), now)
    }

    fn load(files: MutualFiles, host: Option<String>, now: UnixTime) -> Result<Self, TlsError> {
        let loaded = RwLock::new(load(&files, host.as_deref(), now)?);
        Ok(Self {
            files,
            host,
            loaded,
        })
    }

    fn loaded(&self) -> Loaded {
        self.loaded
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes a connection through the handshake; the client has shown a certificate then.
    ///
    /// # Errors
    /// The handshake failed or took too long.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<server::TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(self.loaded().server);
        in_time(acceptor.accept(stream)).await
    }

    /// Takes a connection to `host` through the handshake; the server has shown a certificate that
    /// names it then.
    ///
    /// # Errors
    /// The handshake failed or took too long.
    pub async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<client::TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(self.loaded().client);
        in_time(connector.connect(name, stream)).await
    }
}

async fn in_time<T>(handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "slow handshake")))
}

impl Reload for MutualTls {
    fn files(&self) -> Vec<&Path> {
        self.files.all().to_vec()
    }

    fn reload(&self, now: UnixTime) -> Result<(), TlsError> {
        let fresh = load(&self.files, self.host.as_deref(), now)?;
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    fn fingerprint(&self) -> Fingerprint {
        self.loaded().fingerprint
    }

    fn not_after(&self) -> UnixTime {
        self.loaded().not_after
    }
}

impl MutualFiles {
    fn all(&self) -> [&Path; 3] {
        [&self.ca, &self.cert, &self.key]
    }
}

fn load(files: &MutualFiles, host: Option<&str>, now: UnixTime) -> Result<Loaded, TlsError> {
    // Before they are read: what changes in between is noticed later.
    let fingerprint = Fingerprint::of(&files.all());
    let provider = Arc::new(ring::default_provider());
    let roots = Arc::new(pem::roots(&files.ca)?);
    let (certified, not_after) = pem::certified(&files.cert, &files.key, &provider)?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider.clone())
            .build()
            .map_err(|error| TlsError::BadAuthority {
                path: files.ca.clone(),
                error: error.to_string(),
            })?;
    if let Some(host) = host {
        let peers = Peers {
            files,
            roots: Arc::clone(&roots),
            provider: Arc::clone(&provider),
            verifier: Arc::clone(&verifier),
        };
        peers.judge(&certified.cert, host, now)?;
    }
    let own = Arc::new(SingleCertAndKey::from(certified));
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring offers cipher suites for both versions")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(own.clone());
    // Connections are few and live long, so nothing is gained by resuming a session, whose
    // certificate would not be looked at again.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    server.alpn_protocols = vec![ALPN.to_vec()];
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring offers cipher suites for both versions")
        .with_root_certificates(roots)
        .with_client_cert_resolver(own);
    client.resumption = Resumption::disabled();
    client.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Loaded {
        server: Arc::new(server),
        client: Arc::new(client),
        not_after,
        fingerprint,
    })
}

/// What the others, who have the same authorities, think of a certificate.
struct Peers<'a> {
    files: &'a MutualFiles,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Peers<'_> {
    fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        host: &str,
        now: UnixTime,
    ) -> Result<(), TlsError> {
        let Some((own, intermediates)) = chain.split_first() else {
            return Err(TlsError::NoCertificate {
                path: self.files.cert.clone(),
            });
        };
        self.verifier
            .verify_client_cert(own, intermediates, now)
            .map_err(|error| self.not_accepted(error))?;
        names::verify_name(own, host).map_err(|unnamed| TlsError::NotNamed {
            cert: self.files.cert.clone(),
            names: unnamed.names,
            host: unnamed.host,
        })?;
        let verifier = WebPkiServerVerifier::builder_with_provider(
            Arc::clone(&self.roots),
            Arc::clone(&self.provider),
        );
        let verifier = verifier.build().map_err(|error| TlsError::BadAuthority {
            path: self.files.ca.clone(),
            error: error.to_string(),
        })?;
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| self.not_accepted(rustls::Error::General(error.to_string())))?;
        verifier
            .verify_server_cert(own, intermediates, &name, &[], now)
            .map(drop)
            .map_err(|error| self.not_accepted(error))
    }

    fn not_accepted(&self, error: rustls::Error) -> TlsError {
        TlsError::NotAccepted {
            cert: self.files.cert.clone(),
            ca: self.files.ca.clone(),
            error,
        }
    }
}

#[cfg(test)]
mod tests;
