//! Certificates of nodes: made by the command, held to their names, exchanged while nodes run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use harness::{Cluster, Ctl, Daemon, Primary, Sender, Settings, ctl, http, logs, wait_until};

use crate::{page::between, scene};

/// Files are looked at every two seconds, and a change counts at the second look.
const NOTICED: Duration = Duration::from_secs(30);

/// Each node has a host of its own on the loopback: a name, and two addresses.
const HOSTS: [&str; 3] = ["localhost", "127.0.0.2", "127.0.0.3"];

const YEAR_SECONDS: f64 = 365.0 * 24.0 * 3600.0;

fn prepare(nodes: u64) -> (Primary, Cluster) {
    let primary = Primary::down_at_first();
    let settings = Settings::for_primary(primary.address()).allowing("certificate not reloaded");
    let cluster = Cluster::prepare(nodes, &settings);
    (primary, cluster)
}

/// Runs `layover cluster certs`, without any server.
fn make(directory: &Path, names: &[&str]) {
    let mut words = vec!["cluster", "certs", directory.to_str().unwrap()];
    words.extend(names);
    let outcome = Ctl::new(&[]).run(&words);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    for name in names {
        assert!(outcome.out.contains(name), "{}", outcome.out);
    }
}

fn edit(node: &Daemon, change: impl FnOnce(String) -> String) {
    let text = fs::read_to_string(node.config()).unwrap();
    fs::write(node.config(), change(text)).unwrap();
}

/// Gives a node the certificate of a name, under the file names that its configuration has.
fn hand_over(directory: &Path, name: &str, node: &Daemon, usage: &str) {
    for extension in ["pem", "key"] {
        let to = file(node, usage, extension);
        fs::copy(directory.join(format!("{name}.{extension}")), to).unwrap();
    }
}

fn file(node: &Daemon, usage: &str, extension: &str) -> PathBuf {
    node.config().with_file_name(format!("{usage}.{extension}"))
}

/// Lets the nodes reach each other by hosts of their own, with an authority and certificates that
/// the command made.
fn at_hosts_of_their_own(cluster: &Cluster) -> PathBuf {
    let directory = cluster.directory().join("made");
    make(&directory, &HOSTS[..1]);
    make(&directory, &HOSTS);
    for (node, host) in cluster.nodes.iter().zip(HOSTS) {
        edit(node, |text| relocated(cluster, text));
        let own = cluster.authority.ca().display().to_string();
        let made = directory.join("ca.pem").display().to_string();
        edit(node, |text| text.replace(&own, &made));
        hand_over(&directory, host, node, "peer");
    }
    directory
}

fn relocated(cluster: &Cluster, mut text: String) -> String {
    for (node, host) in cluster.nodes.iter().zip(HOSTS) {
        let port = node.ports.cluster.address().port();
        text = text
            .replace(
                &format!("\"127.0.0.1:{port}\""),
                &format!("\"{host}:{port}\""),
            )
            // Listening is done at addresses.
            .replace(
                &format!("listen = \"localhost:{port}\""),
                &format!("listen = \"127.0.0.1:{port}\""),
            );
    }
    text
}

fn start(cluster: &mut Cluster) {
    for node in &mut cluster.nodes {
        node.spawn();
    }
    for node in &mut cluster.nodes {
        node.wait_ready();
    }
}

/// How often a node's log has a line with both phrases.
fn count(node: &Daemon, phrase: &str, other: &str) -> usize {
    let log = node.log_text();
    let lines = log.lines();
    lines
        .filter(|line| line.contains(phrase) && line.contains(other))
        .count()
}

fn wait_reloaded(cluster: &Cluster, times: usize) {
    wait_until(NOTICED, "all nodes have read the new files", || {
        let mut nodes = cluster.nodes.iter();
        nodes.all(|node| count(node, "certificate reloaded", "cluster") >= times)
    });
}

fn expiry_years(node: &Daemon, usage: &str) -> Option<f64> {
    let label = format!("use=\"{usage}\"");
    let seconds = node.metric("layover_tls_certificate_expiry_seconds", &[&label]);
    seconds.map(|seconds| seconds / YEAR_SECONDS)
}

#[test]
fn a_cluster_runs_on_certificates_that_the_command_made_for_names_and_addresses() {
    let (mut primary, mut cluster) = prepare(3);
    at_hosts_of_their_own(&cluster);
    start(&mut cluster);
    let letters = scene::letters(0..10);
    scene::send_all(&cluster, &letters);
    for node in &cluster.nodes {
        let years = expiry_years(node, "cluster").unwrap();
        assert!((1.9..2.1).contains(&years), "{years}");
    }
    scene::drain(&cluster, &mut primary, &letters);
}

