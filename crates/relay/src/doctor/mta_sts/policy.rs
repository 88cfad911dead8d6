//! The text of an MTA-STS policy (RFC 8461 section 3.2).

/// What senders do when a host is not as the policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// They send nothing to it.
    Enforce,
    /// They report it.
    Testing,
    /// Nothing.
    None,
}

/// What matters of a policy here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) mode: Mode,
    /// Lower case; `*.example.net` covers one label more.
    patterns: Vec<String>,
}

/// What is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PolicyError {
    #[error("its version is not STSv1")]
    Version,
    #[error("its mode is none of enforce, testing and none")]
    Mode,
    #[error("it has no max_age in seconds")]
    MaxAge,
    #[error("it has no mx line")]
    NoExchange,
}

impl Policy {
    /// Reads lines of `key: value`. What is not known is passed over, and of a key that comes again the first
    /// value counts, but for `mx`.
    ///
    /// # Errors
    /// What is missing, or is not what it must be.
    pub(super) fn parse(text: &str) -> Result<Self, PolicyError> {
        let fields: Vec<(&str, &str)> = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key.trim(), value.trim()))
            .collect();
        let all = |wanted: &'static str| {
            let such = fields.iter().filter(move |(key, _)| *key == wanted);
            such.map(|(_, value)| *value)
        };
        if all("version").next() != Some("STSv1") {
            return Err(PolicyError::Version);
        }
        let mode = match all("mode").next() {
            Some("enforce") => Mode::Enforce,
            Some("testing") => Mode::Testing,
            Some("none") => Mode::None,
            _ => return Err(PolicyError::Mode),
        };
        let max_age = all("max_age").next().map(str::parse::<u64>);
        if !matches!(max_age, Some(Ok(_))) {
            return Err(PolicyError::MaxAge);
        }
        let patterns: Vec<String> = all("mx").map(str::to_ascii_lowercase).collect();
        if patterns.is_empty() && mode != Mode::None {
            return Err(PolicyError::NoExchange);
        }
        Ok(Self { mode, patterns })
    }

    /// Whether a host, in lower case, is one of those that it names (RFC 8461 section 4.1).
    pub(super) fn covers(&self, host: &str) -> bool {
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.patterns
            .iter()
            .any(|pattern| match pattern.strip_prefix("*.") {
                Some(suffix) => parent == Some(suffix),
                None => pattern == host,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_exactly_one_label() {
        let policy = Policy {
            mode: Mode::Enforce,
            patterns: vec!["*.example.net".to_owned(), "mail.example.com".to_owned()],
        };
        for (host, expected) in [
            ("mx1.example.net", true),
            ("mail.example.com", true),
            ("a.mx1.example.net", false),
            ("example.net", false),
            ("mx1.example.com", false),
            ("", false),
        ] {
            assert_eq!(policy.covers(host), expected, "{host}");
        }
    }

    #[test]
    fn what_a_policy_must_say_is_demanded() {
        for (text, expected) in [
            ("", PolicyError::Version),
            (
                "version: STSv2\nmode: none\nmax_age: 1",
                PolicyError::Version,
            ),
            ("version: STSv1\nmax_age: 1", PolicyError::Mode),
            (
                "version: STSv1\nmode: none\nmax_age: long",
                PolicyError::MaxAge,
            ),
            (
                "version: STSv1\nmode: testing\nmax_age: 1",
                PolicyError::NoExchange,
            ),
        ] {
            assert_eq!(Policy::parse(text), Err(expected), "{text}");
        }
        let least = "version:STSv1 \nmode : none\nextra: 1\nmode: enforce\nmax_age: 86400";
        assert_eq!(Policy::parse(least).unwrap().mode, Mode::None);
    }
}
