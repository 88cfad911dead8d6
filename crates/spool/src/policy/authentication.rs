//! The table `[authentication]`.

use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::{
    errors::{Fault, Faults},
    name,
};

/// What is found out about the origin of mail, and in whose name that is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// Whether SPF, DKIM and DMARC are evaluated.
    pub evaluate: bool,
    /// The authserv-id (RFC 8601 section 2.5) of all nodes; `None` when each uses its own name.
    pub id: Option<Arc<str>>,
}

impl Default for Authentication {
    fn default() -> Self {
        Self {
            evaluate: true,
            id: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthenticationTable {
    evaluate: Option<bool>,
    id: Option<Spanned<String>>,
}

impl AuthenticationTable {
    pub(super) fn authentication(&self, faults: &mut Faults<'_>) -> Authentication {
        let id = self.id.as_ref().filter(|id| !id.get_ref().is_empty());
        let id = id.and_then(|id| faults.note(authserv_id(id)));
        let default = Authentication::default();
        Authentication {
            evaluate: self.evaluate.unwrap_or(default.evaluate),
            id,
        }
    }
}

fn authserv_id(id: &Spanned<String>) -> Result<Arc<str>, Fault> {
    let fault = |message| Fault::new(id.span(), format!("id = {message}"));
    let domain = name::normal_domain(id.get_ref()).map_err(fault)?;
    if name::is_wildcard(&domain) {
        let message = format!("\"{domain}\" is no name; write one such as \"mx.example.com\"");
        return Err(fault(message));
    }
    Ok(domain.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;

    fn of(table: &str) -> Result<Authentication, String> {
        let domain = "[[domain]]\nname = \"example.com\"\nprimary = [\"mail.example.com\"]\n";
        let policy = Policy::parse(&format!("{domain}{table}"));
        policy
            .map(|policy| policy.authentication)
            .map_err(|errors| errors.to_string())
    }

    #[test]
    fn mail_is_evaluated_in_the_name_of_each_node_unless_said_otherwise() {
        let default = Authentication {
            evaluate: true,
            id: None,
        };
        for table in ["", "[authentication]\n", "[authentication]\nid = \"\"\n"] {
            assert_eq!(of(table), Ok(default.clone()));
        }
        let table = "[authentication]\nevaluate = false\nid = \"MX.example.com.\"\n";
        let expected = Authentication {
            evaluate: false,
            id: Some("mx.example.com".into()),
        };
        assert_eq!(of(table), Ok(expected));
    }

    #[test]
    fn an_id_is_a_name() {
        for (id, complaint) in [
            (
                "*.example.com",
                "5:6: id = \"*.example.com\" is no name; write one such as \"mx.example.com\"",
            ),
            (
                "a b",
                "5:6: id = \"a b\" is not a name; write one such as \"example.com\"",
            ),
            (
                "192.0.2.1",
                "5:6: id = \"192.0.2.1\" is an address; write a domain such as \"example.com\"",
            ),
        ] {
            let said = of(&format!("[authentication]\nid = \"{id}\"\n")).unwrap_err();
            assert_eq!(said, complaint);
        }
    }
}
