//! A private Exim: its own configuration, queue, log and port, in a temporary directory.
//!
//! Debian's packages of Exim and of Postfix exclude each other. So `tests/setup/install.sh` unpacks
//! Exim's beside what cargo builds, and what the package would have changed on the machine, a user of its
//! own, it sees in a mount namespace of its own.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Signal, geteuid};
use tempfile::TempDir;

use crate::{Port, Sender, binaries, certificates::Pair, ctl, logs, process, wait, wait_until};

/// The user whom Debian's build looks for by name, and an id for it that no package gives away.
const USER: &str = "Debian-exim";
const USER_ID: u32 = 64_999;

/// It answers within this time after its start, and ends within it when told to.
const START: Duration = Duration::from_secs(30);

/// An instance; down until [`Exim::up`] is called.
#[derive(Debug)]
pub struct Exim {
    smtp: Port,
    directory: TempDir,
    child: Option<Child>,
    /// Whether it takes mail and does nothing more about it.
    only_queues: bool,
}

impl Exim {
    /// Writes the files of an instance that takes the mail of `domain`, offers STARTTLS, and hands
    /// everything to `next_hop`; starts nothing. It knows everybody but `nobody`.
    ///
    /// # Errors
    /// When Exim is not installed, or this user may not run it.
    ///
    /// # Panics
    /// When the temporary directory is not writable.
    pub fn prepare(domain: &str, next_hop: SocketAddr, pair: &Pair) -> Result<Self, String> {
        let candidates = [binaries::unpacked("exim"), PathBuf::from("/")];
        let program = candidates
            .into_iter()
            .map(|root| root.join("usr/sbin/exim4"))
            .find(|program| program.exists())
            .ok_or("Exim is not there; tests/setup/install.sh unpacks it where apt is at hand")?;
        if !geteuid().is_root() {
            return Err("Exim runs as several users; start this as root".to_owned());
        }
        let may = ctl::tried(Command::new("unshare").args(["-m", "true"]));
        if !may.is_ok_and(|outcome| outcome.code == 0) {
            return Err("there are no mount namespaces here, which Exim needs".to_owned());
        }
        let directory = tempfile::Builder::new()
            .prefix("layover-exim-")
            .tempdir()
            .expect("the temporary directory is writable");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))
            .expect("what is ours can be opened to others");
        let exim = Self {
            smtp: Port::free(),
            directory,
            child: None,
            only_queues: false,
        };
        // It calls itself again as its own user, who may not look into the folders of others.
        fs::copy(program, exim.program()).expect("programs can be copied");
        exim.write_files(domain, next_hop, pair);
        Ok(exim)
    }

    /// Has it take mail and do nothing more about it.
    #[must_use]
    pub fn only_queueing(mut self) -> Self {
        self.only_queues = true;
        self.set("queue_only", "true");
        self
    }

    /// Sets a main option: what is started goes by it.
    ///
    /// # Panics
    /// When its configuration can not be written.
    pub fn set(&mut self, name: &str, value: &str) {
        let others = fs::read_to_string(self.path("conf")).expect("the configuration is there");
        let text = format!("{name} = {value}\n{others}");
        fs::write(self.path("conf"), text).expect("the configuration can be written");
    }

    /// Starts it, and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn up(&mut self) {
        const SCRIPT: &str = "mount --bind \"$0/passwd\" /etc/passwd && \
             mount --bind \"$0/group\" /etc/group && exec \"$1\" -C \"$0/conf\" -bdf $2";
        let said = fs::File::create(self.path("said")).expect("files can be written");
        let child = Command::new("unshare")
            .args(["-m", "sh", "-c", SCRIPT])
            .arg(self.directory.path())
            .arg(self.program())
            .arg(if self.only_queues { "" } else { "-q1s" })
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn();
        self.child = Some(child.expect("unshare was there a moment ago"));
        let smtp = self.smtp.address();
        wait_until(START, "Exim answers", || Sender::connect(smtp).is_ok());
    }

    /// Ends the process that listens; sessions that are under way go on by themselves.
    pub fn down(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        process::signal(child.id(), Signal::TERM);
        if wait::within(START, || child.try_wait().ok().flatten()).is_none() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Removes everything from its queue; it has to be down.
    ///
    /// # Panics
    /// When that fails.
    pub fn empty_queue(&self) {
        let queue = self.path("spool").join("input");
        if queue.exists() {
            fs::remove_dir_all(queue).expect("root may remove anything");
        }
    }

    /// The process id of its daemon, while it runs.
    #[must_use]
    pub fn daemon(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Where it listens, when it runs.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.smtp.address()
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
        let taken = log.lines().filter(|line| line.contains(" <= "));
        let ids = taken.filter_map(|line| line.split_once(" id="));
        ids.filter_map(|(_, id)| id.split('@').next()?.parse().ok())
            .collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn program(&self) -> PathBuf {
        self.path("exim4")
    }

    fn log_path(&self) -> PathBuf {
        self.path("log").join("main")
    }

    fn write_files(&self, domain: &str, next_hop: SocketAddr, pair: &Pair) {
        for name in ["spool", "log"] {
            fs::create_dir(self.path(name)).expect("folders can be made");
            chown(self.path(name), Some(USER_ID), Some(USER_ID)).expect("root may give away");
        }
        for (file, line) in [
            (
                "passwd",
                format!("{USER}:x:{USER_ID}:{USER_ID}::/:/bin/false"),
            ),
            ("group", format!("{USER}:x:{USER_ID}:")),
        ] {
            let known = fs::read_to_string(Path::new("/etc").join(file)).unwrap_or_default();
            fs::write(self.path(file), format!("{line}\n{known}")).expect("files can be written");
        }
        // It reads them as its own user.
        for (file, name) in [(&pair.cert, "cert.pem"), (&pair.key, "cert.key")] {
            fs::copy(file, self.path(name)).expect("certificates can be copied");
            chown(self.path(name), Some(USER_ID), Some(USER_ID)).expect("root may give away");
        }
        let text = self.configuration(domain, next_hop);
        fs::write(self.path("conf"), text).expect("the configuration can be written");
    }

    fn configuration(&self, domain: &str, next_hop: SocketAddr) -> String {
        let own = self.directory.path().display();
        let program = self.program();
        let program = program.display();
        let (smtp, hop) = (self.smtp.address(), next_hop);
        format!(
            "primary_hostname = exim.{domain}\n\
             spool_directory = {own}/spool\n\
             log_file_path = {own}/log/%s\n\
             pid_file_path = {own}/spool/pid\n\
             exim_path = {program}\n\
             keep_environment =\n\
             local_interfaces = {}.{}\n\
             domainlist ours = {domain}\n\
             acl_smtp_rcpt = rcpt\n\
             tls_advertise_hosts = *\n\
             tls_certificate = {own}/cert.pem\n\
             tls_privatekey = {own}/cert.key\n\
             chunking_advertise_hosts = *\n\
             dsn_advertise_hosts = *\n\
             smtputf8_advertise_hosts = *\n\
             host_lookup =\n\
             rfc1413_hosts =\n\
             smtp_accept_max = 0\n\
             smtp_accept_queue_per_connection = 0\n\
             message_logs = false\n\
             begin acl\n\
             rcpt:\n\
             \x20 deny local_parts = nobody\n\
             \x20   message = no such user\n\
             \x20 accept domains = +ours\n\
             begin routers\n\
             onward:\n\
             \x20 driver = manualroute\n\
             \x20 domains = +ours\n\
             \x20 route_list = * {}\n\
             \x20 self = send\n\
             \x20 transport = onward\n\
             begin transports\n\
             onward:\n\
             \x20 driver = smtp\n\
             \x20 port = {}\n\
             \x20 allow_localhost\n\
             \x20 hosts_avoid_tls = *\n\
             begin retry\n\
             * * F,1h,1s\n",
            smtp.ip(),
            smtp.port(),
            hop.ip(),
            hop.port(),
        )
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- Exim ---\n{}", logs::tail(&self.log_path(), 25));
        }
        self.down();
    }
}
