//! swaks, with all that it can do to a server that takes mail from strangers.

use std::{fs, process::Command};

use harness::{Cluster, Primary, Settings, ctl};

use crate::scene;

/// Exit codes of swaks: what ended the dialogue.
const DONE: i32 = 0;
const HELO_REFUSED: i32 = 22;
const RECIPIENTS_REFUSED: i32 = 24;
const DATA_REFUSED: i32 = 26;
const NO_LOGIN: i32 = 28;
const TLS_FAILED: i32 = 29;
const NO_PRDR: i32 = 30;
const NO_XCLIENT: i32 = 33;

/// Sends a message as these arguments want it; returns the transcript.
#[track_caller]
fn swaks(cluster: &Cluster, arguments: &[&str], code: i32) -> String {
    let server = cluster.nodes[0].smtp().to_string();
    let mut command = Command::new("swaks");
    command.args(["--server", &server, "--timeout", "60"]);
    if !arguments.contains(&"--from") {
        command.args(["--from", "a@sender.test"]);
    }
    if !arguments.contains(&"--to") {
        command.args(["--to", "x@example.com"]);
    }
    let outcome = ctl::outcome(command.args(arguments));
    let transcript = outcome.out + &outcome.err;
    assert_eq!(outcome.code, code, "swaks {arguments:?}\n{transcript}");
    transcript
}

/// Runs swaks once for each line, and looks for a phrase in the transcript.
fn swaks_each(cluster: &Cluster, cases: &[(&str, i32, &str)]) {
    for (arguments, code, phrase) in cases {
        let words: Vec<&str> = arguments.split(' ').collect();
        let transcript = swaks(cluster, &words, *code);
        assert!(
            transcript.contains(phrase),
            "swaks {arguments}: no {phrase:?}\n{transcript}"
        );
    }
}

/// The bodies that arrive once the primary is up.
fn arrived(primary: &mut Primary, cluster: &Cluster, count: usize) -> Vec<String> {
    primary.up();
    cluster.wait_queued(0, scene::DRAIN);
    let received = primary.received();
    let bodies: Vec<String> = received
        .into_iter()
        .map(|message| String::from_utf8(message.body).unwrap())
        .collect();
    assert_eq!(bodies.len(), count, "{bodies:#?}");
    bodies
}

#[test]
fn swaks_is_served_in_clear_and_over_tls_with_and_without_pipelining() {
    let (mut primary, cluster) = scene::outage(1);
    let took = [
        ("--tls", "<~  250 2.0.0 Ok: queued as"),
        ("--tls-optional", "<~  250 2.0.0 Ok: queued as"),
        ("--tls-optional-strict", "<~  250 2.0.0 Ok: queued as"),
        ("--tls --tls-protocol tlsv1_2", "cipher TLSv1.2:"),
        ("--tls --tls-protocol tlsv1_3", "cipher TLSv1.3:"),
        ("--pipeline", "<-  250 2.0.0 Ok: queued as"),
        ("--pipeline --tls", "<~  250 2.0.0 Ok: queued as"),
        ("--protocol SMTP", "<-  250 2.0.0 Ok: queued as"),
        ("--protocol ESMTP", "<-  250 2.0.0 Ok: queued as"),
        ("--protocol ESMTPS", "<~  250 2.0.0 Ok: queued as"),
        ("--ehlo mail.sender.test", "queued as"),
        ("--ehlo [192.0.2.1]", "queued as"),
        ("--ehlo under_score", "queued as"),
        ("--from <>", "queued as"),
        ("--to postmaster@example.com", "queued as"),
        ("--to x@example.com,y@elsewhere.test", "queued as"),
        (
            "--auth-optional --auth-user u --auth-password p",
            "queued as",
        ),
    ];
    let cases = took.iter().map(|(line, said)| (*line, DONE, *said));
    swaks_each(&cluster, &cases.collect::<Vec<_>>());
    let bodies = arrived(&mut primary, &cluster, took.len());
    let with = |protocol: &str| {
        let protocol = format!(" with {protocol} id ");
        bodies
            .iter()
            .filter(|body| body.contains(&protocol))
            .count()
    };
    assert_eq!((with("ESMTPS"), with("SMTP")), (7, 1));
}

#[test]
fn swaks_may_leave_at_every_stage_and_leaves_nothing() {
    let (_primary, cluster) = scene::outage(1);
    swaks_each(
        &cluster,
        &[
            ("--quit-after CONNECT", DONE, "220 mx1.example.net ESMTP"),
            ("--quit-after BANNER", DONE, "221 2.0.0"),
            ("--quit-after FIRST-EHLO", DONE, "250-PIPELINING"),
            ("--quit-after EHLO", DONE, "250-CHUNKING"),
            ("--quit-after STARTTLS --tls", DONE, "<~  221 2.0.0"),
            ("--quit-after EHLO --tls", DONE, "<~  250-CHUNKING"),
            ("--quit-after MAIL", DONE, "250 2.1.0"),
            ("--quit-after RCPT", DONE, "250 2.1.5"),
            ("--quit-after RCPT --pipeline", DONE, "250 2.1.5"),
            ("--drop-after CONNECT", DONE, "220 "),
            ("--drop-after EHLO", DONE, "250-CHUNKING"),
            ("--drop-after MAIL", DONE, "250 2.1.0"),
            ("--drop-after RCPT", DONE, "250 2.1.5"),
            ("--drop-after DATA", DONE, "354 "),
            ("--drop-after RCPT --tls", DONE, "<~  250 2.1.5"),
        ],
    );
    assert_eq!(cluster.nodes[0].queued(), Some(0));
}

