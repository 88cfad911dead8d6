//! Signs messages as their domain's server would (RFC 6376), with keys that are known to everybody.

use mail_auth::{
    common::{
        crypto::{DkimKey, Ed25519Key, RsaKey, Sha256},
        headers::HeaderWriter as _,
    },
    dkim::{Canonicalization, DkimSigner},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};

/// Of 2048 bits, made for these tests.
const RSA_KEY: &str = include_str!("signer/rsa.pem");

const RSA_RECORD: &str = "v=DKIM1; k=rsa; p=\
    MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEApppH4iiTKfut4f/UD8j62oe2xzbQiy8ll7f5ahlJJC+ZeyCf59JkGlnaaa0rSBixhEIihkLPFleZLn2Evz4Y9wAA72zyXMWlwesBOOEUBmRG9aLvYs+B73nU5kTdwU1FvVBjVWUGYhMKKtKG95HxgUGoBoEIyzUElRNQbDbkvLzwGPMEXELzLkQGHRyp8zMwJqaDsh6rSVkcJC5TYijX55hEjOvn402AwXA+3YV4bSY7BM4W80KM/2++aDagvoigl1LMgkzbMD/Huu4VbSgn0sHFcHv+al/ffJut4EvZLL99UhOiUA95BiLV3IegltqXqbvDLU0mICGqx+RWRTk4TwIDAQAB";

/// The first key pair of RFC 8032 section 7.1.
const ED25519_KEY: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const ED25519_PUBLIC_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const ED25519_RECORD: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// With what is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// rsa-sha256 with 2048 bits.
    Rsa,
    /// ed25519-sha256 (RFC 8463).
    Ed25519,
}

/// In which form header and body are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    Simple,
    /// Without what servers change on the way.
    Relaxed,
}

/// A domain's signer. Its selector is `test`.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    /// Who signs.
    pub domain: &'a str,
    /// With what.
    pub algorithm: Algorithm,
    /// How the header is signed.
    pub header: Form,
    /// How the body is.
    pub body: Form,
    /// Whether only so much of the body is signed as there is now (l=).
    pub limits_body: bool,
}

impl<'a> Signer<'a> {
    /// One for a domain that signs as most do.
    #[must_use]
    pub const fn new(domain: &'a str) -> Self {
        Self {
            domain,
            algorithm: Algorithm::Rsa,
            header: Form::Relaxed,
            body: Form::Relaxed,
            limits_body: false,
        }
    }

    /// The name under which its key is published.
    #[must_use]
    pub fn record_name(&self) -> String {
        format!("test._domainkey.{}", self.domain)
    }

    /// What is published there.
    #[must_use]
    pub const fn record(&self) -> &'static str {
        match self.algorithm {
            Algorithm::Rsa => RSA_RECORD,
            Algorithm::Ed25519 => ED25519_RECORD,
        }
    }

    /// The field `DKIM-Signature` that belongs in front of a message.
    ///
    /// # Panics
    /// When the message has no field `From`.
    #[must_use]
    pub fn field(&self, message: &[u8]) -> String {
        let signer = DkimSigner::from_key(self.key())
            .domain(self.domain)
            .selector("test")
            .headers(["From", "Subject"])
            .header_canonicalization(canonicalization(self.header))
            .body_canonicalization(canonicalization(self.body))
            .body_length(self.limits_body);
        let signature = signer.sign(message).expect("there is something to sign");
        signature.to_header()
    }

    /// A message with its signature.
    #[must_use]
    pub fn signed(&self, message: &[u8]) -> Vec<u8> {
        [self.field(message).as_bytes(), message].concat()
    }

    fn key(&self) -> DkimKey {
        match self.algorithm {
            Algorithm::Rsa => {
                let key = PrivateKeyDer::from_pem_slice(RSA_KEY.as_bytes());
                let key = RsaKey::<Sha256>::from_key_der(key.expect("it is PEM"));
                key.expect("it is a key").into()
            }
            Algorithm::Ed25519 => {
                let (key, public_key) = (octets(ED25519_KEY), octets(ED25519_PUBLIC_KEY));
                let key = Ed25519Key::from_seed_and_public_key(&key, &public_key);
                key.expect("it is a key").into()
            }
        }
    }
}

const fn canonicalization(form: Form) -> Canonicalization {
    match form {
        Form::Simple => Canonicalization::Simple,
        Form::Relaxed => Canonicalization::Relaxed,
    }
}

fn octets(digits: &str) -> Vec<u8> {
    let octet = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("these are digits");
    (0..digits.len()).step_by(2).map(octet).collect()
}
