//! The certificates in use, and until when they are valid.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use cluster::CertificateEnd;
use spool::Timestamp;
use tls::{MutualTls, ServerTls, UnixTime, Watched};
use tokio::sync::watch;
use tracing::warn;

use crate::{clock::unix, config::Config};

/// A renewal that fails for this long is somebody's business.
pub(crate) const WARNING: Duration = Duration::from_secs(14 * 24 * 3600);

/// What a node shows to those who connect to it, and to the peers that it connects to. Each is
/// `None` where no certificate is configured.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// For senders of mail.
    pub(crate) smtp: Option<Arc<ServerTls>>,
    /// For other nodes.
    pub(crate) cluster: Option<Arc<MutualTls>>,
    /// For operators.
    pub(crate) admin: Option<Arc<MutualTls>>,
}

impl Certificates {
    /// Reads the files.
    pub(crate) fn load(config: &Config, now: Timestamp) -> anyhow::Result<Self> {
        let now = unix(now);
        let smtp = config.smtp.tls.clone();
        let named = config.smtp.certificates.clone();
        let host = tls::host_of(&config.cluster.advertise);
        let cluster = config.cluster.tls.clone();
        let admin = config.admin_tls.clone();
        Ok(Self {
            smtp: smtp
                .map(|first| ServerTls::load_all(first, named).map(Arc::new))
                .transpose()
                .context("[smtp] certificates")?,
            cluster: cluster
                .map(|files| MutualTls::for_peer(files, host, now).map(Arc::new))
                .transpose()
                .context("[cluster] certificates")?,
            admin: admin
                .map(|files| MutualTls::for_server(files, now).map(Arc::new))
                .transpose()
                .context("[admin] certificates")?,
        })
    }

    /// Each use with what watches its files.
    pub(crate) fn watched(&self) -> Vec<(&'static str, Watched)> {
        let smtp = self.smtp.clone().map(|tls| Watched::new(tls));
        let cluster = self.cluster.clone().map(|tls| Watched::new(tls));
        let admin = self.admin.clone().map(|tls| Watched::new(tls));
        [("smtp", smtp), ("cluster", cluster), ("admin", admin)]
            .into_iter()
            .filter_map(|(usage, watched)| Some((usage, watched?)))
            .collect()
    }
}

/// The moments at which the certificates of each use end.
#[derive(Debug, Default)]
pub(crate) struct Expiries {
    ends: Mutex<BTreeMap<&'static str, Expiry>>,
    /// The same, for other nodes.
    told: watch::Sender<Vec<CertificateEnd>>,
}

#[derive(Debug)]
struct Expiry {
    not_after: Timestamp,
    warned: bool,
}

impl Expiries {
    /// Notes the end of the certificate that one use (`smtp`, `cluster`, `admin`) has loaded.
    pub(crate) fn note(&self, usage: &'static str, not_after: UnixTime) {
        let expiry = Expiry {
            not_after: Timestamp(not_after.as_secs().saturating_mul(1000)),
            warned: false,
        };
        let mut ends = self.ends();
        ends.insert(usage, expiry);
        let told = ends.iter().map(|(usage, expiry)| CertificateEnd {
            usage: (*usage).to_owned(),
            not_after: expiry.not_after,
        });
        self.told.send_replace(told.collect());
    }

    /// Each use with the moment at which its certificate ends, as that is now.
    pub(crate) fn told(&self) -> watch::Receiver<Vec<CertificateEnd>> {
        self.told.subscribe()
    }

    fn ends(&self) -> MutexGuard<'_, BTreeMap<&'static str, Expiry>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says once of each certificate that it ends soon.
    pub(crate) fn warn(&self, now: Timestamp) {
        for (usage, days_left) in self.ending(now) {
            warn!(usage, days_left, "a certificate ends soon; renew it");
        }
    }

    /// Each use whose certificate has come near its end since this was last asked, with the days
    /// that are left.
    fn ending(&self, now: Timestamp) -> Vec<(&'static str, i64)> {
        let mut ends = self.ends();
        let mut ending = Vec::new();
        for (usage, expiry) in ends.iter_mut() {
            if !expiry.warned && expiry.not_after < now.after(WARNING) {
                expiry.warned = true;
                let seconds = seconds_between(now, expiry.not_after);
                ending.push((*usage, seconds.div_euclid(24 * 3600)));
            }
        }
        ending
    }

    /// Each use with the seconds that are left, negative when they are over.
    pub(crate) fn seconds_left(&self, now: Timestamp) -> Vec<(&'static str, i64)> {
        self.ends()
            .iter()
            .map(|(usage, expiry)| (*usage, seconds_between(now, expiry.not_after)))
            .collect()
    }
}

/// Negative when `until` is earlier.
fn seconds_between(from: Timestamp, until: Timestamp) -> i64 {
    let seconds = |moment: Timestamp| i64::try_from(moment.0 / 1000).unwrap_or(i64::MAX);
    seconds(until).saturating_sub(seconds(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn the_end_of_a_certificate_is_counted_from_now() {
        let expiries = Expiries::default();
        expiries.note("smtp", at(100));
        expiries.note("admin", at(5));
        assert_eq!(
            expiries.seconds_left(Timestamp(20_000)),
            [("admin", -15), ("smtp", 80)]
        );
    }

    #[test]
    fn an_end_that_comes_near_is_told_once_for_each_certificate() {
        let expiries = Expiries::default();
        expiries.note("smtp", at(100 * DAY));
        let day = |days: u64| Timestamp(days * DAY * 1000);
        assert_eq!(expiries.ending(day(80)), []);
        assert_eq!(expiries.ending(day(90)), [("smtp", 10)]);
        assert_eq!(expiries.ending(day(91)), []);
        expiries.note("smtp", at(104 * DAY));
        assert_eq!(expiries.ending(day(105)), [("smtp", -1)]);
    }
}
