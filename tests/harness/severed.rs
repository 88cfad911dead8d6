//! A link whose far end is not heard any more once it has asked for a message.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use crate::Port;

/// Passes sessions on, to the reply 354 and with all that the client sends; what the server says behind it
/// is lost. [`SeveredLink::cut`] then breaks the connections. So a client has sent its final dot, and
/// does not know what became of the message.
#[derive(Debug)]
pub struct SeveredLink {
    port: Port,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    to: SocketAddr,
    sockets: Mutex<Vec<TcpStream>>,
    is_cut: AtomicBool,
}

impl SeveredLink {
    /// A link to a server.
    ///
    /// # Panics
    /// When the port, which is reserved, can not be listened on.
    #[must_use]
    pub fn to(server: SocketAddr) -> Self {
        let port = Port::free();
        let listener = TcpListener::bind(port.address()).expect("the reserved port is free");
        let shared = Arc::new(Shared {
            to: server,
            sockets: Mutex::default(),
            is_cut: AtomicBool::new(false),
        });
        let accepting = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.accept(&listener))
        };
        Self {
            port,
            shared,
            accepting: Some(accepting),
        }
    }

    /// The near end.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Breaks every connection, and passes no other one on.
    pub fn cut(&mut self) {
        let Some(accepting) = self.accepting.take() else {
            return;
        };
        self.shared.is_cut.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address()));
        drop(accepting.join());
        let sockets = self.shared.sockets.lock();
        for socket in sockets.unwrap_or_else(PoisonError::into_inner).drain(..) {
            drop(socket.shutdown(Shutdown::Both));
        }
    }
}

impl Drop for SeveredLink {
    fn drop(&mut self) {
        self.cut();
    }
}

impl Shared {
    fn accept(&self, listener: &TcpListener) {
        while let Ok((client, _)) = listener.accept() {
            if self.is_cut.load(Ordering::SeqCst) {
                return;
            }
            drop(self.pass_on(client));
        }
    }

    /// Each direction is a thread, which ends with its sockets.
    fn pass_on(&self, mut client: TcpStream) -> io::Result<()> {
        let mut server = TcpStream::connect(self.to)?;
        let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
        let ours = [client.try_clone()?, server.try_clone()?];
        let sockets = self.sockets.lock();
        sockets.unwrap_or_else(PoisonError::into_inner).extend(ours);
        thread::spawn(move || {
            drop(io::copy(&mut from_client, &mut to_server));
            drop(to_server.shutdown(Shutdown::Write));
        });
        thread::spawn(move || {
            drop(hear(&mut server, &mut client));
            drop(client.shutdown(Shutdown::Both));
        });
        Ok(())
    }
}

/// Passes replies on, the last of which is 354, and then only listens.
fn hear(server: &mut TcpStream, client: &mut TcpStream) -> io::Result<()> {
    let (mut chunk, mut heard) = ([0; 4096], Vec::new());
    while memchr::memmem::find(&heard, b"\r\n354 ").is_none() {
        let count = server.read(&mut chunk)?;
        let said = chunk.get(..count).unwrap_or_default();
        if said.is_empty() {
            return Ok(());
        }
        client.write_all(said)?;
        heard.extend_from_slice(said);
    }
    while server.read(&mut chunk)? > 0 {}
    Ok(())
}
