//! The client that a message came from, as it is passed on to a server that wants to know: by XCLIENT, which
//! has the server take us for that client, or by XFORWARD, which has it write him in its log
//! (<https://www.postfix.org/XCLIENT_README.html>, <https://www.postfix.org/XFORWARD_README.html>).

use std::net::{IpAddr, SocketAddr};

use crate::dsn::xtext;
use crate::extensions::{Attribute, Attributes};
use crate::limits::{PASSED_ON_LINE_MAX, PASSED_ON_VALUE_MAX};

/// What stands for a value that there is not.
const UNAVAILABLE: &str = "[UNAVAILABLE]";

/// Who brought a message to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The other end of his connection.
    pub address: SocketAddr,
    /// Which host that is, as far as its address and its name lead to each other.
    pub name: HostName,
    /// What he said in EHLO or HELO.
    pub helo: String,
    /// Whether it was EHLO.
    pub extended: bool,
    /// What we call the message.
    pub ident: String,
}

/// What the DNS says an address is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostName {
    /// This, and the name has the address.
    Confirmed(String),
    /// Nothing that the name would confirm.
    Unknown,
    /// It does not answer.
    Untold,
}

/// The two ways to pass a client on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Xclient,
    Xforward,
}

impl Origin {
    /// The XCLIENT commands that name him to a server which takes these attributes.
    pub(super) fn xclient(&self, attributes: &Attributes) -> Vec<String> {
        self.commands(Way::Xclient, attributes)
    }

    /// The same of XFORWARD.
    pub(super) fn xforward(&self, attributes: &Attributes) -> Vec<String> {
        self.commands(Way::Xforward, attributes)
    }

    /// His name for himself, if it can be said again in EHLO and a parameter.
    pub(super) fn helo(&self) -> Option<&str> {
        Some(self.helo.as_str()).filter(|helo| is_plain(helo))
    }

    /// As many attributes in each command as have room in a line.
    fn commands(&self, way: Way, attributes: &Attributes) -> Vec<String> {
        let verb = match way {
            Way::Xclient => "XCLIENT",
            Way::Xforward => "XFORWARD",
        };
        let mut commands: Vec<String> = Vec::new();
        for attribute in Attribute::ALL {
            if !attributes.contains(&attribute) {
                continue;
            }
            let Some(value) = self.value(way, attribute) else {
                continue;
            };
            let word = format!(" {}={value}", attribute.keyword());
            match commands.last_mut() {
                Some(last) if last.len() + word.len() + 2 <= PASSED_ON_LINE_MAX => {
                    last.push_str(&word);
                }
                _ => commands.push(format!("{verb}{word}")),
            }
        }
        commands
    }

    /// As it is written.
    fn value(&self, way: Way, attribute: Attribute) -> Option<String> {
        let value = match (attribute, way) {
            (Attribute::Name, _) => match (&self.name, way) {
                (HostName::Confirmed(name), _) => written(Some(name)),
                // A server that turns away clients without a name does so for the time being only.
                (HostName::Untold, Way::Xclient) => "[TEMPUNAVAIL]".to_owned(),
                _ => UNAVAILABLE.to_owned(),
            },
            (Attribute::Address, _) => match self.address.ip().to_canonical() {
                IpAddr::V4(address) => address.to_string(),
                IpAddr::V6(address) => format!("IPV6:{address}"),
            },
            (Attribute::Port, _) => self.address.port().to_string(),
            (Attribute::Protocol, _) if self.extended => "ESMTP".to_owned(),
            (Attribute::Protocol, _) => "SMTP".to_owned(),
            (Attribute::Helo, _) => written(self.helo()),
            (Attribute::Ident, Way::Xforward) => written(Some(&self.ident)),
            (Attribute::Source, Way::Xforward) => "REMOTE".to_owned(),
            (Attribute::Ident | Attribute::Source, Way::Xclient) => return None,
        };
        Some(value)
    }
}

