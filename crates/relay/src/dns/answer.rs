//! What a lookup comes to.

use hickory_resolver::{
    lookup::Lookup,
    net::{DnsError, NetError, NoRecords},
    proto::{
        op::ResponseCode,
        rr::{Name, RData, rdata},
    },
};

/// What the DNS says of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// It has these records, one at least.
    Records(Vec<T>),
    /// The name exists, and has no such record.
    NoData,
    /// There is no such name (NXDOMAIN).
    NoSuchName,
}

impl<T> Answer<T> {
    /// The records; none when there are none, for whatever reason.
    #[must_use]
    pub fn into_records(self) -> Vec<T> {
        match self {
            Self::Records(records) => records,
            Self::NoData | Self::NoSuchName => Vec::new(),
        }
    }

    /// Its name in metrics.
    pub(super) const fn result(&self) -> &'static str {
        match self {
            Self::Records(_) => "records",
            Self::NoData => "no_data",
            Self::NoSuchName => "no_such_name",
        }
    }
}

/// A host that takes a domain's mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mx {
    /// The lowest is tried first.
    pub preference: u16,
    /// Its name in lower case, without the dot at its end. Empty for the root, which says that the domain
    /// takes no mail (RFC 7505).
    pub exchange: String,
}

impl Mx {
    pub(super) fn new(mx: &rdata::MX) -> Self {
        Self {
            preference: mx.preference,
            exchange: text(&mx.exchange),
        }
    }
}

/// Why it is not known what the DNS says. Each may be otherwise the next time, but for
/// [`LookupError::NotAName`].
#[derive(Clone, Debug, thiserror::Error)]
pub enum LookupError {
    /// The name servers are known not to answer, so nothing was asked.
    #[error("dns does not answer")]
    NotAnswering,
    /// No answer came in time.
    #[error("no answer from dns: {0}")]
    Unanswered(NetError),
    /// The answer was that they can not say (SERVFAIL, REFUSED), or was of no use.
    #[error("dns failed: {0}")]
    Failed(NetError),
    /// Nobody can have such a name.
    #[error("{0:?} can not be a name in the dns")]
    NotAName(String),
}

impl LookupError {
    /// Its name in metrics.
    pub(super) const fn result(&self) -> &'static str {
        match self {
            Self::NotAnswering => "not_asked",
            Self::Unanswered(_) => "unanswered",
            Self::Failed(_) | Self::NotAName(_) => "failed",
        }
    }
}

/// A name that nothing is appended to.
pub(super) fn name(text: &str) -> Result<Name, LookupError> {
    let mut name =
        Name::from_str_relaxed(text).map_err(|_| LookupError::NotAName(text.to_owned()))?;
    name.set_fqdn(true);
    Ok(name)
}

/// A name as the rest of the program writes names.
pub(super) fn text(name: &Name) -> String {
    let text = name.to_lowercase().to_ascii();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

pub(super) fn read<T>(
    found: Result<Lookup, NetError>,
    take: impl Fn(&RData) -> Option<T>,
) -> Result<Answer<T>, LookupError> {
    match found {
        Ok(lookup) => {
            // Aliases that led to the records are among them.
            let records: Vec<T> = lookup
                .answers()
                .iter()
                .filter_map(|record| take(&record.data))
                .collect();
            Ok(if records.is_empty() {
                Answer::NoData
            } else {
                Answer::Records(records)
            })
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(NoRecords {
            response_code: ResponseCode::NoError,
            ..
        }))) => Ok(Answer::NoData),
        Err(error) if error.is_nx_domain() => Ok(Answer::NoSuchName),
        Err(error) if is_none(&error) => Err(LookupError::Unanswered(error)),
        Err(error) => Err(LookupError::Failed(error)),
    }
}

/// Whether this tells that no name server was heard of.
pub(super) const fn is_none(error: &NetError) -> bool {
    matches!(
        error,
        NetError::Timeout | NetError::Io(_) | NetError::NoConnections | NetError::Busy
    )
}
