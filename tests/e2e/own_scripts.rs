//! Domains in the characters of their own script, and in the form that the DNS has of them.

use std::time::Duration;

use harness::{Cluster, Ctl, Offer, Primary, Sender, Settings, wait_until};
use serde_json::Value;

use crate::scene;

const WRITTEN: &str = "b\u{fc}cher.example";
const ANN: &str = "ann@b\u{fc}cher.example";
const ANN_IN_ASCII: &str = "ann@xn--bcher-kva.example";
const NOBODY: &str = "nobody@b\u{fc}cher.example";
const NOBODY_IN_ASCII: &str = "nobody@xn--bcher-kva.example";

/// What a node has found out is known to it within this.
const TOLD: Duration = Duration::from_secs(30);

/// A node whose primary knows Ann, by either form.
fn with_ann() -> (Primary, Cluster) {
    let primary = Primary::started();
    primary.on_cue(|cue| {
        cue.offer(&[Offer::SmtpUtf8]);
        cue.have(&[ANN, ANN_IN_ASCII]);
    });
    let mut settings = Settings::for_domains(&[(WRITTEN, primary.address())]);
    let verified = "recipients = \"verify\"";
    settings.policy = settings.policy.replace("recipients = \"any\"", verified);
    let cluster = Cluster::start(1, &settings);
    (primary, cluster)
}

/// Begins a message and names recipients, who are answered with these codes.
#[track_caller]
fn name(cluster: &Cluster, recipients: &[(&str, u16)]) -> Sender {
    let mut sender = Sender::connect(cluster.nodes[0].smtp()).unwrap();
    let begun = sender.command("MAIL FROM:<a@sender.test> SMTPUTF8");
    assert_eq!(begun.unwrap().code, 250);
    for (to, code) in recipients {
        let reply = sender.command(&format!("RCPT TO:<{to}>")).unwrap();
        assert_eq!(reply.code, *code, "{to}: {reply}");
    }
    sender
}

fn listed(ctl: &Ctl, arguments: &[&str]) -> usize {
    let list = ctl.json(&[&["queue", "list"][..], arguments].concat());
    list.as_array().map_or(0, Vec::len)
}

#[test]
fn a_recipient_is_known_under_both_forms_of_his_domain() {
    let (primary, cluster) = with_ann();
    name(&cluster, &[(ANN, 250), (NOBODY, 550)]);
    let ctl = cluster.ctl();
    wait_until(TOLD, "the node has learned who exists", || {
        let known = ctl.json(&["recipients", "list", WRITTEN]);
        let addresses: Vec<&Value> = known
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| &one["address"])
            .collect();
        addresses == [ANN_IN_ASCII, NOBODY_IN_ASCII]
    });
    name(&cluster, &[(ANN_IN_ASCII, 250), (NOBODY_IN_ASCII, 550)]);
    for address in [ANN_IN_ASCII, NOBODY_IN_ASCII] {
        assert_eq!(primary.times_named(address), 1, "{address}");
    }
    let forgotten = ctl.json(&["recipients", "forget", WRITTEN, NOBODY]);
    assert_eq!(forgotten["changed"], 1, "{forgotten}");
}

#[test]
fn an_operator_may_name_a_domain_in_either_form() {
    let (primary, cluster) = with_ann();
    let ctl = cluster.ctl();
    let paused = ctl.json(&["domain", "pause", WRITTEN]);
    assert_eq!(paused["waiting"], 0, "{paused}");
    for to in [ANN, ANN_IN_ASCII] {
        let mut sender = name(&cluster, &[(to, 250)]);
        let body = format!("Subject: {}\r\n\r\ntext\r\n", to.len());
        let chunk = format!("BDAT {} LAST\r\n{body}", body.len());
        sender.write(chunk.as_bytes()).unwrap();
        assert_eq!(sender.read_reply().unwrap().code, 250);
    }
    for filter in [
        ["--domain", "B\u{dc}CHER.example"],
        ["--recipient", ANN],
        ["--recipient", ANN_IN_ASCII],
        ["--recipient", "@b\u{fc}cher.example"],
    ] {
        assert_eq!(listed(&ctl, &filter), 2, "{filter:?}");
    }
    assert_eq!(listed(&ctl, &["--recipient", NOBODY]), 0);
    for command in [
        &["flush", WRITTEN][..],
        &["domain", "probe", WRITTEN],
        &["replay", "--since", "1h", "--domain", WRITTEN],
    ] {
        let told = ctl.run(command);
        assert!(
            !told.err.contains("in the policy"),
            "{command:?}: {}",
            told.err
        );
    }
    assert_eq!(primary.count(), 0, "the domain is paused");
    let resumed = ctl.json(&["domain", "resume", WRITTEN]);
    assert_eq!(resumed["changed"], true, "{resumed}");
    scene::wait_received(&primary, 2);
    let to: Vec<_> = primary.received().into_iter().map(|it| it.to).collect();
    assert_eq!(to, [[ANN], [ANN_IN_ASCII]], "in order of arrival");
}
