use std::{fs, time::Duration};

use futures::StreamExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::{incoming, limits::HANDSHAKES_MAX, testing::Authority};

/// Within the validity of what rcgen makes by default.
const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));

fn files(folder: &Path) -> MutualFiles {
    MutualFiles {
        ca: folder.join("ca.pem"),
        cert: folder.join("own.pem"),
        key: folder.join("own.key"),
    }
}

fn peer(authority: &Authority, names: &[&str]) -> (tempfile::TempDir, Arc<MutualTls>) {
    let folder = tempfile::tempdir().unwrap();
    authority.issue(folder.path(), names);
    let host = names.first().unwrap();
    let tls = MutualTls::for_peer(files(folder.path()), host, NOW).unwrap();
    (folder, Arc::new(tls))
}

/// Whether a client gets a connection through, and an octet there and back.
async fn talk(server: &Arc<MutualTls>, client: &MutualTls, host: &str) -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Arc::clone(server);
    let served = tokio::spawn(async move {
        let mut arriving = std::pin::pin!(incoming(listener, server));
        while let Some(stream) = arriving.next().await {
            let mut stream = stream.unwrap();
            assert!(stream.get_ref().1.peer_certificates().is_some());
            let octet = stream.read_u8().await.unwrap();
            stream.write_u8(octet + 1).await.unwrap();
        }
    });
    let said = exchange(client, host, TcpStream::connect(address).await.unwrap()).await;
    served.abort();
    said.map(|octet| assert_eq!(octet, 8))
        .map_err(|error| error.to_string())
}

async fn exchange(client: &MutualTls, host: &str, stream: TcpStream) -> io::Result<u8> {
    let mut stream = client.connect(host, stream).await?;
    stream.write_u8(7).await?;
    stream.read_u8().await
}

#[tokio::test]
async fn equals_of_one_authority_talk_by_name_and_by_address() {
    let authority = Authority::new("ours");
    let (_one, one) = peer(&authority, &["mx1.internal", "10.0.0.1"]);
    let (_two, two) = peer(&authority, &["mx2.internal"]);
    for host in ["mx1.internal", "10.0.0.1"] {
        talk(&one, &two, host).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_of_another_name_is_not_talked_to() {
    let authority = Authority::new("ours");
    let (_one, one) = peer(&authority, &["mx1.internal"]);
    let (_two, two) = peer(&authority, &["mx2.internal"]);
    let said = talk(&one, &two, "mx3.internal").await.unwrap_err();
    assert!(said.contains("not valid for name"), "{said}");
}

#[tokio::test]
async fn strangers_are_kept_out_on_both_ends() {
    let (_one, one) = peer(&Authority::new("ours"), &["mx1.internal"]);
    let (_two, two) = peer(&Authority::new("theirs"), &["mx1.internal"]);
    assert!(talk(&one, &two, "mx1.internal").await.is_err());
    assert!(talk(&two, &one, "mx1.internal").await.is_err());
}

#[tokio::test]
async fn a_second_authority_is_trusted_as_soon_as_it_is_read() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let (one_folder, one) = peer(&old, &["mx1.internal"]);
    let (two_folder, two) = peer(&new, &["mx2.internal"]);
    for (folder, tls) in [(&one_folder, &one), (&two_folder, &two)] {
        let both = old.pem() + &new.pem();
        fs::write(folder.path().join("ca.pem"), both).unwrap();
        tls.reload(NOW).unwrap();
    }
    talk(&one, &two, "mx1.internal").await.unwrap();
    talk(&two, &one, "mx2.internal").await.unwrap();
    fs::write(one_folder.path().join("ca.pem"), old.pem()).unwrap();
    one.reload(NOW).unwrap();
    assert!(talk(&one, &two, "mx1.internal").await.is_err());
}

#[tokio::test]
async fn idle_clients_keep_nobody_out() {
    let authority = Authority::new("ours");
    let (_one, one) = peer(&authority, &["mx1.internal"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Arc::clone(&one);
    let served = tokio::spawn(async move {
        let mut arriving = std::pin::pin!(incoming(listener, server));
        let mut stream = arriving.next().await.unwrap().unwrap();
        let octet = stream.read_u8().await.unwrap();
        stream.write_u8(octet + 1).await.unwrap();
        stream.flush().await.unwrap();
    });
    let mut idle = Vec::new();
    for _ in 0..HANDSHAKES_MAX / 2 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let stream = TcpStream::connect(address).await.unwrap();
    assert_eq!(exchange(&one, "mx1.internal", stream).await.unwrap(), 8);
    served.await.unwrap();
}

#[test]
fn a_certificate_that_the_others_would_refuse_is_refused_here() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ours");
    authority.issue(folder.path(), &["mx1.internal"]);
    let complaint = |host: &str, now: UnixTime| {
        MutualTls::for_peer(files(folder.path()), host, now)
            .unwrap_err()
            .to_string()
    };
    let said = complaint("10.0.0.1", NOW);
    assert!(
        said.contains("own.pem names mx1.internal, but the other nodes reach this one as 10.0.0.1"),
        "{said}"
    );
    let long_ago = UnixTime::since_unix_epoch(Duration::from_secs(1));
    let said = complaint("mx1.internal", long_ago);
    assert!(said.contains("is not accepted under"), "{said}");
    fs::write(folder.path().join("ca.pem"), Authority::new("theirs").pem()).unwrap();
    let said = complaint("mx1.internal", NOW);
    assert!(said.contains("is not accepted under"), "{said}");
    // A server that is nobody's equal may have its certificate from anywhere.
    MutualTls::for_server(files(folder.path()), NOW).unwrap();
}

#[test]
fn what_is_of_no_use_leaves_in_place_what_was_in_use() {
    let authority = Authority::new("ours");
    let (folder, tls) = peer(&authority, &["mx1.internal"]);
    let in_use = tls.fingerprint();
    authority.issue(folder.path(), &["mx2.internal"]);
    let said = tls.reload(NOW).unwrap_err();
    assert!(matches!(said, TlsError::NotNamed { .. }), "{said}");
    assert_eq!(said.file(), folder.path().join("own.pem"));
    assert_eq!(tls.fingerprint(), in_use);
}