#[test]
fn swaks_is_refused_what_is_not_offered() {
    let (_primary, cluster) = scene::outage(1);
    let login = "--auth-user u --auth-password p";
    swaks_each(
        &cluster,
        &[
            ("--to x@elsewhere.test", RECIPIENTS_REFUSED, "550 5.7.1 "),
            (
                "--to x%elsewhere.test@example.com",
                RECIPIENTS_REFUSED,
                "550 5.7.1 ",
            ),
            ("--protocol LMTP", HELO_REFUSED, "500 5.5.1 "),
            (&format!("--auth {login}"), NO_LOGIN, "did not advertise"),
            (&format!("--auth PLAIN {login}"), NO_LOGIN, "not advertise"),
            ("--xclient-addr 192.0.2.9", NO_XCLIENT, "did not advertise"),
            ("--prdr", NO_PRDR, "did not advertise"),
            ("--tls-on-connect", TLS_FAILED, "TLS startup failed"),
            ("--tls --tls-protocol tlsv1_1", TLS_FAILED, "alert"),
            ("--tls --tls-verify", TLS_FAILED, "verify failed"),
        ],
    );
}

#[test]
fn bodies_of_swaks_arrive_as_they_were() {
    let (mut primary, cluster) = scene::outage(1);
    let file = cluster.directory().join("body");
    let large: String = (0..20_000)
        .map(|line| format!("line {line} of a large body, of about this length\n"))
        .collect();
    let bodies = [
        "a line\n.a dot\n..two\n.\n",
        "Gr\u{fc}\u{df}e aus K\u{f6}ln\n",
        large.as_str(),
    ];
    let path = format!("@{}", file.display());
    for (body, flags) in bodies.iter().zip([&["--tls"][..], &["--pipeline"], &[]]) {
        fs::write(&file, body).unwrap();
        swaks(&cluster, &[&["--body", &path], flags].concat(), DONE);
    }
    // As it stands, with its end.
    fs::write(&file, "Subject: bare\r\n\r\none\ntwo\r\n.\r\n").unwrap();
    let arguments = ["--data", &path, "--no-data-fixup"];
    let transcript = swaks(&cluster, &arguments, DATA_REFUSED);
    assert!(transcript.contains("550 5.6.11 "), "{transcript}");

    let arrived = arrived(&mut primary, &cluster, bodies.len());
    for (body, sent) in arrived.iter().zip(bodies) {
        let sent = sent.replace('\n', "\r\n");
        assert!(body.contains(&format!("\r\n\r\n{sent}")), "{sent:.200}");
    }
}

#[test]
fn swaks_speaks_as_a_proxy() {
    let mut primary = Primary::down_at_first();
    let proxies = "proxy_protocol_from = [\"127.0.0.0/8\"]";
    let settings = Settings::for_primary(primary.address()).with("smtp", proxies);
    let cluster = Cluster::start(1, &settings);
    let headers = [
        (
            "--proxy-version 1 --proxy-family TCP4 --proxy-source 192.0.2.7 --proxy-source-port 4711 \
             --proxy-dest 198.51.100.1 --proxy-dest-port 25",
            "[192.0.2.7]",
        ),
        (
            "--proxy-version 1 --proxy-family TCP6 --proxy-source 2001:db8::7 --proxy-source-port 4711 \
             --proxy-dest 2001:db8::25 --proxy-dest-port 25",
            "[IPv6:2001:db8::7]",
        ),
        (
            "--proxy-version 2 --proxy-family AF_INET --proxy-source 192.0.2.8 --proxy-source-port 4711 \
             --proxy-dest 198.51.100.1 --proxy-dest-port 25 --tls",
            "[192.0.2.8]",
        ),
        (
            "--proxy-version 2 --proxy-family AF_INET6 --proxy-source 2001:db8::8 --proxy-source-port 4711 \
             --proxy-dest 2001:db8::25 --proxy-dest-port 25",
            "[IPv6:2001:db8::8]",
        ),
        // LOCAL of version 2 is not among these: swaks writes a header for it that no one can read.
        ("--proxy UNKNOWN", "[127.0.0.1]"),
    ];
    let cases = headers.iter().map(|(line, _)| (*line, DONE, "queued as"));
    swaks_each(&cluster, &cases.collect::<Vec<_>>());
    let bodies = arrived(&mut primary, &cluster, headers.len());
    for (body, (_, client)) in bodies.iter().zip(headers) {
        assert!(body.contains(client), "{body}");
    }
}