/// When the certificate that a node has for senders ends, as another one tells.
fn told_end(asked: &Daemon, of: &Daemon) -> Option<u64> {
    let status = asked.ctl().json(&["cluster", "status"]);
    let mut members = status["members"].as_array()?.iter();
    let member = members.find(|member| member["id"] == of.id)?;
    let ends = member["certificates"]["ends"].as_array()?;
    let for_senders = ends.iter().find(|end| end["usage"] == "smtp")?;
    for_senders["not_after_ms"].as_u64()
}

#[test]
fn each_node_shows_until_when_the_certificates_of_the_others_are_valid() {
    let (_primary, mut cluster) = prepare(3);
    start(&mut cluster);
    let (first, second) = (&cluster.nodes[0], &cluster.nodes[1]);
    let before = told_end(first, second).unwrap();
    let made = cluster.directory().join("made");
    make(&made, &["localhost"]);
    hand_over(&made, "localhost", second, "smtp");
    wait_until(NOTICED, "the other one knows of the exchange", || {
        told_end(first, second).is_some_and(|end| end < before)
    });
    assert_eq!(told_end(first, second), told_end(second, second));
    let years = expiry_years(second, "smtp").unwrap();
    assert!((1.9..2.1).contains(&years), "{years}");
    let page = |node: &Daemon| http::get(node.ports.http.address(), "/cluster").unwrap().1;
    let row = |page: &str| {
        let begins = "<th scope=\"row\">2</th><td>smtp</td>";
        between(page, begins, "</tr>").to_owned()
    };
    assert_eq!(row(&page(first)), row(&page(second)));
    assert_ne!(row(&page(first)), "");

    cluster.nodes[1].kill();
    let (first, second) = (&cluster.nodes[0], &cluster.nodes[1]);
    assert_eq!(told_end(first, second), None);
    let shown = page(first);
    let unknown = "<th scope=\"row\">2</th><td colspan=\"3\">unknown: ";
    assert!(shown.contains(unknown), "{shown}");
}

#[test]
fn a_certificate_that_ends_soon_is_told_on_every_node() {
    let (_primary, mut cluster) = prepare(3);
    start(&mut cluster);
    let told = "The certificate of node 2 for [smtp] ends in 3 days, at ";
    let status = |node: &Daemon| node.ctl().run(&["status"]).out;
    assert!(!status(&cluster.nodes[0]).contains("certificate"));
    let validity = Duration::from_secs(3 * 24 * 3600 + 3600);
    let ending = cluster.authority.sign_for("ending", validity);
    fs::copy(&ending.cert, file(&cluster.nodes[1], "smtp", "pem")).unwrap();
    fs::copy(&ending.key, file(&cluster.nodes[1], "smtp", "key")).unwrap();
    for node in &cluster.nodes {
        wait_until(NOTICED, "the status tells", || status(node).contains(told));
    }
    let page = http::get(cluster.nodes[2].ports.http.address(), "/")
        .unwrap()
        .1;
    assert!(page.contains(told), "{page}");
}

#[test]
fn a_node_with_the_certificate_of_another_does_not_start() {
    let (_primary, mut cluster) = prepare(3);
    let directory = at_hosts_of_their_own(&cluster);
    hand_over(&directory, HOSTS[1], &cluster.nodes[2], "peer");
    cluster.nodes[2].spawn();
    let (status, log) = cluster.nodes[2].wait_exit();
    assert_eq!(status.code(), Some(1), "{log}");
    let last = logs::last_words(&log);
    assert!(
        last.contains("peer.pem names 127.0.0.2, but the other nodes reach this one as 127.0.0.3"),
        "{last}"
    );
}

