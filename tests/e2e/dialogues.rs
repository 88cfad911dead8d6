//! The server's dialogues, which the bare session is held to, over TCP against a whole node.

use std::{io::ErrorKind, net::TcpStream, path::Path, time::Duration};

use harness::{
    Cluster, Offer, Primary, Received, Settings,
    letter::after_field,
    network::{Lines, Wire},
    transcript::{Step, Transcript, matches},
    wait_until,
};

use crate::scene;

/// Longer than the node's own `command_timeout` in these tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// A message that a dialogue says was taken: envelope and body.
type Taken = (String, Vec<u8>);

fn corpus() -> Vec<Transcript> {
    Transcript::read_all(Path::new("../crates/smtp/transcripts/server"))
}

/// Whether a node can be brought to play this: it takes no limits as small as some dialogues
/// want, and a client can not be sure to speak before the greeting.
fn is_for_nodes(transcript: &Transcript) -> bool {
    let too_small = ["machine", "size_max", "recipients_max"];
    let told_to_end = [Step::Retire, Step::ShutDown];
    !too_small.iter().any(|setting| transcript.has(setting))
        && !transcript
            .steps
            .iter()
            .any(|step| told_to_end.contains(step))
        && matches!(transcript.steps.first(), Some(Step::Server(_)))
}

#[test]
fn a_node_keeps_every_promise_of_the_corpus() {
    let primary = Primary::down_at_first();
    let settings =
        Settings::for_primary(primary.address()).with("smtp", "command_timeout = \"3s\"");
    let cluster = Cluster::start(1, &settings);
    let played = play_all(&cluster, primary, |transcript| {
        !transcript.has("no-starttls")
    });
    assert!(
        played >= 30,
        "only {played} dialogues can be played over TCP"
    );
}

#[test]
fn a_node_without_a_certificate_offers_no_starttls() {
    let primary = Primary::down_at_first();
    let settings = Settings::for_primary(primary.address())
        .with("smtp", "tls_cert = \"\"")
        .with("smtp", "tls_key = \"\"");
    let cluster = Cluster::start(1, &settings);
    assert!(
        play_all(&cluster, primary, |transcript| transcript
            .has("no-starttls"))
            > 0
    );
}

fn play_all(cluster: &Cluster, mut primary: Primary, wanted: fn(&Transcript) -> bool) -> usize {
    let mut expected = Vec::new();
    let mut played = 0;
    for transcript in corpus().iter().filter(|t| is_for_nodes(t) && wanted(t)) {
        expected.extend(play(cluster, transcript));
        played += 1;
    }
    primary.on_cue(|cue| cue.offer(&[Offer::SmtpUtf8]));
    primary.up();
    scene::wait_received(&primary, expected.len());
    wait_until(scene::DRAIN, "the queue is empty", || {
        cluster.nodes[0].queued() == Some(0)
    });
    let mut arrived: Vec<Taken> = primary.received().iter().map(as_taken).collect();
    arrived.sort();
    expected.sort();
    for (arrived, expected) in arrived.iter().zip(&expected) {
        assert_eq!(arrived.0, expected.0);
        assert!(arrived.1 == expected.1, "{}: the body differs", expected.0);
    }
    assert_eq!(arrived.len(), expected.len());
    played
}

/// The message without the trace field that the node put in front.
fn as_taken(received: &Received) -> Taken {
    let to: Vec<String> = received.to.iter().map(|to| format!(" <{to}>")).collect();
    (
        format!("<{}>{}", received.from, to.concat()),
        after_field(&received.body).to_vec(),
    )
}

/// Plays one dialogue; returns the messages that were taken in it.
fn play(cluster: &Cluster, transcript: &Transcript) -> Vec<Taken> {
    let name = &transcript.name;
    let stream = TcpStream::connect(cluster.nodes[0].smtp()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut lines = Lines::new(Wire::Plain(stream));
    let mut taken: Vec<Taken> = Vec::new();
    let mut unsent = Vec::new();
    for step in &transcript.steps {
        if !matches!(step, Step::Client(_)) && !unsent.is_empty() {
            // A server that has hung up already says so in what is read next.
            drop(lines.write(&unsent));
            unsent.clear();
        }
        match step {
            Step::Client(octets) => unsent.extend_from_slice(octets),
            Step::Server(pattern) => {
                let line = lines
                    .read_line()
                    .unwrap_or_else(|error| panic!("{name}: instead of {pattern:?}: {error}"));
                let line = String::from_utf8(line).unwrap();
                let line = line.strip_suffix("\r\n").expect("replies end with CRLF");
                assert!(
                    matches(pattern, line),
                    "{name}: instead of {pattern:?}: {line:?}"
                );
            }
            Step::Message(envelope) => taken.push((envelope.clone(), Vec::new())),
            Step::Body(body) => taken.last_mut().unwrap().1.clone_from(body),
            Step::Tls => {
                let wire = lines.into_wire().start_tls(cluster.authority.client());
                lines = Lines::new(wire.unwrap_or_else(|error| panic!("{name}: {error}")));
            }
            Step::Closed => {
                let end = lines.read_line().map_err(|error| error.kind());
                let ends = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
                assert!(
                    end.as_ref().is_err_and(|end| ends.contains(end)),
                    "{name}: {end:?}"
                );
            }
            Step::TimeOut => {}
            Step::Retire | Step::ShutDown => unreachable!("left out above"),
        }
    }
    taken
}
