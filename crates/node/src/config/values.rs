//! Values that TOML has no type for: sizes, durations, addresses, networks, shares of a disk.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use cluster::FreeSpace;
use ipnet::IpNet;
use serde::Deserialize;
use spool::policy::size;

use super::PEER_PORT_DEFAULT;

/// Where name servers listen (RFC 1035 section 4.2).
const DNS_PORT: u16 = 53;

/// `"50MiB"`: octets.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(super) struct Size(pub(super) u64);

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        size(&text)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a size; write for example \"50MiB\""))
    }
}

/// `"15s"`, `"4h"`, `"30d"`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(super) struct Span(pub(super) Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        humantime::parse_duration(&text).map(Self).map_err(|_| {
            format!("{text:?} is not a duration; write for example \"15s\", \"4h\" or \"30d\"")
        })
    }
}

/// `"10%"` or a size.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(super) struct Share(pub(super) FreeSpace);

impl TryFrom<String> for Share {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let percent = |digits: &str| digits.trim_end().parse::<u8>().ok().filter(|n| *n <= 99);
        let share = match text.strip_suffix('%') {
            Some(digits) => percent(digits).map(FreeSpace::Percent),
            None => size(&text).map(FreeSpace::Bytes),
        };
        share.map(Self).ok_or_else(|| {
            format!("{text:?} is not a share of a disk; write for example \"10%\" or \"5GiB\"")
        })
    }
}

/// An address of this machine, with port.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(super) struct Listen(pub(super) SocketAddr);

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!(
                "{text:?} is not an IP address and port to listen on; \
                 write for example \"127.0.0.1:7401\" or \"[::]:25\""
            )
        })
    }
}

/// A name server: an address, and a port where it is not the usual one.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(super) struct NameServer(pub(super) SocketAddr);

impl TryFrom<String> for NameServer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
            .or_else(|_| text.parse().map(|ip| SocketAddr::new(ip, DNS_PORT)))
            .ok()
            .filter(|address| !address.ip().is_unspecified() && address.port() != 0)
            .map(Self)
            .ok_or_else(|| {
                format!(
                    "{text:?} is not the IP address of a name server; \
                     write for example \"10.0.0.53\", \"10.0.0.53:5353\" or \"[::1]:5353\""
                )
            })
    }
}

/// An address under which the Internet sees a node.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(super) struct PublicAddress(pub(super) IpAddr);

impl TryFrom<String> for PublicAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let address = text.parse::<IpAddr>().ok();
        let address = address.filter(|address| !address.is_unspecified());
        address.map(Self).ok_or_else(|| {
            format!(
                "{text:?} is not an IP address; write for example \"192.0.2.1\" or \"2001:db8::1\", without a port"
            )
        })
    }
}

/// Where other nodes reach a node: `host:port`, in normal form.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(super) struct Reach(pub(super) String);

impl Reach {
    /// Whether no other machine is reached by it.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self
            .0
            .rsplit_once(':')
            .map_or(self.0.as_str(), |(host, _)| host);
        let address = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl TryFrom<String> for Reach {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        spool::policy::host_port(&text, PEER_PORT_DEFAULT)
            .map(Self)
            .map_err(|error| error.0)
    }
}

/// Where a browser asks that names no port (RFC 9110 section 4.2.1).
const PORT_DEFAULT: u16 = 80;

/// The host of `host` or `host:port`, in normal form; `None` when it is none.
pub(crate) fn host_of(text: &str) -> Option<String> {
    let normal = spool::policy::host_port(text, PORT_DEFAULT).ok()?;
    normal.rsplit_once(':').map(|(host, _)| host.to_owned())
}

/// A name of a host, in normal form.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(super) struct HostName(pub(super) String);

impl TryFrom<String> for HostName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let name = (!text.contains(':')).then(|| host_of(&text)).flatten();
        name.map(Self).ok_or_else(|| {
            format!(
                "{text:?} is not a host name; write one such as \"mail-queue.example.net\", without a port"
            )
        })
    }
}

/// A network, or one address.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(super) struct Network(pub(super) IpNet);

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map(Self)
            .map_err(|_| format!("{text:?} is not a network; write for example \"10.0.0.0/8\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_percentage_or_a_size() {
        let share = |text: &str| Share::try_from(text.to_owned()).map(|share| share.0);
        assert_eq!(share("10%"), Ok(FreeSpace::Percent(10)));
        assert_eq!(share("64MiB"), Ok(FreeSpace::Bytes(64 << 20)));
        for text in ["100%", "-1%", "%", "ten"] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_server_is_an_address_with_or_without_a_port() {
        let server = |text: &str| NameServer::try_from(text.to_owned()).map(|server| server.0);
        for (text, address) in [
            ("10.0.0.53", "10.0.0.53:53"),
            ("10.0.0.53:5353", "10.0.0.53:5353"),
            ("::1", "[::1]:53"),
            ("[::1]:5353", "[::1]:5353"),
        ] {
            assert_eq!(server(text), Ok(address.parse().unwrap()), "{text}");
        }
        for text in [
            "",
            "dns.example",
            "10.0.0.53:0",
            "0.0.0.0",
            "[::1]",
            "10.0.0.53:99999",
        ] {
            assert!(server(text).is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_is_told_from_the_rest_of_the_world() {
        let reach = |text: &str| Reach::try_from(text.to_owned()).unwrap();
        for text in [
            "127.0.0.1:1",
            "127.8.8.8",
            "[::1]:7400",
            "localhost:7400",
            "LOCALHOST",
        ] {
            assert!(reach(text).is_loopback(), "{text}");
        }
        for text in [
            "10.0.0.1:1",
            "mx1.internal:7400",
            "[2001:db8::1]",
            "localhost.example:1",
        ] {
            assert!(!reach(text).is_loopback(), "{text}");
        }
    }
}
