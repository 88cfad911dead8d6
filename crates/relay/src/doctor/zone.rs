//! Lines of zone files (RFC 1035 section 5.1), with names that nothing is appended to.

use std::net::IpAddr;

use hickory_resolver::proto::rr::Name;

/// `example.com. IN MX 20 mx1.example.net.`
pub(super) fn mx(domain: &str, preference: u16, host: &str) -> String {
    format!("{domain}. IN MX {preference} {host}.")
}

/// `mx1.example.net. IN A 192.0.2.1`
pub(super) fn address(host: &str, address: IpAddr) -> String {
    let kind = if address.is_ipv4() { "A" } else { "AAAA" };
    format!("{host}. IN {kind} {address}")
}

/// `1.2.0.192.in-addr.arpa. IN PTR mx1.example.net.`
pub(super) fn pointer(address: IpAddr, host: &str) -> String {
    format!("{}. IN PTR {host}.", reverse(address))
}

/// `_25._tcp.mx1.example.net. IN TLSA 3 1 1 DIGEST`, the digest of the certificate's public key in hexadecimal digits.
pub(super) fn tlsa(host: &str, digest: &str) -> String {
    format!("{}. IN TLSA 3 1 1 {digest}", tlsa_owner(host))
}

/// Where it stands what certificate a host for mail has.
pub(super) fn tlsa_owner(host: &str) -> String {
    format!("_25._tcp.{host}")
}

/// Where an address's names stand: `1.2.0.192.in-addr.arpa`.
pub(super) fn reverse(address: IpAddr) -> String {
    let name = Name::from(address).to_ascii();
    name.strip_suffix('.').unwrap_or(&name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_can_be_pasted_into_any_zone() {
        let v4 = "192.0.2.1".parse().unwrap();
        let v6 = "2001:db8::1".parse().unwrap();
        assert_eq!(
            mx("example.com", 20, "mx1.example.net"),
            "example.com. IN MX 20 mx1.example.net."
        );
        assert_eq!(
            address("mx1.example.net", v4),
            "mx1.example.net. IN A 192.0.2.1"
        );
        assert_eq!(
            address("mx1.example.net", v6),
            "mx1.example.net. IN AAAA 2001:db8::1"
        );
        assert_eq!(
            pointer(v4, "mx1.example.net"),
            "1.2.0.192.in-addr.arpa. IN PTR mx1.example.net."
        );
        assert_eq!(
            pointer(v6, "mx1.example.net"),
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. IN PTR mx1.example.net."
        );
    }
}
