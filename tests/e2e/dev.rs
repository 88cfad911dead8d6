//! The throw-away node that needs no configuration.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use harness::{
    Ctl, Letter, Port, Primary, Sender, binaries, compare, http, process, wait, wait_until,
};
use rustix::process::Signal;
use serde_json::{Map, Value};

/// A node of that kind, for example.org.
struct Dev {
    child: Child,
    smtp: Port,
    admin: Port,
    web: Port,
}

impl Dev {
    /// Starts it, with its temporary files in a folder, and waits until it takes mail.
    fn start(primary: SocketAddr, scratch: &Path, log: Stdio) -> Self {
        let (smtp, admin, web) = (Port::free(), Port::free(), Port::free());
        let child = Command::new(binaries::layoverd())
            .args(["dev", "--log-format", "json"])
            .args(["--smtp-listen", &smtp.address().to_string()])
            .args(["--admin-listen", &admin.address().to_string()])
            .args(["--http-listen", &web.address().to_string()])
            .args(["--domain", "example.org"])
            .args(["--primary", &primary.to_string()])
            .env("TMPDIR", scratch)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let dev = Self {
            child,
            smtp,
            admin,
            web,
        };
        wait_until(Duration::from_secs(30), "the node is ready", || {
            http::get(dev.web.address(), "/readyz").is_ok_and(|(code, _)| code == 200)
        });
        dev
    }

    fn stop(&mut self) {
        process::signal(self.child.id(), Signal::TERM);
        let status = wait::within(Duration::from_secs(35), || self.child.try_wait().unwrap());
        assert!(status.is_some_and(|status| status.success()), "{status:?}");
    }
}

/// Ends the process when the test ends before it.
impl Drop for Dev {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_node_without_configuration_takes_and_forwards_mail_and_leaves_nothing() {
    let mut primary = Primary::down_at_first();
    let scratch = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(primary.address(), scratch.path(), Stdio::null());
    let letter = Letter::new(1, "a@example.org", 2_000);
    let mut sender = Sender::connect(dev.smtp.address()).unwrap();
    assert!(sender.offers("STARTTLS"));
    assert_eq!(sender.send(&letter).unwrap().code, 250);
    sender.quit().unwrap();
    let list = Ctl::new(&[dev.admin.address()]).json(&["queue", "list"]);
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    primary.up();
    wait_until(Duration::from_secs(60), "the message arrives", || {
        primary.count() == 1
    });
    assert!(compare(&[letter], &primary.received()).is_right());
    dev.stop();
    let left = fs::read_dir(scratch.path()).unwrap().count();
    assert_eq!(left, 0, "its temporary directory is still there");
}

#[test]
fn a_log_in_json_tells_of_a_message_by_its_id_and_shows_what_is_asked_for() {
    let primary = Primary::started();
    let scratch = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut dev = Dev::start(
        primary.address(),
        scratch.path(),
        File::create(&log).unwrap().into(),
    );
    let ctl = Ctl::new(&[dev.admin.address()]);
    let send = |serial| {
        let mut sender = Sender::connect(dev.smtp.address()).unwrap();
        let letter = Letter::new(serial, "a@example.org", 2_000);
        let id = sender
            .send(&letter)
            .unwrap()
            .queued_as()
            .unwrap()
            .to_owned();
        sender.quit().unwrap();
        id
    };
    let first = send(1);
    let refused = ctl.run(&["log-level", "mail=loud"]);
    assert_eq!(refused.code, 1, "{}", refused.out);
    assert!(refused.err.contains("is no filter"), "{}", refused.err);
    wait_until(Duration::from_secs(60), "it is delivered", || {
        events(&log, &first).contains(&"delivered".to_owned())
    });
    assert_eq!(events(&log, &first), ["received", "delivered"]);

    let told = ctl.json(&["log-level", "mail=off,relay=debug"]);
    assert_eq!(told["node_id"], 1);
    assert_eq!(ctl.json(&["log-level"]), told);
    let second = send(2);
    wait_until(Duration::from_secs(60), "it arrives", || {
        primary.count() == 2
    });
    let audit = ctl.json(&["audit"]);
    let what = &audit[0]["what"];
    assert_eq!(what, "log-level mail=off,relay=debug on node 1", "{audit}");
    dev.stop();
    let shown = events(&log, &second);
    assert!(!shown.contains(&"received".to_owned()), "{shown:?}");
    let debug = |line: &Map<String, Value>| line["level"] == "DEBUG";
    assert!(lines(&log).iter().any(debug), "nothing more is shown");
}

/// The lines of a log, each a JSON object; one that is just being written is passed over.
fn lines(log: &Path) -> Vec<Map<String, Value>> {
    let text = fs::read_to_string(log).unwrap();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = whole.lines().map(|line| {
        let object = serde_json::from_str(line);
        object.unwrap_or_else(|error| panic!("{error}: {line}"))
    });
    lines.collect()
}

/// What happened to a message.
fn events(log: &Path, id: &str) -> Vec<String> {
    let lines = lines(log).into_iter();
    let about =
        lines.filter(|line| line["target"] == "mail" && line.get("id").is_some_and(|of| of == id));
    about
        .map(|line| line["message"].as_str().unwrap().to_owned())
        .collect()
}
