//! `layover queue`: which messages, and what to do with them.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Messages in order of arrival.
    List(List),
    /// How many messages stand in each domain's queue, by age.
    Summary,
    /// Envelope, attempts and header of one message.
    Show {
        /// The message's id, as in the logs and in the reply to its sender.
        id: String,
    },
    /// The message itself (.eml) on standard output, as it would leave.
    Export {
        /// The message's id.
        id: String,
    },
    /// Keep messages from being delivered until they are released.
    Hold(Selection),
    /// Let messages that are held be delivered again, each in its old place.
    Release(Selection),
    /// Drop messages for good. Of more than one it is asked first.
    Delete {
        #[command(flatten)]
        selection: Selection,
        /// Ask nothing.
        #[arg(long)]
        yes: bool,
    },
    /// Try messages now, also for recipients whom the primary has refused.
    Retry(Selection),
    /// Give messages up and tell their senders. Of more than one it is asked first.
    Bounce {
        #[command(flatten)]
        selection: Selection,
        /// Ask nothing.
        #[arg(long)]
        yes: bool,
    },
}

/// What to list.
#[derive(Debug, Default, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// At most this many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
}

/// Which messages to change: those that are named, or those that all of a filter applies to.
#[derive(Debug, Default, Args)]
pub(crate) struct Selection {
    /// The messages' ids.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// Every message.
    #[arg(long)]
    pub(crate) all: bool,
    /// Why; the audit log keeps it.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) reason: String,
}

/// Which messages are meant.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct Filter {
    /// With recipients in this domain of the policy, or one that a wildcard of it covers. The whole message
    /// is meant; `delete` and `bounce` leave it alone while it has other recipients.
    #[arg(long, value_parser = name)]
    pub(crate) domain: Option<String>,
    /// From this sender; "@example.com" for a whole domain, "<>" for the null sender.
    #[arg(long, value_parser = sender)]
    pub(crate) sender: Option<String>,
    /// To this recipient; "@example.com" for a whole domain. Of other recipients see --domain.
    #[arg(long, value_parser = name)]
    pub(crate) recipient: Option<String>,
    /// In this state.
    #[arg(long)]
    pub(crate) state: Option<State>,
    /// Received at least this long ago: 90s, 15m, 1h, 2d.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) older: Option<Duration>,
}

/// What a filter names. A script's variable that was never set would select what nobody means.
fn name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it is empty; name one, or leave the option out".to_owned());
    }
    Ok(text.to_owned())
}

fn sender(text: &str) -> Result<String, String> {
    name(text).map_err(|why| format!("{why}; the null sender is written \"<>\""))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// May be tried now.
    Waiting,
    /// To be tried later.
    Deferred,
    /// Not before an operator releases it.
    Held,
    /// Only recipients are left that the primary refused for good.
    Rejected,
}

impl State {
    /// The admin service's word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Deferred => "deferred",
            Self::Held => "held",
            Self::Rejected => "rejected",
        }
    }
}
