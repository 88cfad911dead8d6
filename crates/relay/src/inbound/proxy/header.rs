//! The header that a proxy puts in front of what its client sends: versions 1 and 2 of
//! `proxy-protocol.txt` by HAProxy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use memchr::memmem;

use crate::inbound::limits::{PROXY_HEADER_MAX, PROXY_LINE_MAX};

/// What a header of version 2 begins with (section 2.2).
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// What a header of version 1 begins with (section 2.1).
const KEYWORD: [u8; 6] = *b"PROXY ";

/// Octets of a version 2 header in front of its addresses.
const FIXED: usize = 16;

/// A whole header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its length.
    pub octets: usize,
    /// Where the client connects from; `None` when the proxy speaks for itself (a health check) or
    /// does not know.
    pub client: Option<SocketAddr>,
}

/// What is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Something else came.
    #[error("the connection does not begin with a PROXY header")]
    NoHeader,
    /// It is longer than one may be.
    #[error("the PROXY header is too long")]
    TooLong,
    /// It is of no version that is known.
    #[error("the PROXY header is of a version other than 1 and 2")]
    Version,
    /// What it says of the connection can not be.
    #[error("the PROXY header names a command or a protocol that does not exist")]
    Kind,
    /// Its addresses are none, or some are missing.
    #[error("the PROXY header names no addresses and ports that belong together")]
    Addresses,
}

/// Reads the header at the front of what has arrived; `None` while more of it is to come.
///
/// # Errors
/// What makes it none, as soon as that is certain.
pub fn parse(arrived: &[u8]) -> Result<Option<Header>, Malformed> {
    if begins_alike(arrived, &SIGNATURE) {
        binary(arrived)
    } else if begins_alike(arrived, &KEYWORD) {
        text(arrived)
    } else {
        Err(Malformed::NoHeader)
    }
}

/// Whether the two are equal as far as both go.
fn begins_alike(arrived: &[u8], beginning: &[u8]) -> bool {
    arrived.iter().zip(beginning).all(|(a, b)| a == b)
}

/// Version 1: `PROXY TCP4 192.0.2.1 198.51.100.1 4711 25` and CRLF.
fn text(arrived: &[u8]) -> Result<Option<Header>, Malformed> {
    let scanned = arrived.get(..PROXY_LINE_MAX).unwrap_or(arrived);
    let Some(end) = memmem::find(scanned, b"\r\n") else {
        return if arrived.len() < PROXY_LINE_MAX {
            Ok(None)
        } else {
            Err(Malformed::TooLong)
        };
    };
    let line = scanned.get(KEYWORD.len()..end).unwrap_or_default();
    // What follows on this word is to be ignored.
    let unknown = line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ");
    let client = if unknown {
        None
    } else {
        Some(named(line).ok_or(Malformed::Addresses)?)
    };
    Ok(Some(Header {
        octets: end + 2,
        client,
    }))
}

fn named(line: &[u8]) -> Option<SocketAddr> {
    let mut words = str::from_utf8(line).ok()?.split(' ');
    let family = words.next()?;
    let mut address = || -> Option<IpAddr> {
        let word = words.next()?;
        match family {
            "TCP4" => word.parse().ok().map(Ipv4Addr::into),
            "TCP6" => word.parse().ok().map(Ipv6Addr::into),
            _ => None,
        }
    };
    let (source, _destination) = (address()?, address()?);
    let mut port = || {
        let word = words.next()?;
        let digits = word.bytes().all(|octet| octet.is_ascii_digit());
        word.parse::<u16>().ok().filter(|_| digits)
    };
    let (source_port, _destination_port) = (port()?, port()?);
    words
        .next()
        .is_none()
        .then(|| SocketAddr::new(source, source_port))
}

/// Version 2: the signature, version and command, family and protocol, a length, and so many octets
/// of addresses and of extensions (TLVs), which are passed over.
fn binary(arrived: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some((fixed, rest)) = arrived.split_first_chunk::<FIXED>() else {
        return Ok(None);
    };
    let [.., version_and_command, protocol, high, low] = *fixed;
    if version_and_command >> 4 != 2 {
        return Err(Malformed::Version);
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    let octets = FIXED + length;
    if octets > PROXY_HEADER_MAX {
        return Err(Malformed::TooLong);
    }
    let Some(addresses) = rest.get(..length) else {
        return Ok(None);
    };
    let (family, transport) = (protocol >> 4, protocol & 0xf);
    let client = match (version_and_command & 0xf, family, transport) {
        // LOCAL: the rest is to be ignored.
        (0, _, _) => None,
        (1, 1, 1) => Some(source4(addresses).ok_or(Malformed::Addresses)?),
        (1, 2, 1) => Some(source6(addresses).ok_or(Malformed::Addresses)?),
        // Unspecified, datagrams, and sockets of the proxy's own machine: no client of SMTP.
        (1, 0..=3, 0..=2) => None,
        _ => return Err(Malformed::Kind),
    };
    Ok(Some(Header { octets, client }))
}

/// Source, destination, and their ports.
fn source4(addresses: &[u8]) -> Option<SocketAddr> {
    let (source, rest) = addresses.split_first_chunk::<4>()?;
    let [_, _, _, _, high, low, _, _] = *rest.first_chunk()?;
    let port = u16::from_be_bytes([high, low]);
    Some((Ipv4Addr::from(*source), port).into())
}

fn source6(addresses: &[u8]) -> Option<SocketAddr> {
    let (source, rest) = addresses.split_first_chunk::<16>()?;
    let (_destination, ports) = rest.split_first_chunk::<16>()?;
    let [high, low, _, _] = *ports.first_chunk()?;
    let port = u16::from_be_bytes([high, low]);
    Some((Ipv6Addr::from(*source), port).into())
}

#[cfg(test)]
mod tests;
