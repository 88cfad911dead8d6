//! This node's certificates: whether their files are sound, name this node, and are valid for a while.

use std::{path::PathBuf, sync::Arc, time::Duration};

use relay::{
    dns::Dns,
    doctor::{self, Check, Finding, Node},
};
use tls::UnixTime;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Authorities of today renew a month before the end.
const SOON: Duration = Duration::from_secs(30 * 24 * 3600);

/// Whatever was to renew it did not.
const VERY_SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a certificate is for.
#[derive(Debug)]
pub(super) struct Use {
    /// The table of the configuration that names it.
    pub(super) table: &'static str,
    /// Where it is, if anywhere.
    pub(super) file: Option<PathBuf>,
    /// The host that it must name; any, where nobody checks that.
    pub(super) host: Option<String>,
}

/// Reads the files, as they are now.
pub(super) async fn look(uses: Vec<Use>, check: Check, now_ms: u64) -> Vec<Finding> {
    let of = check.clone();
    let read = move || {
        let now = Duration::from_millis(now_ms);
        uses.iter().filter_map(|one| judge(&of, one, now)).collect()
    };
    let read = tokio::task::spawn_blocking(read).await;
    read.unwrap_or_else(|error| vec![check.skipped(format!("reading them failed: {error}"))])
}

/// Whether the certificate for senders of mail is the one that signed records in the DNS name.
pub(super) async fn tlsa(
    dns: &Arc<Dns>,
    node: &Node,
    file: Option<PathBuf>,
    now_ms: u64,
) -> Vec<Finding> {
    let read = move || file.map_or(Ok(Vec::new()), |file| tls::certificates(&file));
    let Ok(Ok(chain)) = tokio::task::spawn_blocking(read).await else {
        // What is wrong with the file, its own check says.
        return Vec::new();
    };
    let now = UnixTime::since_unix_epoch(Duration::from_millis(now_ms));
    let finding = doctor::tlsa(dns, node, &chain, now).await;
    finding.into_iter().collect()
}

fn judge(check: &Check, one: &Use, now: Duration) -> Option<Finding> {
    let table = one.table;
    let Some(file) = &one.file else {
        // The nodes' own ports have none on loopback only, where none is needed.
        return (table == "[smtp]").then(|| {
            check.warning(
                "no STARTTLS is offered, so mail comes in clear: set tls_cert and tls_key in [smtp]",
            )
        });
    };
    let named = format!("the certificate of {table}, {}", file.display());
    let certificate = match tls::certificates(file) {
        Ok(chain) => chain.into_iter().next()?,
        Err(error) => return Some(check.problem(format!("{named}, is of no use: {error}"))),
    };
    if let Some(host) = &one.host
        && let Err(unnamed) = tls::verify_name(&certificate, host)
    {
        return Some(check.problem(format!(
            "{named}, names {}, and not {host}: have one made that does",
            unnamed.names
        )));
    }
    Some(match tls::not_after(file, &certificate) {
        Ok(end) => of_end(check, &named, Duration::from_secs(end.as_secs()), now),
        Err(error) => check.problem(format!("{named}, is of no use: {error}")),
    })
}

fn of_end(check: &Check, named: &str, end: Duration, now: Duration) -> Finding {
    let Some(left) = end.checked_sub(now) else {
        return check.problem(format!("{named}, is not valid any more: renew it"));
    };
    let days = left.as_secs() / DAY.as_secs();
    let words = format!("{named}, is valid for {days} more days");
    if left < VERY_SOON {
        check.problem(format!("{words}: renew it now"))
    } else if left < SOON {
        check.warning(format!("{words}: see that it is renewed"))
    } else {
        check.fine(words)
    }
}

#[cfg(test)]
mod tests {
    use relay::doctor::Verdict;

    use super::*;

    fn check() -> Check {
        Check::of("certificate", "node 1")
    }

    #[test]
    fn a_certificate_that_ends_soon_is_graver_the_sooner() {
        for (days, expected) in [
            (31, Verdict::Fine),
            (29, Verdict::Warning),
            (6, Verdict::Problem),
        ] {
            let found = of_end(&check(), "it", DAY * (100 + days), DAY * 100);
            assert_eq!(found.verdict, expected, "{days}");
        }
        let over = of_end(&check(), "it", DAY * 99, DAY * 100);
        assert_eq!(over.verdict, Verdict::Problem);
    }

    #[test]
    fn files_are_read_and_names_are_compared() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("own.pem");
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["mx1.example.net".to_owned()]).unwrap();
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        let of = |host: Option<&str>, file: &std::path::Path| Use {
            table: "[smtp]",
            file: Some(file.to_owned()),
            host: host.map(str::to_owned),
        };
        // It is valid until 4096.
        let now = Duration::from_secs(1_800_000_000);
        for (one, expected) in [
            (of(Some("mx1.example.net"), &file), Verdict::Fine),
            (of(None, &file), Verdict::Fine),
            (of(Some("mx2.example.net"), &file), Verdict::Problem),
            (of(None, &directory.path().join("gone")), Verdict::Problem),
        ] {
            assert_eq!(
                judge(&check(), &one, now).unwrap().verdict,
                expected,
                "{one:?}"
            );
        }
    }

    #[test]
    fn only_for_mail_a_certificate_is_always_wanted() {
        let none = |table| Use {
            table,
            file: None,
            host: None,
        };
        let now = Duration::ZERO;
        let found = judge(&check(), &none("[smtp]"), now).unwrap();
        assert_eq!(found.verdict, Verdict::Warning);
        assert_eq!(judge(&check(), &none("[admin]"), now), None);
    }
}
