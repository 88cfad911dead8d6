//! Who connects through a proxy.

mod header;

use std::{io, net::SocketAddr};

use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};

use super::limits::{PROXY_HEADER_MAX, PROXY_HEADER_TIMEOUT};
pub use header::{Header, Malformed, parse};

/// Why it is not known whose connection it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unnamed {
    /// A load balancer that only looks whether the port is open.
    #[error("the connection was closed before anything was sent")]
    Silent,
    /// It ended, or failed, too soon.
    #[error("the connection ended within its PROXY header: {0}")]
    Cut(#[from] io::Error),
    /// The header did not come, or not all of it.
    #[error("no whole PROXY header came within {} s", PROXY_HEADER_TIMEOUT.as_secs())]
    TimedOut,
    /// Something else came.
    #[error("{0}")]
    Malformed(#[from] Malformed),
}

/// Reads the header that a proxy at `own` sends, and not an octet of what its client has sent
/// behind it. Returns the client's address, or `own` when the proxy speaks for itself.
///
/// # Errors
/// Why there is no header, within seconds.
pub(super) async fn client(stream: &mut TcpStream, own: SocketAddr) -> Result<SocketAddr, Unnamed> {
    match timeout(PROXY_HEADER_TIMEOUT, read(stream)).await {
        Ok(client) => Ok(client?.unwrap_or(own)),
        Err(_) => Err(Unnamed::TimedOut),
    }
}

async fn read(stream: &mut TcpStream) -> Result<Option<SocketAddr>, Unnamed> {
    let mut arrived = vec![0; PROXY_HEADER_MAX];
    let mut taken = 0;
    loop {
        let room = arrived.get_mut(taken..).unwrap_or_default();
        let seen = match stream.peek(room).await {
            Ok(0) | Err(_) if taken == 0 => return Err(Unnamed::Silent),
            Ok(0) => return Err(Unnamed::Cut(io::ErrorKind::UnexpectedEof.into())),
            Ok(more) => taken + more,
            Err(error) => return Err(Unnamed::Cut(error)),
        };
        let parsed = parse(arrived.get(..seen).unwrap_or_default())?;
        // While the header is not whole, all that there is belongs to it.
        let end = parsed.map_or(seen, |header| header.octets);
        let own = arrived.get_mut(taken..end).unwrap_or_default();
        stream.read_exact(own).await?;
        taken = end;
        if let Some(header) = parsed {
            let canonical = |client: SocketAddr| (client.ip().to_canonical(), client.port()).into();
            return Ok(header.client.map(canonical));
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(near, listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    fn own() -> SocketAddr {
        SocketAddr::from(([198, 51, 100, 7], 1))
    }

    #[tokio::test]
    async fn what_follows_on_the_header_is_left_to_the_session() {
        let (mut proxy, mut stream) = pair().await;
        proxy.set_nodelay(true).unwrap();
        let reading = tokio::spawn(async move {
            let client = client(&mut stream, own()).await.unwrap();
            let mut rest = String::new();
            stream.read_to_string(&mut rest).await.unwrap();
            (client, rest)
        });
        // Apart, so that they arrive apart.
        for part in [
            "PRO",
            "XY TCP6 ::ffff:192.0.2.7 ::1 4711 2",
            "5\r",
            "\nEHLO a\r\n",
        ] {
            proxy.write_all(part.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(proxy);
        let expected = SocketAddr::from(([192, 0, 2, 7], 4711));
        assert_eq!(reading.await.unwrap(), (expected, "EHLO a\r\n".to_owned()));
    }

    #[tokio::test]
    async fn a_proxy_that_speaks_for_itself_is_the_client() {
        let (mut proxy, mut stream) = pair().await;
        proxy.write_all(b"PROXY UNKNOWN\r\n").await.unwrap();
        assert_eq!(client(&mut stream, own()).await.unwrap(), own());
    }

    #[tokio::test]
    async fn what_sends_no_header_is_told_from_what_sends_nothing() {
        for (sent, expected) in [
            ("", "before anything was sent"),
            ("PROXY TCP4 ", "ended within its PROXY header"),
            ("EHLO a\r\n", "does not begin with a PROXY header"),
        ] {
            let (mut proxy, mut stream) = pair().await;
            proxy.write_all(sent.as_bytes()).await.unwrap();
            drop(proxy);
            let cause = client(&mut stream, own()).await.unwrap_err().to_string();
            assert!(cause.contains(expected), "{cause}");
        }
    }
}
