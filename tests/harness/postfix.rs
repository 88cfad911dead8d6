//! A private Postfix: its own configuration, queue, log and port, in a temporary directory.
//!
//! It relays the mail of one domain to a next hop. No DNS, no filters, no limits, no delay.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::{Port, Sender, certificates::Pair, ctl, logs, process, wait_until};

/// Where Debian's package puts its commands.
const COMMANDS: &str = "/usr/sbin";

/// It answers within this time after its start.
const START: Duration = Duration::from_secs(30);

/// All its processes have ended within this time.
const STOP: Duration = Duration::from_secs(30);

/// An instance; down until [`Postfix::up`] is called.
#[derive(Debug)]
pub struct Postfix {
    smtp: Port,
    directory: TempDir,
    settings: BTreeMap<String, String>,
    running: bool,
}

impl Postfix {
    /// Writes the files of an instance that takes the mail of `domain`; starts nothing.
    ///
    /// # Errors
    /// When Postfix is not installed, or this user may not run it.
    ///
    /// # Panics
    /// When the temporary directory is not writable.
    pub fn prepare(domain: &str) -> Result<Self, String> {
        if !Path::new(COMMANDS).join("postfix").exists() {
            return Err("Postfix is not installed; Debian's package is postfix".to_owned());
        }
        if !geteuid().is_root() {
            return Err("Postfix runs as several users; start this as root".to_owned());
        }
        let directory = tempfile::Builder::new()
            .prefix("layover-postfix-")
            .tempdir()
            .expect("the temporary directory is writable");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))
            .expect("what is ours can be opened to others");
        let mut postfix = Self {
            smtp: Port::free(),
            directory,
            settings: BTreeMap::new(),
            running: false,
        };
        for name in ["etc", "spool", "lib"] {
            fs::create_dir(postfix.path(name)).expect("folders can be made");
        }
        let owned = ctl::outcome(
            Command::new("chown")
                .arg("postfix")
                .arg(postfix.path("lib")),
        );
        if owned.code != 0 {
            return Err(format!("Postfix has no user: {}", owned.err.trim()));
        }
        postfix.open_log();
        postfix.set_defaults(domain);
        fs::write(postfix.path("etc").join("master.cf"), postfix.master_cf())
            .expect("master.cf can be written");
        Ok(postfix)
    }

    /// Hands all mail to the first of these that takes it.
    #[must_use]
    pub fn relaying_to(mut self, hops: &[SocketAddr]) -> Self {
        let hops = hops
            .iter()
            .map(|hop| format!("[{}]:{}", hop.ip(), hop.port()));
        let hops: Vec<String> = hops.collect();
        self.set("relay_transport", &format!("relay:{}", hops.join(", ")));
        self
    }

    /// Tries again after a second what could not be handed on.
    #[must_use]
    pub fn impatient(mut self) -> Self {
        for name in [
            "minimal_backoff_time",
            "maximal_backoff_time",
            "queue_run_delay",
        ] {
            self.set(name, "1s");
        }
        self
    }

    /// Offers STARTTLS.
    #[must_use]
    pub fn offering_tls(mut self, pair: &Pair) -> Self {
        self.set("smtpd_tls_security_level", "may");
        self.set("smtpd_tls_cert_file", &pair.cert.display().to_string());
        self.set("smtpd_tls_key_file", &pair.key.display().to_string());
        self.set("smtpd_tls_received_header", "yes");
        self
    }

    /// Sets a parameter of `main.cf`: what runs goes by it after [`Self::reload`].
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.insert(name.to_owned(), value.to_owned());
    }

    /// Writes a table for a lookup of the type `texthash`; what runs goes by it after [`Self::reload`].
    ///
    /// # Panics
    /// When it can not be written.
    pub fn write_table(&self, name: &str, lines: &[&str]) -> String {
        let path = self.path("etc").join(name);
        fs::write(&path, lines.join("\n") + "\n").expect("tables can be written");
        format!("texthash:{}", path.display())
    }

    /// Starts it, and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn up(&mut self) {
        self.write_settings();
        self.command("start");
        self.running = true;
        let smtp = self.smtp.address();
        wait_until(START, "Postfix answers", || Sender::connect(smtp).is_ok());
    }

    /// Ends it in an orderly way.
    pub fn down(&mut self) {
        if self.running {
            self.command("stop");
            self.running = false;
        }
    }

    /// Ends all its processes where they stand.
    pub fn crash(&mut self) {
        if self.running {
            let master = self.master();
            self.command("abort");
            let is_gone = || master.is_none_or(process::is_stopped);
            wait_until(STOP, "Postfix has ended", is_gone);
            self.running = false;
        }
    }

    /// Lets it go by what was set since its start.
    pub fn reload(&self) {
        self.write_settings();
        self.command("reload");
    }

    /// Has it try everything again now.
    pub fn flush(&self) {
        self.command("flush");
    }

    /// Removes everything from its queue.
    ///
    /// # Panics
    /// When that fails.
    pub fn empty_queue(&self) {
        let mut command = Command::new(Path::new(COMMANDS).join("postsuper"));
        command.arg("-c").arg(self.path("etc")).args(["-d", "ALL"]);
        let emptied = ctl::outcome(&mut command);
        assert_eq!(emptied.code, 0, "postsuper: {}", emptied.err);
    }

    /// Where it listens, when it runs.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.smtp.address()
    }

    /// The process id of its master.
    #[must_use]
    pub fn master(&self) -> Option<u32> {
        let text = fs::read_to_string(self.path("spool").join("pid/master.pid")).ok()?;
        text.trim().parse().ok()
    }

    /// How many messages lie in one of its queues, such as `deferred`.
    #[must_use]
    pub fn queued(&self, queue: &str) -> usize {
        count_files(&self.path("spool").join(queue))
    }

    /// Everything it logged so far.
    #[must_use]
    pub fn log_text(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The numbers of the letters that came in, in order, each as often as it came.
    #[must_use]
    pub fn arrivals(&self) -> Vec<usize> {
        let log = self.log_text();
        let ids = log
            .lines()
            .filter_map(|line| line.split_once(": message-id=<"));
        ids.filter_map(|(_, id)| id.split('@').next()?.parse().ok())
            .collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn log_path(&self) -> PathBuf {
        self.path("log")
    }

    /// Makes the log, and lets each of Postfix's users write there: its own start would leave it to root, but after a
    /// crash `postsuper` tells of files that were left half written when it is root no longer, and ends if it can not.
    fn open_log(&self) {
        let path = self.log_path();
        fs::write(&path, "").expect("files can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))
            .expect("what is ours can be opened to others");
    }

    /// Runs `postfix VERB`.
    fn command(&self, verb: &str) {
        let mut command = Command::new(Path::new(COMMANDS).join("postfix"));
        command.arg("-c").arg(self.path("etc")).arg(verb);
        // Its processes would hold a pipe open, and who reads it would wait for their end.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let said = fs::File::create(self.path("said")).expect("files can be written");
        let status = command.stderr(said).status();
        let said = fs::read_to_string(self.path("said")).unwrap_or_default();
        assert!(
            status.is_ok_and(|status| status.success()),
            "postfix {verb}: {said}\n{}",
            logs::tail(&self.log_path(), 20)
        );
    }

    fn write_settings(&self) {
        let mut text = String::new();
        for (name, value) in &self.settings {
            writeln!(text, "{name} = {value}").expect("strings grow");
        }
        fs::write(self.path("etc").join("main.cf"), text).expect("main.cf can be written");
    }

    fn set_defaults(&mut self, domain: &str) {
        let path = |name: &str| self.path(name).display().to_string();
        let (spool, lib, log) = (path("spool"), path("lib"), path("log"));
        let own = [
            ("queue_directory", spool),
            ("data_directory", lib),
            ("maillog_file", log),
            ("maillog_file_prefixes", path("")),
            ("myhostname", format!("mx.{domain}")),
            ("relay_domains", domain.to_owned()),
        ];
        for (name, value) in own {
            self.set(name, &value);
        }
        for (name, value) in [
            ("compatibility_level", "3.6"),
            ("mydestination", ""),
            ("mynetworks", "127.0.0.0/8"),
            ("inet_interfaces", "127.0.0.1"),
            ("inet_protocols", "ipv4"),
            ("alias_maps", ""),
            ("alias_database", ""),
            ("local_recipient_maps", ""),
            ("relay_recipient_maps", ""),
            ("smtpd_banner", "mx"),
            ("smtpd_relay_restrictions", "reject_unauth_destination"),
            ("smtpd_recipient_restrictions", "reject_unauth_destination"),
            ("smtpd_peername_lookup", "no"),
            ("smtpd_client_connection_count_limit", "0"),
            ("smtpd_client_connection_rate_limit", "0"),
            ("smtpd_tls_security_level", "none"),
            ("smtp_tls_security_level", "none"),
            ("smtp_dns_support_level", "disabled"),
            ("smtp_line_length_limit", "0"),
            ("in_flow_delay", "0"),
            ("message_size_limit", "0"),
            ("notify_classes", ""),
            ("enable_long_queue_ids", "yes"),
            ("enable_original_recipient", "no"),
            ("local_header_rewrite_clients", ""),
            ("receive_override_options", "no_address_mappings"),
        ] {
            self.set(name, value);
        }
    }

    fn master_cf(&self) -> String {
        let smtp = self.smtp.address();
        format!(
            "{smtp} inet n - n - - smtpd\n\
             pickup unix n - n 60 1 pickup\n\
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
             tlsmgr unix - - n 1000? 1 tlsmgr\n\
             postlog unix-dgram n - n - 1 postlogd\n"
        )
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- Postfix ---\n{}", logs::tail(&self.log_path(), 25));
        }
        self.crash();
    }
}

/// Files below a folder; its queues have folders of their own for the first letters of names.
fn count_files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let counts = entries.map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => count_files(&entry.path()),
        Ok(_) => 1,
        Err(_) => 0,
    });
    counts.sum()
}
