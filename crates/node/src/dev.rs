//! `layoverd dev`: a throw-away node for trying things out.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use cluster::{Founding, FreeSpace};
use relay::{
    dns::{Anchors, RESOLV_CONF, Servers},
    inbound::PerMinute,
};
use spool::{
    Policy,
    policy::{Document, Domain},
};
use tempfile::TempDir;
use tls::PemPair;

use crate::{
    config::{Config, Http, LOG_KEEP_BYTES_DEFAULT, LOG_KEEP_DEFAULT, Peers, Smtp},
    logging::{self, LogFormat},
    run::{self, Ports},
};

/// What the node calls itself.
const HOSTNAME: &str = "localhost";

/// A laptop's disk may be nearly full and still good enough to try things out.
const MIN_FREE_BYTES: u64 = 64 << 20;

/// The port of the talk between nodes, which a single node never has.
const ADVERTISE: &str = "127.0.0.1:7400";

/// What can be chosen; everything has a default.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Where mail comes in.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:2525")]
    smtp_listen: SocketAddr,
    /// Where the web page, metrics and health are served.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7402")]
    http_listen: SocketAddr,
    /// Where `layover` connects to; on loopback only.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7401", value_parser = loopback)]
    admin_listen: SocketAddr,
    /// The domain whose mail is taken. A spool that is there already keeps its policy.
    #[arg(long, value_name = "DOMAIN", default_value = "example.com")]
    domain: String,
    /// The host it is delivered to. A spool that is there already keeps its policy.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2526")]
    primary: String,
    /// Where the spool lives; without it a temporary directory, deleted at the end.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "not an IP address and port".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("dev has no certificates for it: use an address of 127.0.0.0/8 or [::1]".to_owned())
    }
}

/// Runs the node until it is told to stop.
pub(crate) fn serve(flags: Flags, format: LogFormat) -> anyhow::Result<ExitCode> {
    let shown = logging::start(format);
    let (document, policy) = policy(&flags)?;
    let temporary = match flags.data_dir {
        Some(_) => None,
        None => Some(
            TempDir::with_prefix("layover-dev-").context("making a temporary directory failed")?,
        ),
    };
    let data_dir = match (&flags.data_dir, &temporary) {
        (Some(data_dir), _) => data_dir.clone(),
        (None, Some(temporary)) => temporary.path().join("data"),
        (None, None) => unreachable!("without --data-dir there is a temporary directory"),
    };
    let certificates =
        TempDir::with_prefix("layover-dev-").context("making a temporary directory failed")?;
    let config = config(&flags, data_dir, certificates.path())?;
    run::start(config, Some(document), shown, |ports, in_force| {
        print!("{}", summary(&flags, ports, &policy, in_force));
    })
}

fn policy(flags: &Flags) -> anyhow::Result<(Document, Policy)> {
    // A quick probe: whoever tries things out starts and stops the primary all the time.
    let text = format!(
        "[[domain]]\nname = {}\nprimary = [{}]\nprobe_interval = \"2s\"\n",
        toml::Value::from(flags.domain.as_str()),
        toml::Value::from(flags.primary.as_str())
    );
    let document = Document::of_text(text);
    match document.policy() {
        Ok(policy) => Ok((document, policy)),
        Err(errors) => {
            let said: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
            anyhow::bail!("--domain or --primary: {}", said.join("; "));
        }
    }
}

fn config(flags: &Flags, data_dir: PathBuf, certificates: &Path) -> anyhow::Result<Config> {
    let tls = self_signed(certificates)?;
    let loopback = vec![
        "127.0.0.0/8".parse().context("a network of loopback")?,
        "::1/128".parse().context("a network of loopback")?,
    ];
    Ok(Config {
        source: None,
        node_id: 1,
        hostname: HOSTNAME.to_owned(),
        data_dir,
        min_free_space: FreeSpace::Bytes(MIN_FREE_BYTES),
        smtp: Smtp {
            listen: vec![flags.smtp_listen],
            public_addresses: Vec::new(),
            tls: Some(tls),
            certificates: Vec::new(),
            max_message_size: 50 << 20,
            max_recipients: 1000,
            max_connections: 2000,
            max_connections_per_ip: 2000,
            per_minute: PerMinute::default(),
            trusted: Vec::new(),
            proxies: Vec::new(),
            command_timeout: Duration::from_secs(300),
            commit_timeout: Duration::from_secs(60),
        },
        cluster: Peers {
            // Any free port, since nobody else is to find it.
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            advertise: ADVERTISE.to_owned(),
            founding: Founding::Bootstrap,
            tls: None,
            log_keep: LOG_KEEP_DEFAULT,
            log_keep_bytes: LOG_KEEP_BYTES_DEFAULT,
        },
        admin_listen: flags.admin_listen,
        admin_tls: None,
        http: Http {
            listen: flags.http_listen,
            trusted: loopback.clone(),
            metrics_trusted: loopback,
            names: vec![HOSTNAME.to_owned()],
            users: Vec::new(),
        },
        dns: Servers::System(RESOLV_CONF.into()),
        anchors: Anchors::default(),
        policy_file: None,
    })
}

