//! Users of the web page: `[[http.user]]`.

use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::fault::Fault;
use crate::password::Password;

/// It stands in each line of the audit log, beside an address.
const USER_NAME_CHARS_MAX: usize = 64;

/// A user of the page, as the node file has him.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) name: Arc<str>,
    pub(crate) password: Arc<Password>,
    pub(crate) roles: Arc<[Role]>,
}

/// What somebody is there for. Who has several has the rights of all.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Sees how the mail fares, and whose it is.
    Viewer,
    /// Does what can be undone.
    Operator,
    /// Does what can not.
    Admin,
    /// Reads messages.
    Reader,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserTable {
    name: Spanned<String>,
    password: Password,
    roles: Spanned<Vec<Role>>,
}

pub(super) fn users(tables: Vec<UserTable>) -> Result<Vec<User>, Fault> {
    let mut users: Vec<User> = Vec::with_capacity(tables.len());
    for table in tables {
        let name = table.name.get_ref();
        let is_sound = (1..=USER_NAME_CHARS_MAX).contains(&name.chars().count())
            && !name.contains(|c: char| c.is_control() || c.is_whitespace());
        if !is_sound {
            let message = format!(
                "name = {name:?} is not the name of a user; write 1 to {USER_NAME_CHARS_MAX} characters without blanks"
            );
            return Err(Fault::at(&table.name, message));
        }
        if users.iter().any(|earlier| *earlier.name == **name) {
            let message = format!("user {name:?} is listed twice; give one of them another name");
            return Err(Fault::at(&table.name, message));
        }
        if table.roles.get_ref().is_empty() {
            let message = format!(
                "user {name:?} has no role and could do nothing; write for example [\"viewer\"]"
            );
            return Err(Fault::at(&table.roles, message));
        }
        users.push(User {
            name: name.as_str().into(),
            password: Arc::new(table.password),
            roles: table.roles.into_inner().into(),
        });
    }
    Ok(users)
}
