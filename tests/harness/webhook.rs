//! A server of an operator's own that alarms are posted to.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

/// A node on this machine says what it has to say within this time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes what is posted over TLS, until the test ends.
#[derive(Debug)]
pub struct Webhook {
    address: SocketAddr,
    posted: Arc<Mutex<Vec<Value>>>,
}

impl Webhook {
    /// Listens on loopback with this certificate.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start(tls: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let posted = Arc::new(Mutex::default());
        let heard = Arc::clone(&posted);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // One that breaks off is posted again.
                if let Ok(document) = take(stream, Arc::clone(&tls)) {
                    lock(&heard).push(document);
                }
            }
        });
        Self { address, posted }
    }

    /// What the policy names.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}/alarms", self.address)
    }

    /// What was posted so far, in order.
    #[must_use]
    pub fn posted(&self) -> Vec<Value> {
        lock(&self.posted).clone()
    }
}

fn lock(posted: &Mutex<Vec<Value>>) -> MutexGuard<'_, Vec<Value>> {
    posted.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take(stream: TcpStream, tls: Arc<ServerConfig>) -> io::Result<Value> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let session = ServerConnection::new(tls).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(session, stream);
    let mut request = Vec::new();
    let body = loop {
        if let Some(body) = body_of(&request) {
            break body.to_owned();
        }
        let mut octets = [0; 4096];
        match stream.read(&mut octets)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => request.extend_from_slice(octets.get(..count).unwrap_or_default()),
        }
    };
    let document = serde_json::from_str(&body)?;
    stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")?;
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(document)
}

/// The body of a request, once it is whole.
fn body_of(request: &[u8]) -> Option<&str> {
    let text = str::from_utf8(request).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        value.trim().parse().ok().filter(|_: &usize| is_length)
    })?;
    (body.len() >= length).then_some(body)
}
