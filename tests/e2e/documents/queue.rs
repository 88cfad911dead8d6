//! Commands about the mail, the domains and the nodes of a cluster.

use std::time::Duration;

use harness::{Cluster, Ctl, Cue, Letter, Primary, Settings, wait_until};

use super::{Desk, Stage, commands_of, named::Named};
use crate::scene;

/// The domains that the documents name.
const DOMAINS: [&str; 3] = ["example.com", VERIFIED, "bench.test"];

/// That whose recipients are asked for.
const VERIFIED: &str = "example.org";

/// Recipients whose mail is put off, and refused; all others have theirs.
const FULL: &str = "full@example.com";
const GONE: &str = "gone@example.com";

/// Whose mail is deleted in the documents.
const SENDER: &str = "unwanted@sender.test";

/// What becomes of a letter is known within this.
const SETTLED: Duration = Duration::from_secs(30);

/// What changes something, and is noted in the audit log; with what comes first, so that there is something to change.
const CHANGING: [(&str, &[&[&str]]); 12] = [
    ("layover domain pause", &[]),
    (
        "layover domain resume",
        &[
            &["domain", "pause", "example.com"],
            &["domain", "pause", "bench.test"],
        ],
    ),
    ("layover flush", &[]),
    ("layover policy apply", &[]),
    ("layover queue bounce", &[]),
    ("layover queue delete", &[]),
    ("layover queue hold", &[]),
    ("layover queue release", &[&["queue", "hold", "--all"]]),
    ("layover queue retry", &[]),
    ("layover recipients add", &[]),
    (
        "layover recipients forget",
        &[&["recipients", "add", VERIFIED, "ann"]],
    ),
    ("layover replay", &[]),
];

/// Three nodes and a primary that takes most mail.
struct Queue {
    primary: Primary,
    cluster: Cluster,
    ctl: Ctl,
    policy: String,
    /// Letters sent so far.
    sent: usize,
}

impl Queue {
    fn start() -> Self {
        let primary = Primary::started();
        let domains = DOMAINS.map(|name| (name, primary.address()));
        let mut settings = Settings::for_domains(&domains);
        let (any, verify) = ("recipients = \"any\"", "recipients = \"verify\"");
        let at = settings.policy.find(VERIFIED).unwrap();
        let verified = settings.policy.split_off(at).replacen(any, verify, 1);
        settings.policy.push_str(&verified);
        let cluster = Cluster::start(3, &settings);
        let ctl = cluster.ctl();
        Self {
            primary,
            cluster,
            ctl,
            policy: settings.policy,
            sent: 0,
        }
    }

    /// Brings it to where every command has something to do: one message has left, one is put off, one is refused, and
    /// nothing is kept back. Returns the id of the one that is put off.
    fn renew(&mut self) -> String {
        self.primary.on_cue(|cue| {
            cue.refuse(FULL, "452 4.2.2 mailbox full");
            cue.refuse(GONE, "550 5.1.1 no such user here");
        });
        for domain in DOMAINS {
            self.done(&["domain", "resume", domain]);
        }
        self.done(&["queue", "delete", "--yes", "--all"]);
        let letters = ["ann@example.com", FULL, GONE].map(|to| {
            self.sent += 1;
            let mut letter = Letter::new(self.sent, to, 2_000);
            letter.from = SENDER.to_owned();
            letter
        });
        scene::send_all(&self.cluster, &letters);
        // Reports to senders may come from what was done before.
        let ids = |state: &str| {
            let own = ["queue", "list", "--domain", DOMAINS[0], "--state", state];
            let list = self.ctl.json(&own);
            let list = list.as_array().unwrap().iter();
            list.map(|one| one["id"].as_str().unwrap().to_owned())
                .collect::<Vec<String>>()
        };
        wait_until(SETTLED, "each message is where it is to be", || {
            let are_kept = ["deferred", "rejected"].map(|state| ids(state).len()) == [1, 1];
            let received = self.primary.received();
            let has_left = received
                .iter()
                .any(|one| one.serial() == Some(letters[0].serial));
            are_kept && has_left
        });
        ids("deferred").remove(0)
    }

    #[track_caller]
    fn done(&self, words: &[&str]) {
        let told = self.ctl.run(words);
        assert_eq!(told.code, 0, "{words:?}: {}", told.err);
    }

    /// How many actions are noted, and how much the last one has changed, as the node knows first that leads.
    fn noted(&self) -> (usize, u64) {
        let leader = &self.cluster.nodes[self.cluster.leader()];
        let rows = leader.ctl().json(&["audit"]);
        let rows = rows.as_array().unwrap();
        let changed = rows.last().and_then(|row| row["changed"].as_u64());
        (rows.len(), changed.unwrap_or_default())
    }

    /// Runs a command in front of the message with this id. Returns whether it is a whole one.
    fn run(&self, named: &Named, id: &str) -> bool {
        let desk = Desk::before(&self.cluster);
        // Each policy is another one.
        let policy = format!("{}# as of {}\n", self.policy, self.sent);
        for file in ["FILE", "policy.toml"] {
            desk.put(file, &policy);
        }
        let follower = self.cluster.nodes[self.cluster.follower()].id.to_string();
        let of_nodes = named.begins("layover cluster");
        let of_recipients = named.begins("layover recipients");
        let values = [
            ("ID", if of_nodes { &follower } else { id }),
            ("DOMAIN", if of_recipients { VERIFIED } else { DOMAINS[0] }),
            ("ADDRESS", "ann"),
            ("TIME", "2h"),
            ("FILTER", "info"),
        ];
        if named.begins("layover top") {
            desk.quits(named, "q");
            return true;
        }
        desk.works(named, &values)
    }

    /// Runs a command that changes something, where it can, and looks whether it has.
    fn change(&mut self, named: &Named, first: &[&[&str]]) {
        let id = self.renew();
        for words in first {
            self.done(words);
        }
        if named.words.iter().any(|word| word == "--wait") {
            self.primary.on_cue(Cue::forgive);
        }
        let before = self.noted().0;
        if self.run(named, &id) {
            let (noted, changed) = self.noted();
            assert_eq!(noted, before + 1, "{named} is not noted");
            assert!(changed > 0, "{named} has changed nothing");
        }
    }
}

#[test]
fn every_command_in_the_documents_about_a_cluster_works() {
    let mut queue = Queue::start();
    let mut looking = Vec::new();
    for named in commands_of(Stage::Queue) {
        let mut changing = CHANGING.iter();
        match changing.find(|(words, _)| named.begins(words)) {
            Some((_, first)) => queue.change(&named, first),
            None => looking.push(named),
        }
    }
    let id = queue.renew();
    for named in looking {
        queue.run(&named, &id);
    }
}