/// Whether a text has nothing in it that means something in a command or in a header field.
fn is_plain(text: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_graphic() && !b"()<>\"\\,;@".contains(&octet);
    !text.is_empty() && text.bytes().all(plain)
}

/// The value that stands for a text, if it can be one.
fn written(text: Option<&str>) -> String {
    let plain = text.filter(|text| is_plain(text)).map(xtext::encoded);
    let short = plain.filter(|value| value.len() <= PASSED_ON_VALUE_MAX);
    short.unwrap_or_else(|| UNAVAILABLE.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin {
            address: "192.0.2.7:4711".parse().unwrap(),
            name: HostName::Confirmed("mail.sender.test".into()),
            helo: "sender.test".into(),
            extended: true,
            ident: "01JABC".into(),
        }
    }

    fn all() -> Attributes {
        Attribute::ALL.into_iter().collect()
    }

    #[test]
    fn only_what_the_server_names_is_passed_on() {
        let some: Attributes = [Attribute::Address, Attribute::Name].into_iter().collect();
        let expected = "NAME=mail.sender.test ADDR=192.0.2.7";
        assert_eq!(origin().xclient(&some), [format!("XCLIENT {expected}")]);
        assert_eq!(origin().xforward(&some), [format!("XFORWARD {expected}")]);
        assert!(origin().xclient(&Attributes::default()).is_empty());
        let expected = format!("{expected} PORT=4711 PROTO=ESMTP HELO=sender.test");
        assert_eq!(origin().xclient(&all()), [format!("XCLIENT {expected}")]);
        let expected = [format!("XFORWARD {expected} IDENT=01JABC SOURCE=REMOTE")];
        assert_eq!(origin().xforward(&all()), expected);
    }

    #[test]
    fn what_is_not_known_is_said_to_be_unavailable() {
        let stranger = Origin {
            address: "[2001:db8::7]:25".parse().unwrap(),
            name: HostName::Unknown,
            helo: "two words".into(),
            extended: false,
            ..origin()
        };
        let expected = "XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::7 PORT=25 PROTO=SMTP HELO=[UNAVAILABLE]";
        assert_eq!(stranger.xclient(&all()), [expected]);
        let untold = Origin {
            name: HostName::Untold,
            ..origin()
        };
        let name: Attributes = [Attribute::Name].into_iter().collect();
        assert_eq!(untold.xclient(&name), ["XCLIENT NAME=[TEMPUNAVAIL]"]);
        assert_eq!(untold.xforward(&name), ["XFORWARD NAME=[UNAVAILABLE]"]);
        let mapped = Origin {
            address: "[::ffff:192.0.2.7]:25".parse().unwrap(),
            ..origin()
        };
        let address: Attributes = [Attribute::Address].into_iter().collect();
        assert_eq!(mapped.xclient(&address), ["XCLIENT ADDR=192.0.2.7"]);
    }

    #[test]
    fn long_names_take_several_commands_and_odd_ones_are_encoded() {
        let long = Origin {
            name: HostName::Confirmed("n".repeat(PASSED_ON_VALUE_MAX)),
            helo: "+=".repeat(PASSED_ON_VALUE_MAX / 6),
            ..origin()
        };
        let commands = long.xclient(&all());
        assert_eq!(commands.len(), 2, "{commands:?}");
        assert!(commands.iter().all(|it| it.len() + 2 <= PASSED_ON_LINE_MAX));
        assert!(commands[1].starts_with("XCLIENT HELO=+2B+3D+2B"));
        let longer = Origin {
            name: HostName::Confirmed("n".repeat(PASSED_ON_VALUE_MAX + 1)),
            helo: "h".repeat(PASSED_ON_VALUE_MAX + 1),
            ..origin()
        };
        let commands = longer.xclient(&all()).concat();
        assert!(commands.contains("NAME=[UNAVAILABLE] "), "{commands}");
        assert!(commands.ends_with("HELO=[UNAVAILABLE]"), "{commands}");
    }
}
