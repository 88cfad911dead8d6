//! What a check has come to.

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is as it should be.
    Fine,
    /// It may be meant so; somebody should know of it.
    Warning,
    /// It is wrong.
    Problem,
    /// It could not be looked at.
    Skipped,
}

impl Verdict {
    /// Its name in answers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
            Self::Skipped => "skipped",
        }
    }
}

/// What a check has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, in a word that stays the same.
    pub check: &'static str,
    /// Of what: a domain, a host or a node.
    pub subject: String,
    /// How grave it is.
    pub verdict: Verdict,
    /// What is wrong and what to do, in a sentence. What the DNS or a primary said is in it as it is: whoever
    /// shows it escapes it.
    pub text: String,
    /// Lines of zone files that are missing, or stand there otherwise.
    pub zone: Vec<String>,
}

impl Finding {
    /// The same, with lines that its zone lacks.
    #[must_use]
    pub fn with_zone(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.zone.extend(lines);
        self
    }
}

/// A check of one thing, before it is known what it comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    name: &'static str,
    subject: String,
}

impl Check {
    /// The check of that name, of this domain, host or node.
    #[must_use]
    pub fn of(name: &'static str, subject: impl Into<String>) -> Self {
        Self {
            name,
            subject: subject.into(),
        }
    }

    /// It is as it should be.
    #[must_use]
    pub fn fine(&self, text: impl Into<String>) -> Finding {
        self.finding(Verdict::Fine, text.into())
    }

    /// It may be meant so.
    #[must_use]
    pub fn warning(&self, text: impl Into<String>) -> Finding {
        self.finding(Verdict::Warning, text.into())
    }

    /// It is wrong.
    #[must_use]
    pub fn problem(&self, text: impl Into<String>) -> Finding {
        self.finding(Verdict::Problem, text.into())
    }

    /// It could not be looked at.
    #[must_use]
    pub fn skipped(&self, text: impl Into<String>) -> Finding {
        self.finding(Verdict::Skipped, text.into())
    }

    fn finding(&self, verdict: Verdict, text: String) -> Finding {
        Finding {
            check: self.name,
            subject: self.subject.clone(),
            verdict,
            text,
            zone: Vec::new(),
        }
    }
}
