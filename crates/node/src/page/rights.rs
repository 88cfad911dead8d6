//! Who may do what on the page.

use std::sync::Arc;

use crate::config::Role;

/// What a route, or a part of what it shows, is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// To see states, figures and envelopes.
    See,
    /// To see the header of a message.
    Header,
    /// To change what can be changed back.
    Operate,
    /// To delete messages, or give them up.
    Destroy,
    /// To have the whole of a message.
    Read,
}

impl Role {
    const fn rights(self) -> &'static [Right] {
        match self {
            Self::Viewer => &[Right::See],
            Self::Operator => &[Right::See, Right::Header, Right::Operate],
            Self::Admin => &[Right::See, Right::Header, Right::Operate, Right::Destroy],
            Self::Reader => &[Right::See, Right::Header, Right::Read],
        }
    }
}

impl Right {
    /// What changing messages so asks for.
    pub(super) fn of_verb(verb: &str) -> Self {
        match verb {
            "delete" | "bounce" => Self::Destroy,
            _ => Self::Operate,
        }
    }

    /// The role that has it, as the node file calls it.
    pub(super) const fn role(self) -> &'static str {
        match self {
            Self::See => "viewer",
            Self::Header | Self::Operate => "operator",
            Self::Destroy => "admin",
            Self::Read => "reader",
        }
    }
}

/// Who is at the browser.
#[derive(Clone, Debug)]
pub(super) struct Person {
    /// The name by which he has logged in.
    pub(super) name: Option<Arc<str>>,
    roles: Arc<[Role]>,
    /// In each form that is made for him: no other site knows it.
    pub(super) token: Arc<str>,
}

impl Person {
    /// Somebody who has logged in.
    pub(super) fn named(name: Arc<str>, roles: Arc<[Role]>, token: Arc<str>) -> Self {
        Self {
            name: Some(name),
            roles,
            token,
        }
    }

    /// Somebody who is believed for his address alone, as there are no users. Messages are not for him: who reads
    /// them must be known.
    pub(super) fn trusted(token: Arc<str>) -> Self {
        let (name, roles) = (None, Arc::from([Role::Admin]));
        Self { name, roles, token }
    }

    /// Somebody who has not logged in yet.
    pub(super) fn stranger(token: Arc<str>) -> Self {
        let (name, roles) = (None, Arc::from([]));
        Self { name, roles, token }
    }

    /// Whether he has yet to say who he is.
    pub(super) fn is_stranger(&self) -> bool {
        self.roles.is_empty()
    }

    /// Whether one of his roles has the right.
    pub(super) fn may(&self, right: Right) -> bool {
        self.roles.iter().any(|role| role.rights().contains(&right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHTS: [Right; 5] = [
        Right::See,
        Right::Header,
        Right::Operate,
        Right::Destroy,
        Right::Read,
    ];

    fn rights(person: &Person) -> Vec<Right> {
        let rights = RIGHTS.into_iter();
        rights.filter(|right| person.may(*right)).collect()
    }

    #[test]
    fn roles_add_up() {
        for (roles, expected) in [
            (&[][..], &[][..]),
            (&[Role::Viewer], &[Right::See]),
            (
                &[Role::Operator],
                &[Right::See, Right::Header, Right::Operate],
            ),
            (
                &[Role::Admin],
                &[Right::See, Right::Header, Right::Operate, Right::Destroy],
            ),
            (&[Role::Reader], &[Right::See, Right::Header, Right::Read]),
            (&[Role::Admin, Role::Reader], &RIGHTS),
        ] {
            let person = Person::named("ann".into(), roles.into(), "".into());
            assert_eq!(rights(&person), expected, "{roles:?}");
        }
    }

    #[test]
    fn without_users_an_address_is_enough_for_all_but_messages() {
        let trusted = Person::trusted("".into());
        assert_eq!(rights(&trusted), RIGHTS[..4]);
        assert!(rights(&Person::stranger("".into())).is_empty());
    }

    #[test]
    fn the_role_that_is_named_has_the_right() {
        for right in RIGHTS {
            let role = format!("\"{}\"", right.role());
            let role: Role = serde_json::from_str(&role).unwrap();
            assert!(role.rights().contains(&right), "{right:?}");
        }
    }
}
