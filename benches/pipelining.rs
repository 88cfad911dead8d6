//! A client that says what it can in one go, as mail servers do with each other (RFC 2920): smtp-source waits for every reply.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use harness::{Letter, sender::stuffed};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    runtime,
};

use crate::{load::Load, system::DOMAIN};

/// Sends `count` messages of a load over sessions that are kept open, spread evenly over these hosts. As with
/// smtp-source, one thread does all that.
pub(crate) fn send(hosts: &[SocketAddr], load: &Load, count: usize) -> Result<()> {
    let body: Arc<[u8]> = stuffed(&Letter::new(0, "all", load.size).body).into();
    let share = |session| count / load.sessions + usize::from(session < count % load.sessions);
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let jobs = (0..load.sessions).zip(hosts.iter().cycle());
        let sessions: Vec<_> = jobs
            .map(|(session, host)| {
                let body = Arc::clone(&body);
                tokio::spawn(one_session(
                    *host,
                    load.sender,
                    session,
                    share(session),
                    body,
                ))
            })
            .collect();
        for session in sessions {
            session.await??;
        }
        Ok(())
    })
}

async fn one_session(
    host: SocketAddr,
    from: &'static str,
    session: usize,
    messages: usize,
    body: Arc<[u8]>,
) -> Result<()> {
    let stream = TcpStream::connect(host).await?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    expect(&mut stream, "220").await?;
    stream.write_all(b"EHLO sender.test\r\n").await?;
    let extensions = expect(&mut stream, "250").await?;
    ensure!(
        extensions.contains("PIPELINING"),
        "not offered: {extensions}"
    );
    for number in 0..messages {
        let envelope =
            format!("MAIL FROM:<{from}>\r\nRCPT TO:<user{session}x{number}@{DOMAIN}>\r\nDATA\r\n");
        stream.write_all(envelope.as_bytes()).await?;
        for code in ["250", "250", "354"] {
            expect(&mut stream, code).await?;
        }
        stream.write_all(&body).await?;
        expect(&mut stream, "250").await?;
    }
    stream.write_all(b"QUIT\r\n").await?;
    expect(&mut stream, "221").await?;
    Ok(())
}

/// Reads one reply, which may have several lines.
async fn expect(stream: &mut BufReader<TcpStream>, code: &str) -> Result<String> {
    let mut reply = String::new();
    loop {
        let begin = reply.len();
        let read = stream.read_line(&mut reply).await?;
        let line = reply.get(begin..).context("no reply")?;
        ensure!(read > 0 && line.starts_with(code), "not {code}: {line:?}");
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(reply);
        }
    }
}
