//! Alarms that an operator's own server is told.

use harness::webhook::Webhook;
use harness::{Authority, Cluster, NameServer, Settings, name_server::Data, wait_until};
use serde_json::Value;

use crate::scene;

/// Nodes that have no way to the primary of their domain, and are to tell that.
fn start(server: &NameServer, authority: &Authority, webhook: &Webhook) -> Cluster {
    server.tell("example.com", &[Data::Mx(0, ".")]);
    let mut settings = Settings::for_domains(&[]).asking(server);
    settings.policy = format!(
        "[[domain]]\nname = \"example.com\"\nprobe_interval = \"500ms\"\n\
         [alarms]\nwebhook = \"{}\"\n",
        webhook.url()
    );
    let mut cluster = Cluster::prepare(3, &settings);
    for node in &mut cluster.nodes {
        node.set_environment("SSL_CERT_FILE", &authority.ca());
        node.spawn();
    }
    for node in &mut cluster.nodes {
        node.wait_ready();
    }
    cluster
}

fn states(posted: &[Value]) -> Vec<&str> {
    let states = posted.iter().filter_map(|told| told["state"].as_str());
    states.collect()
}

#[test]
fn each_change_of_an_alarm_is_told_once_whoever_leads() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(directory.path());
    let webhook = Webhook::start(authority.server("alerts.example.net"));
    let server = NameServer::start();
    let cluster = start(&server, &authority, &webhook);
    scene::send_all(&cluster, &scene::letters(0..3));
    wait_until(scene::DRAIN, "the webhook is told", || {
        !webhook.posted().is_empty()
    });
    let told = webhook.posted()[0].clone();
    assert_eq!(told["name"], "no-route");
    assert_eq!(told["domain"], "example.com");
    assert_eq!(told["state"], "raised");
    let status = cluster.ctl().json(&["status"]);
    assert_eq!(told["since_ms"], status["alarms"][0]["since_ms"]);
    assert_eq!(told["cluster"], status["cluster"]["cluster"]);

    let former = cluster.leader();
    let next = (former + 1) % cluster.nodes.len();
    scene::let_lead(&cluster, next);
    // Nobody listens there, but there is a way.
    server.tell("example.com", &[Data::Mx(10, "mail.example.com")]);
    let nowhere = std::net::Ipv4Addr::new(127, 25, 0, 99);
    server.tell("mail.example.com", &[Data::A(nowhere)]);
    wait_until(scene::DRAIN, "the webhook is told of the end", || {
        states(&webhook.posted()).contains(&"cleared")
    });
    assert_eq!(states(&webhook.posted()), ["raised", "cleared"]);
    let posts = |result: &str| {
        let labels = [&*format!("result=\"{result}\"")];
        let nodes = cluster.nodes.iter();
        let counts = nodes.filter_map(|node| node.metric("layover_alarm_posts_total", &labels));
        counts.sum::<f64>()
    };
    assert_eq!((posts("told"), posts("failed")), (2.0, 0.0));
}
