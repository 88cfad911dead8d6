//! The private authority.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use jiff::{Span, Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SerialNumber, date_time_ymd,
};
use tls::CertificateDer;

use super::{Name, Pair, State, files, unix};

/// The file of its certificate.
pub(super) const CERT: &str = "ca.pem";
const KEY: &str = "ca.key";

/// An authority is renewed by adding a second one everywhere, so it should not be often.
const AUTHORITY_YEARS: i64 = 10;

/// A node's certificate is renewed with one command and one file to copy, and a node warns weeks
/// before. Longer, and nobody would know any more how it is done.
const NODE_YEARS: i64 = 2;

/// The clock of a node may be behind that of this machine.
const BACKDATED_DAYS: i64 = 1;

/// The authority whose files lie in one directory.
pub(super) struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    /// The last day of its certificate.
    last_day: Date,
    not_after_ms: u64,
}

impl Authority {
    /// The one that is there, or a new one.
    pub(super) fn open(dir: &Path, now: Timestamp) -> anyhow::Result<(Self, State)> {
        let (cert, key) = (dir.join(CERT), dir.join(KEY));
        let state = match (files::exists(&cert)?, files::exists(&key)?) {
            (true, true) => State::Kept,
            (true, false) => bail!(
                "{} is there without {}, with which the first certificates were signed; \
                 put it back, or use another directory for a new authority",
                cert.display(),
                key.display()
            ),
            (false, is_there) => {
                let signing_key = if is_there {
                    files::read_key(&key)?
                } else {
                    files::new_key(&key)?
                };
                let certificate = own_params(now)?.self_signed(&signing_key)?;
                files::create(&cert, &certificate.pem(), files::PUBLIC)?;
                State::Made
            }
        };
        let authority = Self::read(dir, files::read_key(&key)?)?;
        let now = unix(now).as_secs() * 1000;
        if authority.not_after_ms <= now {
            bail!(
                "{} ended on {}; make a new authority in another directory, and have the nodes trust \
                 both while their certificates are replaced",
                cert.display(),
                authority.last_day
            );
        }
        Ok((authority, state))
    }

    /// The file may hold further authorities, which are trusted; the key says which is ours.
    fn read(dir: &Path, key: KeyPair) -> anyhow::Result<Self> {
        let cert = dir.join(CERT);
        let own = key.subject_public_key_info();
        for certificate in tls::certificates(&cert)? {
            let parsed = parse(&cert, &certificate)?;
            if parsed.public_key().raw != own.as_slice() {
                continue;
            }
            if !parsed.is_ca() {
                bail!(
                    "the certificate in {} that belongs to {KEY} is no authority's; \
                     use another directory for a new authority",
                    cert.display()
                );
            }
            let not_after = tls::not_after(&cert, &certificate)?.as_secs();
            let last_moment = Timestamp::from_second(i64::try_from(not_after)?)?;
            let last_day = TimeZone::UTC.to_datetime(last_moment).date();
            let issuer = Issuer::from_ca_cert_der(&certificate, key)
                .with_context(|| format!("{} can not be used", cert.display()))?;
            return Ok(Self {
                dir: dir.to_owned(),
                issuer,
                last_day,
                not_after_ms: not_after * 1000,
            });
        }
        bail!(
            "{} does not belong to any certificate in {}; put back the files that belong together, \
             or use another directory for a new authority",
            dir.join(KEY).display(),
            cert.display()
        )
    }

    /// What is told of it.
    pub(super) fn pair(&self, state: State) -> Pair {
        Pair {
            name: "ca".to_owned(),
            cert: self.dir.join(CERT),
            key: self.dir.join(KEY),
            state,
            not_after_ms: self.not_after_ms,
        }
    }

    /// A certificate for both ends of a talk, which ends with the authority's at the latest.
    pub(super) fn sign(
        &self,
        name: &Name,
        key: &KeyPair,
        now: Timestamp,
    ) -> anyhow::Result<Certificate> {
        let mut params = CertificateParams::new(name.subject())?;
        let last_day = day(now, NODE_YEARS.years())?.min(self.last_day);
        limit(&mut params, now, last_day)?;
        params.serial_number = Some(serial_number());
        params
            .distinguished_name
            .push(DnType::CommonName, name.to_string());
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params
            .signed_by(key, &self.issuer)
            .with_context(|| format!("signing the certificate of {name} failed"))
    }
}

fn own_params(now: Timestamp) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    limit(&mut params, now, day(now, AUTHORITY_YEARS.years())?)?;
    params.serial_number = Some(serial_number());
    // The number tells one authority from the next, for people and for software that looks an issuer
    // up by its name.
    let name = format!("Layover cluster {:08x}", rand::random::<u32>());
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn parse<'a>(
    path: &Path,
    certificate: &'a CertificateDer<'_>,
) -> anyhow::Result<x509_parser::certificate::X509Certificate<'a>> {
    x509_parser::parse_x509_certificate(certificate)
        .map(|(_, parsed)| parsed)
        .with_context(|| format!("a certificate in {} is malformed", path.display()))
}

/// Of a renewed certificate it must be another (RFC 5280 section 4.1.2.2), and positive.
fn serial_number() -> SerialNumber {
    let mut octets = rand::random::<[u8; 16]>();
    octets[0] = octets[0] & 0x3f | 0x40;
    SerialNumber::from_slice(&octets)
}

fn day(now: Timestamp, later: Span) -> anyhow::Result<Date> {
    let today = TimeZone::UTC.to_datetime(now).date();
    today
        .checked_add(later)
        .context("this machine's clock is far off; set it")
}

/// From yesterday to the beginning of a day.
fn limit(params: &mut CertificateParams, now: Timestamp, end: Date) -> anyhow::Result<()> {
    let midnight = |day: Date| {
        let (month, day_of_month) = (day.month().unsigned_abs(), day.day().unsigned_abs());
        date_time_ymd(day.year().into(), month, day_of_month)
    };
    params.not_before = midnight(day(now, -BACKDATED_DAYS.days())?);
    params.not_after = midnight(end);
    Ok(())
}
