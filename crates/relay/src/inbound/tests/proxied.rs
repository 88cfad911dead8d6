//! Clients behind a proxy, over real sockets.

use super::{sockets::Served, *};
use crate::inbound::refused::Reason;

/// A node that takes connections from this machine for those of a proxy.
async fn behind_a_proxy(config: Config) -> Served {
    let config = Config {
        proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..config
    };
    let served = Served::start(config, Memory::new(), true);
    served.until_open(true).await;
    served
}

impl Served {
    /// Connects as a proxy does for a client.
    async fn connect_for(&self, client: &str) -> Client<tokio::net::TcpStream> {
        let mut connection = self.connect().await;
        let header = format!("PROXY TCP6 {client} ::1 4711 25\r\n");
        connection.send(header.as_bytes()).await;
        connection
    }
}

#[tokio::test]
async fn the_client_that_a_proxy_names_is_the_one_that_counts() {
    let served = behind_a_proxy(Config {
        max_connections_per_ip: 1,
        ..config()
    })
    .await;
    let mut client = served.connect_for("2001:db8::7").await;
    client.begin().await;
    assert!(client.ask(".").await.starts_with("250 "));
    let mut same = served.connect_for("2001:db8::8").await;
    assert!(same.line().await.starts_with("421 4.7.0 "));
    assert_eq!(served.metrics.refused(Reason::PerIp).get(), 1);
    let mut other = served.connect_for("2001:db8:1::7").await;
    assert!(other.line().await.starts_with("220 "));
    let accepted = served.memory.accepted.lock().unwrap();
    let address = "[2001:db8::7]:4711".parse().unwrap();
    assert_eq!(accepted[0].0.client.address, address);
    let trace = String::from_utf8(accepted[0].0.trace.to_vec()).unwrap();
    assert!(trace.contains("(unknown [IPv6:2001:db8::7])"), "{trace}");
}

#[tokio::test]
async fn a_client_that_talks_early_is_noticed_behind_a_proxy_too() {
    let served = behind_a_proxy(config()).await;
    let mut client = served.connect().await;
    let pipelined = b"PROXY TCP4 192.0.2.7 192.0.2.25 4711 25\r\nEHLO a\r\n";
    client.send(pipelined).await;
    assert!(client.line().await.starts_with("554 5.5.1 "));
}

#[tokio::test]
async fn a_connection_of_a_proxy_without_a_header_is_closed_unanswered() {
    let served = behind_a_proxy(config()).await;
    let mut client = served.connect().await;
    client.send(b"EHLO client.example\r\n").await;
    let mut line = String::new();
    // What it said was not read, so the kernel may reset the connection.
    let octets = client.0.read_line(&mut line).await.unwrap_or(0);
    assert_eq!((octets, line.as_str()), (0, ""));
    assert_eq!(served.metrics.refused(Reason::ProxyHeader).get(), 1);
}
