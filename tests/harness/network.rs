//! A byte stream with or without TLS, at either end, with line reading on top.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned,
    pki_types::ServerName,
};

/// One connection.
#[derive(Debug)]
pub enum Wire {
    /// In clear.
    Plain(TcpStream),
    /// Our end began the handshake.
    Client(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// The other end began it.
    Server(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    /// The socket below.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Client(stream) => &stream.sock,
            Self::Server(stream) => &stream.sock,
        }
    }

    /// Hands the socket to a TLS client, which trusts what `config` trusts.
    ///
    /// # Errors
    /// When TLS runs already or the handshake fails.
    pub fn start_tls(self, config: Arc<ClientConfig>) -> io::Result<Self> {
        let Self::Plain(stream) = self else {
            return Err(io::Error::other("tls runs already"));
        };
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut socket = &stream;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        Ok(Self::Client(Box::new(StreamOwned::new(tls, stream))))
    }

    /// Hands the socket to a TLS server.
    ///
    /// # Errors
    /// When TLS runs already or the handshake fails.
    pub fn accept_tls(self, config: Arc<ServerConfig>) -> io::Result<Self> {
        let Self::Plain(stream) = self else {
            return Err(io::Error::other("tls runs already"));
        };
        let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
        let mut socket = &stream;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        Ok(Self::Server(Box::new(StreamOwned::new(tls, stream))))
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Client(stream) => stream.read(buffer),
            Self::Server(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Client(stream) => stream.write(bytes),
            Self::Server(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Client(stream) => stream.flush(),
            Self::Server(stream) => stream.flush(),
        }
    }
}

/// A wire that is read line by line.
#[derive(Debug)]
pub struct Lines {
    wire: BufReader<Wire>,
}

impl Lines {
    /// Reads from `wire`.
    #[must_use]
    pub fn new(wire: Wire) -> Self {
        Self {
            wire: BufReader::with_capacity(64 * 1024, wire),
        }
    }

    /// The next line, its end included.
    ///
    /// # Errors
    /// When the connection breaks, times out, or ends.
    pub fn read_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        if self.wire.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line)
    }

    /// The next octets, exactly so many.
    ///
    /// # Errors
    /// When the connection breaks, times out, or ends before.
    pub fn read_octets(&mut self, octets: usize) -> io::Result<Vec<u8>> {
        let mut read = vec![0; octets];
        self.wire.read_exact(&mut read)?;
        Ok(read)
    }

    /// Writes all of it at once.
    ///
    /// # Errors
    /// When the connection breaks or times out.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let wire = self.wire.get_mut();
        wire.write_all(bytes)?;
        wire.flush()
    }

    /// The wire; octets that were read but not asked for are lost.
    #[must_use]
    pub fn into_wire(self) -> Wire {
        self.wire.into_inner()
    }

    /// The socket below.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        self.wire.get_ref().socket()
    }

    /// The certificate of the server at the other end, DER, when TLS runs and we began it.
    #[must_use]
    pub fn server_certificate(&self) -> Option<Vec<u8>> {
        let Wire::Client(stream) = self.wire.get_ref() else {
            return None;
        };
        stream
            .conn
            .peer_certificates()?
            .first()
            .map(|certificate| certificate.to_vec())
    }

    /// Breaks the connection off at once.
    pub fn hang_up(&self) {
        drop(self.socket().shutdown(Shutdown::Both));
    }
}