/// Makes a certificate for this host.
fn self_signed(folder: &Path) -> anyhow::Result<PemPair> {
    let key = rcgen::KeyPair::generate().context("making a key failed")?;
    let names = vec![
        HOSTNAME.to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    let certificate = rcgen::CertificateParams::new(names)
        .and_then(|params| params.self_signed(&key))
        .context("making a certificate failed")?;
    let (cert, key_file) = (folder.join("cert.pem"), folder.join("key.pem"));
    fs::write(&cert, certificate.pem())
        .and_then(|()| fs::write(&key_file, key.serialize_pem()))
        .with_context(|| format!("writing a certificate to {} failed", folder.display()))?;
    Ok(PemPair {
        cert,
        key: key_file,
    })
}

/// What a policy does with mail, in words.
fn errands(policy: &Policy) -> String {
    let errand = |domain: &Domain| {
        let primary = match domain.primary.as_slice() {
            [] => "its MX hosts".to_owned(),
            hosts => hosts.join(" or "),
        };
        format!("for {} and brings it to {primary}", domain.name)
    };
    let errands: Vec<String> = policy.domains.iter().map(errand).collect();
    errands.join(", ")
}

/// `asked`: the policy of the flags, which is the one of a spool that is new.
fn summary(flags: &Flags, ports: &Ports, asked: &Policy, in_force: Option<&Policy>) -> String {
    let smtp = ports.smtp.first().copied().unwrap_or(flags.smtp_listen);
    let (admin, http) = (ports.admin, ports.http);
    let mail = errands(in_force.unwrap_or(asked));
    let kept = if mail == errands(asked) {
        ""
    } else {
        "That is the policy of the spool as it was: --domain and --primary count for a new one, and `layover policy \
         apply` changes it.\n"
    };
    let first = in_force.unwrap_or(asked).domains.first();
    let domain = first.map_or(flags.domain.as_str(), |domain| &domain.name);
    let recipient = match domain.strip_prefix("*.") {
        Some(parent) => format!("you@mail.{parent}"),
        None => format!("you@{domain}"),
    };
    let spool = match &flags.data_dir {
        Some(data_dir) => format!("in {}", data_dir.display()),
        None => "in a temporary directory, deleted at the end".to_owned(),
    };
    format!(
        "Layover runs: it takes mail {mail}.\n\
         {kept}\n\
         \x20 SMTP   {smtp} (STARTTLS with a self-signed certificate)\n\
         \x20 admin  {admin}\n\
         \x20 page   http://{http}/ (metrics at /metrics)\n\
         \x20 spool  {spool}\n\
         \n\
         Try:\n\
         \x20 swaks --server {smtp} --to {recipient} --from me@sender.example -tlso\n\
         \x20 layover --server {admin} status\n\
         \x20 layover --server {admin} queue list\n\
         \n\
         Ctrl-C stops it.\n"
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        flags: Flags,
    }

    fn flags(line: &str) -> Result<Flags, clap::Error> {
        Line::try_parse_from(line.split_whitespace()).map(|line| line.flags)
    }

    #[test]
    fn every_flag_has_the_documented_default() {
        let flags = flags("dev").unwrap();
        assert_eq!(flags.smtp_listen, "127.0.0.1:2525".parse().unwrap());
        assert_eq!(flags.http_listen, "127.0.0.1:7402".parse().unwrap());
        assert_eq!(flags.admin_listen, "127.0.0.1:7401".parse().unwrap());
        assert_eq!(
            (flags.domain.as_str(), flags.primary.as_str()),
            ("example.com", "127.0.0.1:2526")
        );
        let (_, policy) = policy(&flags).unwrap();
        assert_eq!(policy.domains[0].primary, ["127.0.0.1:2526"]);
    }

    #[test]
    fn what_is_no_domain_is_named_by_its_flag() {
        let flags = flags("dev --domain a..b").unwrap();
        let error = policy(&flags).unwrap_err().to_string();
        assert!(
            error.starts_with("--domain or --primary: name = \"a..b\" is not a name"),
            "{error}"
        );
    }

    #[test]
    fn the_policy_that_is_told_is_the_one_in_force() {
        let flags = flags("dev --domain a.example --primary 127.0.0.1:26").unwrap();
        let (_, asked) = policy(&flags).unwrap();
        let ports = Ports {
            smtp: vec![flags.smtp_listen],
            admin: flags.admin_listen,
            http: flags.http_listen,
        };
        let told = |in_force: Option<&Policy>| summary(&flags, &ports, &asked, in_force);
        let begins = "Layover runs: it takes mail for a.example and brings it to 127.0.0.1:26.\n\n";
        assert!(told(None).starts_with(begins), "{}", told(None));
        assert_eq!(told(Some(&asked)), told(None));
        let other = "[[domain]]\nname = \"b.example\"\n[[domain]]\nname = \"c.example\"\nprimary = [\"c\", \"d\"]\n";
        let other = told(Some(&Policy::parse(other).unwrap()));
        let begins = "Layover runs: it takes mail for b.example and brings it to its MX hosts, for c.example and \
                      brings it to c:25 or d:25.\nThat is the policy of the spool";
        assert!(other.starts_with(begins), "{other}");
        assert!(other.contains("--to you@b.example"), "{other}");
    }

    #[test]
    fn the_admin_side_stays_on_loopback() {
        assert!(flags("dev --admin-listen 0.0.0.0:7401").is_err());
        assert!(flags("dev --admin-listen [::1]:7401").is_ok());
    }

    #[test]
    fn the_certificate_belongs_to_its_key() {
        let folder = TempDir::new().unwrap();
        let flags = flags("dev").unwrap();
        let config = config(&flags, folder.path().join("data"), folder.path()).unwrap();
        let PemPair { cert, key } = config.smtp.tls.unwrap();
        assert!(cert.exists() && key.exists());
    }
}
