//! Free ports that no other test process takes in the meantime.

use std::{
    env,
    fs::{self, File, OpenOptions},
    net::{SocketAddr, TcpListener},
    process,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below the range from which the system takes the ports of outgoing connections (32768 on Linux),
/// so that no client's socket sits on a port that is about to be listened on.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A prime, so that processes that start together look at different places.
const STRIDE: u32 = 7_919;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port on 127.0.0.1 that is ours until this is dropped, whether or not anyone listens on it.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    /// Holds the file lock by which processes agree on whose the port is.
    _claim: Option<File>,
}

impl Port {
    /// Claims a free one.
    ///
    /// # Panics
    /// When none is free.
    #[must_use]
    pub fn free() -> Self {
        let directory = env::temp_dir().join("layover-ports");
        fs::create_dir_all(&directory).expect("the temporary directory is writable");
        let start = process::id().wrapping_mul(STRIDE) % u32::from(COUNT);
        for _ in 0..COUNT {
            let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
            let offset = (start + step) % u32::from(COUNT);
            let number = FIRST + u16::try_from(offset).expect("the remainder is below COUNT");
            let path = directory.join(number.to_string());
            let Ok(claim) = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)
            else {
                continue;
            };
            if claim.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                let address = SocketAddr::from(([127, 0, 0, 1], number));
                return Self {
                    address,
                    _claim: Some(claim),
                };
            }
        }
        panic!("no free port between {FIRST} and {}", FIRST + COUNT);
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// An address that someone else chose; nobody is kept from taking it.
    #[must_use]
    pub fn given(address: SocketAddr) -> Self {
        Self {
            address,
            _claim: None,
        }
    }
}
