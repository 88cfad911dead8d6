//! How long mail is kept: what waits, and what has left.

use core::time::Duration;

use toml::Spanned;

use super::{
    errors::{Fault, Faults},
    values::duration,
};
use crate::apply::DEPARTED_AGE_MAX;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// For how long mail, and what is known of it, is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// What has left is remembered for so long.
    pub history: Duration,
}

impl Default for Keeping {
    fn default() -> Self {
        Self { history: 30 * DAY }
    }
}

impl Keeping {
    /// Where there is no policy.
    pub(crate) const NOTHING: Self = Self {
        history: Duration::ZERO,
    };

    /// For how long the id of a message that has left is known, and what there is to tell about it.
    #[must_use]
    pub fn remembered(&self) -> Duration {
        self.history.max(DEPARTED_AGE_MAX)
    }
}

/// The keys of a policy file that say so; what is left out has its default.
pub(super) struct Written<'t> {
    pub(super) history: Option<&'t Spanned<String>>,
}

impl Written<'_> {
    pub(super) fn keeping(&self, faults: &mut Faults<'_>) -> Keeping {
        let default = Keeping::default();
        let mut read =
            |key, text, default| faults.note(span(key, text, default)).unwrap_or(default);
        Keeping {
            history: read("history", self.history, default.history),
        }
    }
}

fn span(key: &str, text: Option<&Spanned<String>>, default: Duration) -> Result<Duration, Fault> {
    text.map_or(Ok(default), |text| duration(key, text))
}