/// Node 3 believes to be at an address that the others do not know, and has a certificate of the
/// same authority for that.
#[test]
fn a_node_whose_certificate_does_not_name_it_is_refused_and_said_so_once() {
    let (mut primary, mut cluster) = prepare(3);
    let directory = at_hosts_of_their_own(&cluster);
    make(&directory, &["127.0.0.4"]);
    hand_over(&directory, "127.0.0.4", &cluster.nodes[2], "peer");
    let port = cluster.nodes[2].ports.cluster.address().port();
    edit(&cluster.nodes[2], |text| {
        text.replace(&format!("127.0.0.3:{port}"), &format!("127.0.0.4:{port}"))
    });
    for node in &mut cluster.nodes {
        node.spawn();
    }
    cluster.nodes[0].wait_ready();
    cluster.nodes[1].wait_ready();
    let others = &cluster.nodes[..2];
    wait_until(scene::CATCH_UP, "node 3 hears why it is refused", || {
        let words = "the certificate names 127.0.0.4, but node 3 is 127.0.0.3";
        count(&cluster.nodes[2], "member refuses this node", words) > 0
    });
    let mut courier = harness::Courier::new(&cluster.hosts()[..2]);
    let letters = scene::letters(0..10);
    for letter in &letters {
        courier.send(letter, scene::TAKEN).unwrap();
    }
    // Node 3 asks for votes all the time.
    for node in others {
        let refused = || count(node, "refused a peer", "expected=\"127.0.0.3\"");
        wait_until(scene::CATCH_UP, "it says so", || refused() > 0);
        assert_eq!(refused(), 1);
    }
    // Neither do they talk to it: its certificate does not name what they dial.
    let leader = others.iter().find(|node| node.is_leader()).unwrap();
    wait_until(scene::CATCH_UP, "the leader does not talk to it", || {
        count(leader, "member does not answer", "member=3") > 0
    });
    assert!(!cluster.nodes[2].is_ready());
    assert_ne!(cluster.nodes[2].queued(), Some(10));
    cluster.nodes[2].kill();
    scene::drain(&cluster, &mut primary, &letters);
    for node in &cluster.nodes[..2] {
        assert_eq!(count(node, "refused a peer", ""), 1);
    }
}

