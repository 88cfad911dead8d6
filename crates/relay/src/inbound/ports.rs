//! The listening sockets, which are closed while no mail can be taken.
//!
//! A closed port is still bound, only nobody listens: the kernel refuses connections, and no other
//! program can take the port meanwhile.

use core::{future, task::Poll};
use std::{io, net::SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::limits::BACKLOG;

/// Why a port cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program listens there.
    #[error(
        "cannot listen on {0}: the port is in use; stop what listens there (`ss -ltnp` shows it) or choose another in smtp.listen"
    )]
    InUse(SocketAddr),
    /// Low ports are for the privileged.
    #[error(
        "cannot listen on {0}: permission denied; ports below 1024 need root or CAP_NET_BIND_SERVICE"
    )]
    NotPermitted(SocketAddr),
    /// No interface has the address.
    #[error("cannot listen on {0}: this machine does not have that address; correct smtp.listen")]
    NotOurs(SocketAddr),
    /// Something else.
    #[error("cannot listen on {address}: {error}")]
    Other {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
}

impl BindError {
    fn new(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address),
            io::ErrorKind::PermissionDenied => Self::NotPermitted(address),
            io::ErrorKind::AddrNotAvailable => Self::NotOurs(address),
            _ => Self::Other { address, error },
        }
    }
}

/// All ports of a node, open or closed together.
#[derive(Debug)]
pub(super) struct Ports {
    addresses: Vec<SocketAddr>,
    bound: Vec<Socket>,
    open: Vec<TcpListener>,
}

impl Ports {
    /// Binds every address; none is listened on yet.
    pub(super) fn bind(addresses: &[SocketAddr]) -> Result<Self, BindError> {
        let mut ports = Self {
            addresses: Vec::new(),
            bound: bind_all(addresses)?,
            open: Vec::new(),
        };
        for (socket, address) in ports.bound.iter().zip(addresses) {
            let local = socket.local_addr().map(|local| local.as_socket());
            ports
                .addresses
                .push(local.ok().flatten().unwrap_or(*address));
        }
        Ok(ports)
    }

    /// Where they are, with the numbers that the system chose for port 0.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes connections from now on.
    pub(super) fn open(&mut self) -> Result<(), BindError> {
        if self.is_open() {
            return Ok(());
        }
        if self.bound.is_empty() {
            self.bound = bind_all(&self.addresses)?;
        }
        let sockets = core::mem::take(&mut self.bound);
        let listen = |(socket, address): (Socket, &SocketAddr)| {
            socket
                .listen(BACKLOG)
                .and_then(|()| TcpListener::from_std(socket.into()))
                .map_err(|error| BindError::new(*address, error))
        };
        self.open = sockets
            .into_iter()
            .zip(&self.addresses)
            .map(listen)
            .collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Refuses connections from now on. What the kernel had taken and we had not is reset.
    pub(super) fn close(&mut self) {
        self.open.clear();
        // If that fails, opening tries it again and says what is wrong.
        self.bound = bind_all(&self.addresses).unwrap_or_default();
    }

    /// The next connection on any of them; waits for ever while they are closed.
    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        future::poll_fn(|context| {
            for listener in &self.open {
                if let Poll::Ready(accepted) = listener.poll_accept(context) {
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}

fn bind_all(addresses: &[SocketAddr]) -> Result<Vec<Socket>, BindError> {
    let bind =
        |address: &SocketAddr| bind_one(*address).map_err(|error| BindError::new(*address, error));
    addresses.iter().map(bind).collect()
}

fn bind_one(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Connections of an earlier run that are still ebbing away must not keep the port.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Linux hands this on to every connection. Replies are written whole, so nothing is gained by
    // waiting for more.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any_port() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[tokio::test]
    async fn a_port_refuses_until_it_is_open_and_again_when_it_is_closed() {
        let mut ports = Ports::bind(&[any_port()]).unwrap();
        let address = ports.addresses()[0];
        let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        for _ in 0..3 {
            assert!(TcpStream::connect(address).await.is_err_and(refused));
            ports.open().unwrap();
            let _client = TcpStream::connect(address).await.unwrap();
            let (stream, _) = ports.accept().await.unwrap();
            assert!(stream.nodelay().unwrap());
            ports.close();
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_what_to_do() {
        let mut ports = Ports::bind(&[any_port()]).unwrap();
        ports.open().unwrap();
        let address = ports.addresses()[0];
        let text = Ports::bind(&[address]).unwrap_err().to_string();
        assert!(text.starts_with(&format!("cannot listen on {address}: the port is in use")));
        let text = Ports::bind(&["192.0.2.1:0".parse().unwrap()])
            .unwrap_err()
            .to_string();
        assert!(text.contains("does not have that address"), "{text}");
    }

    #[tokio::test]
    async fn ipv4_and_ipv6_share_a_port_number() {
        let mut six = Ports::bind(&["[::]:0".parse().unwrap()]).unwrap();
        let port = six.addresses()[0].port();
        let mut four = Ports::bind(&[SocketAddr::from(([0, 0, 0, 0], port))]).unwrap();
        six.open().unwrap();
        four.open().unwrap();
    }
}
