//! Primaries that are down, and connect.

use tokio::time::sleep;

use super::{sockets::Served, *};

/// A node whose primary, at 127.0.0.1 or elsewhere, is down or up, and to which somebody connects a few
/// times from 127.0.0.1. Returns which domains were flushed.
async fn connected(primary: &str, down: bool) -> Vec<String> {
    let policy = format!("[[domain]]\nname = \"example.com\"\nprimary = [\"{primary}\"]\n");
    let memory = Memory {
        policy: Some(Arc::new(spool::Policy::parse(&policy).unwrap())),
        down,
        ..Memory::default()
    };
    let served = Served::start(config(), memory, true);
    served.until_open(true).await;
    for _ in 0..3 {
        let mut client = served.connect().await;
        client.line().await;
        client.ask("QUIT").await;
    }
    let flushed = || served.memory.flushed.lock().unwrap().clone();
    for _ in 0..20 {
        if !flushed().is_empty() {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    flushed()
}

#[tokio::test]
async fn one_that_is_down_and_connects_is_asked_once_whether_it_is_back() {
    assert_eq!(connected("127.0.0.1:2526", true).await, ["example.com"]);
    assert_eq!(connected("localhost:2526", true).await, ["example.com"]);
}

#[tokio::test]
async fn one_that_is_up_and_one_that_is_elsewhere_are_not() {
    assert!(connected("127.0.0.1:2526", false).await.is_empty());
    assert!(connected("127.0.0.2:2526", true).await.is_empty());
}