#[test]
fn a_cluster_works_on_through_a_new_authority_and_the_renewal_of_all_certificates() {
    let (mut primary, mut cluster) = prepare(3);
    let old = at_hosts_of_their_own(&cluster);
    start(&mut cluster);
    let new = cluster.directory().join("new");
    make(&new, &HOSTS);
    let trust = |pems: &[&Path]| {
        let text: String = pems
            .iter()
            .map(|path| fs::read_to_string(path).unwrap())
            .collect();
        let unfinished = old.join("unfinished");
        fs::write(&unfinished, text).unwrap();
        fs::rename(unfinished, old.join("ca.pem")).unwrap();
    };
    let old_ca = cluster.directory().join("old-ca.pem");
    fs::copy(old.join("ca.pem"), &old_ca).unwrap();
    let (leader, term) = (
        cluster.leader(),
        cluster.nodes[0].metric("layover_raft_term", &[]),
    );
    let letters = scene::letters(0..40);
    scene::send_all(&cluster, &letters[..10]);

    // First all trust both, then each gets its new certificate, then all forget the old one.
    trust(&[&old_ca, &new.join("ca.pem")]);
    wait_reloaded(&cluster, 1);
    scene::send_all(&cluster, &letters[10..20]);
    for (node, host) in cluster.nodes.iter().zip(HOSTS) {
        hand_over(&new, host, node, "peer");
    }
    wait_reloaded(&cluster, 2);
    trust(&[&new.join("ca.pem")]);
    wait_reloaded(&cluster, 3);
    scene::send_all(&cluster, &letters[20..30]);
    for node in &cluster.nodes {
        assert_eq!(count(node, "member does not answer", ""), 0);
    }
    assert_eq!(cluster.nodes[0].metric("layover_raft_term", &[]), term);

    // Connections are made anew with what is there now.
    cluster.nodes[leader].kill();
    cluster.nodes[leader].spawn();
    cluster.nodes[leader].wait_ready();
    scene::send_all(&cluster, &letters[30..]);
    cluster.wait_queued(40, scene::CATCH_UP);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn sighup_reads_certificates_at_once_and_a_broken_one_is_said_once_and_not_used() {
    let (mut primary, mut cluster) = prepare(3);
    at_hosts_of_their_own(&cluster);
    start(&mut cluster);
    let node = &cluster.nodes[0];
    let complaints = || count(node, "certificate not reloaded", "peer.key");
    let key = fs::read(file(node, "peer", "key")).unwrap();
    fs::write(file(node, "peer", "key"), "-----BEGIN").unwrap();
    node.reload();
    wait_until(NOTICED, "it says so", || complaints() == 1);
    // Other files go on being looked at, many times by then.
    for name in ["a.example.net", "b.example.net"] {
        let pair = cluster.authority.sign(name);
        let before = count(node, "certificate reloaded", "smtp");
        fs::copy(&pair.cert, file(node, "smtp", "pem")).unwrap();
        fs::copy(&pair.key, file(node, "smtp", "key")).unwrap();
        wait_until(NOTICED, "the SMTP certificate is exchanged", || {
            count(node, "certificate reloaded", "smtp") > before
        });
    }
    assert_eq!(complaints(), 1);
    assert!(Sender::connect_tls(node.smtp(), cluster.authority.client()).is_ok());
    let letters = scene::letters(0..10);
    scene::send_all(&cluster, &letters);
    let before = count(node, "certificate reloaded", "cluster");
    fs::write(file(node, "peer", "key"), key).unwrap();
    node.reload();
    wait_until(NOTICED, "it is mended", || {
        count(node, "certificate reloaded", "cluster") > before
    });
    scene::drain(&cluster, &mut primary, &letters);
}

/// Says what certificate a client is shown that asks for a name: the names in it.
const ASK: &str = r#"
import smtplib, ssl, sys
host, port, ca, asked = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
context = ssl.create_default_context(cafile=ca)
context.check_hostname = False
with smtplib.SMTP(host, port, timeout=20) as client:
    # It is this that starttls asks for; no name at all where it is an address.
    client._host = asked
    client.starttls(context=context)
    names = client.sock.getpeercert()["subjectAltName"]
    print(" ".join(name for kind, name in names if kind == "DNS"))
"#;

#[test]
fn a_sender_that_asks_for_a_customers_name_is_shown_the_customers_certificate() {
    let (_primary, mut cluster) = prepare(1);
    let customer = cluster.authority.sign("mx.customer.test");
    edit(&cluster.nodes[0], |text| {
        let (cert, key) = (&customer.cert, &customer.key);
        format!("{text}\n[[smtp.certificate]]\ncert = {cert:?}\nkey = {key:?}\n")
    });
    start(&mut cluster);
    let script = cluster.directory().join("ask.py");
    fs::write(&script, ASK).unwrap();
    let address = cluster.nodes[0].smtp();
    let ask = |name: &str| {
        let mut python = Command::new("python3");
        python.arg(&script).arg(address.ip().to_string());
        python.arg(address.port().to_string());
        let outcome = ctl::outcome(python.arg(cluster.authority.ca()).arg(name));
        assert_eq!(outcome.code, 0, "{}", outcome.err);
        outcome.out.trim().to_owned()
    };
    let first = ask("127.0.0.1");
    assert!(!first.contains("customer"), "{first}");
    assert_eq!(ask("elsewhere.test"), first);
    assert_eq!(ask("MX.customer.test"), "mx.customer.test localhost");
    let renewed = cluster.authority.sign("mx2.customer.test");
    fs::copy(&renewed.cert, &customer.cert).unwrap();
    fs::copy(&renewed.key, &customer.key).unwrap();
    wait_until(NOTICED, "the other certificate is shown", || {
        ask("mx2.customer.test") == "mx2.customer.test localhost"
    });
    assert_eq!(ask("mx.customer.test"), first);
}

#[test]
fn operators_beyond_loopback_are_known_by_certificates_that_are_exchanged_too() {
    let (_primary, mut cluster) = prepare(1);
    let (ours, theirs) = (
        cluster.directory().join("ours"),
        cluster.directory().join("theirs"),
    );
    for directory in [&ours, &theirs] {
        make(directory, &["127.0.0.1", "operator"]);
    }
    let trusted = cluster.directory().join("trusted.pem");
    fs::copy(ours.join("ca.pem"), &trusted).unwrap();
    hand_over(&ours, "127.0.0.1", &cluster.nodes[0], "admin");
    let lines = format!(
        "[admin]\ntls_ca = {trusted:?}\ntls_cert = {:?}\ntls_key = {:?}\n",
        file(&cluster.nodes[0], "admin", "pem"),
        file(&cluster.nodes[0], "admin", "key")
    );
    edit(&cluster.nodes[0], |text| text.replace("[admin]\n", &lines));
    start(&mut cluster);
    let node = &cluster.nodes[0];
    let ask = |directory: &Path| {
        let path = |name: &str| directory.join(name).display().to_string();
        let (ca, cert, key) = (path("ca.pem"), path("operator.pem"), path("operator.key"));
        let files = ["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key];
        let mut words = files.to_vec();
        words.push("status");
        node.ctl().run(&words).code
    };
    assert_eq!((ask(&ours), ask(&theirs)), (0, 1));
    assert_eq!(node.ctl().run(&["status"]).code, 1);
    fs::copy(theirs.join("ca.pem"), &trusted).unwrap();
    hand_over(&theirs, "127.0.0.1", node, "admin");
    wait_until(NOTICED, "the other authority is trusted", || {
        ask(&theirs) == 0
    });
    assert_eq!(ask(&ours), 1);
    let years = expiry_years(node, "admin").unwrap();
    assert!((1.9..2.1).contains(&years), "{years}");
}
