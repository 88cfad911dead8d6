//! The throw-away node that needs no configuration.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use harness::{
    Ctl, Letter, Port, Primary, Sender, binaries, compare, http, process, wait, wait_until,
};
use rustix::process::Signal;

/// Ends the process when the test ends before it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_node_without_configuration_takes_and_forwards_mail_and_leaves_nothing() {
    let mut primary = Primary::down_at_first();
    let (smtp, admin, web) = (Port::free(), Port::free(), Port::free());
    let scratch = tempfile::tempdir().unwrap();
    let child = Command::new(binaries::layoverd())
        .arg("dev")
        .args(["--smtp-listen", &smtp.address().to_string()])
        .args(["--admin-listen", &admin.address().to_string()])
        .args(["--http-listen", &web.address().to_string()])
        .args(["--domain", "example.org"])
        .args(["--primary", &primary.address().to_string()])
        .env("TMPDIR", scratch.path())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    wait_until(Duration::from_secs(30), "the node is ready", || {
        http::get(web.address(), "/readyz").is_ok_and(|(code, _)| code == 200)
    });
    let letter = Letter::new(1, "a@example.org", 2_000);
    let mut sender = Sender::connect(smtp.address()).unwrap();
    assert!(sender.offers("STARTTLS"));
    assert_eq!(sender.send(&letter).unwrap().code, 250);
    sender.quit().unwrap();
    let list = Ctl::new(&[admin.address()]).json(&["queue", "list"]);
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    primary.up();
    wait_until(Duration::from_secs(60), "the message arrives", || {
        primary.count() == 1
    });
    assert!(compare(&[letter], &primary.received()).is_right());
    process::signal(running.0.id(), Signal::TERM);
    let status = wait::within(Duration::from_secs(35), || running.0.try_wait().unwrap());
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
    let left = std::fs::read_dir(scratch.path()).unwrap().count();
    assert_eq!(left, 0, "its temporary directory is still there");
}
