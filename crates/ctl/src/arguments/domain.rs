//! `layover domain`, `layover recipients` and `layover policy`: whose mail is taken, and when it goes.

use std::{path::PathBuf, time::Duration};

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum DomainCommand {
    /// Every domain: where its mail goes, how its primary is, what waits.
    List,
    /// Look at the primary step by step, from the node that is asked. Nothing is sent.
    Probe {
        /// The domain, as the policy names it.
        domain: String,
    },
    /// The last times in which no mail could leave, what waited at their ends, and how fast that was delivered.
    Outages {
        /// The domain, as the policy names it; all of them when left out.
        domain: Option<String>,
    },
    /// Take mail for a domain, and send none.
    Pause {
        /// The domain, as the policy names it.
        domain: String,
        /// For how long: 30m, 2h, 1d. Without it, until it is resumed.
        #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
        span: Option<Duration>,
        /// Why; the status shows it, and the audit log keeps it.
        #[arg(
            long,
            value_name = "TEXT",
            default_value = "",
            hide_default_value = true
        )]
        reason: String,
    },
    /// Send a domain's mail again.
    Resume {
        /// The domain, as the policy names it.
        domain: String,
        /// Why; the audit log keeps it.
        #[arg(
            long,
            value_name = "TEXT",
            default_value = "",
            hide_default_value = true
        )]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RecipientsCommand {
    /// Who is known to be valid or unknown, since when, and from where.
    List {
        /// The domain, as the policy names it.
        domain: String,
    },
    /// Make addresses valid until they are forgotten, whatever the primary says.
    Add {
        /// The domain, as the policy names it.
        domain: String,
        /// Addresses, or local parts.
        #[arg(value_name = "ADDRESS", required = true)]
        addresses: Vec<String>,
    },
    /// Forget what is known, so that the primary is asked again.
    Forget {
        /// The domain, as the policy names it.
        domain: String,
        /// Addresses, or local parts.
        #[arg(value_name = "ADDRESS", required_unless_present = "all")]
        addresses: Vec<String>,
        /// Everybody.
        #[arg(long, conflicts_with = "addresses")]
        all: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// The policy in force, as it was written.
    Show,
    /// Put a policy in force on every node at once.
    Apply {
        /// The policy file; the files that it names are looked for from its folder on.
        file: PathBuf,
    },
    /// What a policy would change, line by line.
    Diff {
        /// The policy file.
        file: PathBuf,
    },
}
