//! Which mailbox drills go to, and how often they are held by themselves.

use core::time::Duration;

use serde::Deserialize;
use smtp::Mailbox;
use toml::Spanned;

use super::{
    ROUTES,
    errors::{Fault, Faults},
    name,
    values::duration,
};

/// Each drill leaves a message for each node in a mailbox that somebody reads.
const EVERY_MIN: Duration = Duration::from_secs(60);

/// How often drills are held by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drill {
    /// From one that was complete to the next; zero: never.
    pub every: Duration,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DrillTable {
    every: Option<Spanned<String>>,
}

impl DrillTable {
    pub(super) fn drill(&self, faults: &mut Faults<'_>) -> Drill {
        let every = self.every.as_ref().map(every);
        let every = every.and_then(|every| faults.note(every));
        Drill {
            every: every.unwrap_or_default(),
        }
    }
}

fn every(text: &Spanned<String>) -> Result<Duration, Fault> {
    let every = duration("every", text)?;
    if every.is_zero() || every >= EVERY_MIN {
        return Ok(every);
    }
    let message = format!(
        "every = \"{}\" is too often; at least \"1m\", usually \"24h\", or \"0s\" for never",
        text.get_ref().escape_debug()
    );
    Err(Fault::new(text.span(), message))
}

/// The mailbox of a domain that drills go to; none when nothing is written. `domain` is its name in the policy.
pub(super) fn canary(
    text: Option<&Spanned<String>>,
    domain: &str,
) -> Result<Option<Mailbox>, Fault> {
    let Some(text) = text.filter(|text| !text.get_ref().is_empty()) else {
        return Ok(None);
    };
    let mailbox = text.get_ref().parse::<Mailbox>().ok();
    let sound = mailbox.filter(|mailbox| {
        mailbox.is_ascii()
            && !mailbox.local_part.contains(ROUTES)
            && name::covers(domain, &mailbox.domain.to_ascii_lowercase())
    });
    if sound.is_some() {
        return Ok(sound);
    }
    let message = format!(
        "canary = \"{}\" is no address of {domain} in ASCII; write one whose mail somebody reads, such as \
         \"postmaster@{}\"",
        text.get_ref().escape_debug(),
        domain.replace('*', "mail")
    );
    Err(Fault::new(text.span(), message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;

    const PLAIN: &str = "[[domain]]\nname = \"example.com\"\nprimary = [\"mail.example.com\"]\n";

    fn parsed(lines: &str) -> Result<Policy, String> {
        Policy::parse(&format!("{PLAIN}{lines}\n")).map_err(|errors| errors.to_string())
    }

    #[test]
    fn there_are_no_drills_unless_they_are_wanted() {
        for lines in ["", "canary = \"\"", "[drill]", "[drill]\nevery = \"0s\""] {
            let policy = parsed(lines).unwrap();
            assert_eq!(policy.drill.every, Duration::ZERO, "{lines}");
            assert_eq!(policy.domains[0].canary, None, "{lines}");
        }
    }

    #[test]
    fn a_canary_and_a_schedule_are_what_is_written() {
        let policy = parsed("canary = \"Drills@Example.com\"\n[drill]\nevery = \"24h\"").unwrap();
        let canary = policy.domains[0].canary.as_ref().unwrap();
        assert_eq!(canary.to_string(), "Drills@Example.com");
        assert_eq!(policy.drill.every, Duration::from_secs(24 * 3600));
    }

    #[test]
    fn a_canary_sits_under_its_own_domain() {
        for (lines, place) in [
            ("canary = \"postmaster\"", "4:10"),
            ("canary = \"postmaster@example.org\"", "4:10"),
            ("canary = \"postmaster@sub.example.com\"", "4:10"),
            ("canary = \"a%b@example.com\"", "4:10"),
            ("canary = \"ä@example.com\"", "4:10"),
        ] {
            let said = parsed(lines).unwrap_err();
            assert!(said.starts_with(place), "{lines}: {said}");
            assert!(said.contains("postmaster@example.com"), "{lines}: {said}");
        }
        let below = "[[domain]]\nname = \"*.example.com\"\nprimary = [\"mail.example.com\"]\n";
        let canary = "canary = \"postmaster@sub.example.com\"\n";
        assert!(Policy::parse(&format!("{below}{canary}")).is_ok());
    }

    #[test]
    fn what_is_too_often_is_named_with_its_place() {
        let said = parsed("[drill]\nevery = \"5s\"").unwrap_err();
        assert!(
            said.starts_with("5:9: every = \"5s\" is too often"),
            "{said}"
        );
    }
}
