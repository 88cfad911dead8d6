//! What a certificate may name.

use std::{fmt, net::IpAddr, str::FromStr};

use rustls_pki_types::DnsName;

/// A host name in lower case, or an IP address, as the other nodes reach a node. It is the name of
/// the files too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(String);

impl Name {
    /// A certificate for it.
    pub(super) fn subject(&self) -> Vec<String> {
        vec![self.0.clone()]
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_string()));
        }
        let wrong = || {
            "give a host name or an IP address, without a port and as in [cluster] advertise: \
             mx1.internal, 10.0.0.1, 2001:db8::1"
                .to_owned()
        };
        let name = text.to_ascii_lowercase();
        let sound = DnsName::try_from(name.as_str()).is_ok() && !name.ends_with('.');
        if !sound {
            return Err(wrong());
        }
        if name == "ca" {
            return Err("ca.pem and ca.key are the authority's; give the node another name".into());
        }
        Ok(Self(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_and_addresses_are_names() {
        for (text, name) in [
            ("mx1.internal", "mx1.internal"),
            ("MX1", "mx1"),
            ("10.0.0.1", "10.0.0.1"),
            ("2001:DB8:0::1", "2001:db8::1"),
        ] {
            assert_eq!(text.parse::<Name>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn what_is_no_name_of_a_node_is_refused_with_what_would_be_right() {
        for text in [
            "",
            "mx1:7400",
            "[::1]",
            "[::1]:7400",
            "mx1.internal.",
            "*.internal",
            "../mx1",
            "a/b",
            "mx 1",
            "10.0.0.300",
            ".mx1",
        ] {
            let said = text.parse::<Name>().unwrap_err();
            assert!(said.contains("without a port"), "{text}: {said}");
        }
        assert!("CA".parse::<Name>().unwrap_err().contains("authority"));
    }
}
