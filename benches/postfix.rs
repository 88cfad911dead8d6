//! A private Postfix: its own configuration, queue and port, in a temporary directory.
//!
//! Tuned as someone would who wants speed and knows Postfix, and fair: no DNS, no filters, no
//! limits, no delay; its log goes nowhere, which spares it work that our nodes do.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use harness::{Port, Sender, process, wait_until};
use tempfile::TempDir;

use crate::system::{DOMAIN, System};

/// Enough for 200 sessions, each of which holds an smtpd and a cleanup of its own.
const PROCESSES: usize = 500;

/// A running instance.
#[derive(Debug)]
pub(crate) struct Instance {
    smtp: Port,
    primary: Port,
    directory: TempDir,
    running: bool,
}

impl Instance {
    /// Writes its files and starts it.
    pub(crate) fn start() -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("layover-postfix-")
            .tempdir()?;
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        let mut instance = Self {
            smtp: Port::free(),
            primary: Port::free(),
            directory,
            running: false,
        };
        for name in ["etc", "spool", "lib"] {
            fs::create_dir(instance.path(name))?;
        }
        let status = Command::new("chown")
            .arg("postfix")
            .arg(instance.path("lib"))
            .status()?;
        ensure!(
            status.success(),
            "Postfix is measured as root: it runs as several users"
        );
        fs::write(instance.path("etc").join("main.cf"), instance.main_cf())?;
        fs::write(instance.path("etc").join("master.cf"), instance.master_cf())?;
        instance.launch()?;
        Ok(instance)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn launch(&mut self) -> Result<()> {
        self.command("start")?;
        self.running = true;
        let smtp = self.smtp.address();
        wait_until(Duration::from_secs(20), "postfix answers", || {
            Sender::connect(smtp).is_ok()
        });
        Ok(())
    }

    fn command(&self, verb: &str) -> Result<()> {
        let output = Command::new("/usr/sbin/postfix")
            .arg("-c")
            .arg(self.path("etc"))
            .arg(verb)
            .stdin(Stdio::null())
            .output()
            .context("make setup installs Debian's package postfix")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "postfix {verb}: {said}");
        Ok(())
    }

    /// The process id of Postfix's master.
    fn master(&self) -> Option<u32> {
        let text = fs::read_to_string(self.path("spool").join("pid/master.pid")).ok()?;
        text.trim().parse().ok()
    }

    fn main_cf(&self) -> String {
        let (spool, lib) = (self.path("spool"), self.path("lib"));
        let primary = self.primary.address();
        let (ip, port) = (primary.ip(), primary.port());
        format!(
            "compatibility_level = 3.6\n\
             queue_directory = {}\n\
             data_directory = {}\n\
             myhostname = mx.{DOMAIN}\n\
             mydestination =\n\
             mynetworks = 127.0.0.0/8\n\
             inet_interfaces = 127.0.0.1\n\
             inet_protocols = ipv4\n\
             relay_domains = {DOMAIN}\n\
             relay_recipient_maps =\n\
             transport_maps = inline:{{ {{ {DOMAIN} = relay:[{ip}]:{port} }} }}\n\
             alias_maps =\n\
             alias_database =\n\
             local_recipient_maps =\n\
             smtpd_relay_restrictions = reject_unauth_destination\n\
             smtpd_recipient_restrictions = reject_unauth_destination\n\
             smtpd_peername_lookup = no\n\
             smtpd_client_connection_count_limit = 0\n\
             smtpd_client_connection_rate_limit = 0\n\
             smtpd_tls_security_level = none\n\
             smtp_tls_security_level = none\n\
             smtp_dns_support_level = disabled\n\
             default_process_limit = {PROCESSES}\n\
             in_flow_delay = 0\n\
             message_size_limit = 0\n\
             enable_long_queue_ids = yes\n\
             enable_original_recipient = no\n\
             local_header_rewrite_clients =\n\
             receive_override_options = no_address_mappings\n\
             initial_destination_concurrency = 20\n\
             default_destination_concurrency_limit = 20\n\
             qmgr_message_active_limit = 100000\n\
             qmgr_message_recipient_limit = 100000\n",
            spool.display(),
            lib.display(),
        )
    }

    fn master_cf(&self) -> String {
        let smtp = self.smtp.address();
        let mut text = format!("{smtp} inet n - n - {PROCESSES} smtpd -o smtpd_banner=mx\n");
        text.push_str(
            "pickup unix n - n 60 1 pickup\n\
             cleanup unix n - n - 0 cleanup\n\
             qmgr unix n - n 300 1 qmgr\n\
             rewrite unix - - n - - trivial-rewrite\n\
             bounce unix - - n - 0 bounce\n\
             defer unix - - n - 0 bounce\n\
             trace unix - - n - 0 bounce\n\
             verify unix - - n - 1 verify\n\
             flush unix n - n 1000? 0 flush\n\
             proxymap unix - - n - - proxymap\n\
             smtp unix - - n - - smtp\n\
             relay unix - - n - - smtp\n\
             showq unix n - n - - showq\n\
             error unix - - n - - error\n\
             retry unix - - n - - error\n\
             anvil unix - - n - 1 anvil\n\
             scache unix - - n - 1 scache\n\
             tlsmgr unix - - n 1000? 1 tlsmgr\n",
        );
        text
    }
}

impl System for Instance {
    fn name(&self) -> &'static str {
        "Postfix"
    }

    fn hosts(&self) -> Vec<SocketAddr> {
        vec![self.smtp.address()]
    }

    fn cpu_time(&self) -> Duration {
        self.master().map(process::cpu_time).unwrap_or_default()
    }

    fn memory_bytes(&self) -> u64 {
        let family = self.master().map(process::family).unwrap_or_default();
        family
            .into_iter()
            .filter_map(process::proportional_bytes)
            .sum()
    }

    fn primary(&self) -> SocketAddr {
        self.primary.address()
    }

    fn reset(&mut self) -> Result<()> {
        let status = Command::new("/usr/sbin/postsuper")
            .arg("-c")
            .arg(self.path("etc"))
            .args(["-d", "ALL"])
            .stderr(Stdio::null())
            .status()?;
        ensure!(status.success(), "postsuper ended with {status}");
        self.stop()?;
        self.launch()
    }

    /// The queue manager has looked at every message and put it aside.
    fn settle(&mut self) -> Result<()> {
        let is_empty = |name: &str| {
            let output = Command::new("find")
                .arg(self.path("spool").join(name))
                .args(["-type", "f", "-print", "-quit"])
                .output();
            output.is_ok_and(|output| output.stdout.is_empty())
        };
        wait_until(
            Duration::from_secs(120),
            "postfix has deferred everything",
            || is_empty("incoming") && is_empty("active"),
        );
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.command("flush")
    }

    fn stop(&mut self) -> Result<()> {
        if self.running {
            self.command("stop")?;
            self.running = false;
        }
        Ok(())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        drop(self.stop());
    }
}
