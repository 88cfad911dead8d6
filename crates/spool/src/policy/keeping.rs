//! How long mail is kept: what waits, and what has left.

use core::time::Duration;

use toml::Spanned;

use super::{
    errors::{Fault, Faults},
    values::duration,
};
use crate::history::DEPARTED_AGE_MAX;

/// Mail that is to be given up at once need not be taken.
const AGE_MIN: Duration = Duration::from_secs(1);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// For how long mail, and what is known of it, is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// A message that is older is given up. Time in which its primary was down does not count.
    pub max_age: Duration,
    /// The same with the time in which its primary was down.
    pub max_age_total: Duration,
    /// Bodies of delivered messages are kept for so long, as far as there is room, to be delivered again.
    pub retain_delivered: Duration,
    /// Messages that were refused for good are kept for so long, for the postmaster to look at.
    pub retain_rejected: Duration,
    /// What has left is remembered for so long.
    pub history: Duration,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            max_age: 30 * DAY,
            max_age_total: 60 * DAY,
            retain_delivered: 2 * DAY,
            retain_rejected: 60 * DAY,
            history: 30 * DAY,
        }
    }
}

impl Keeping {
    /// Where there is no policy.
    pub(crate) const NOTHING: Self = Self {
        max_age: Duration::MAX,
        max_age_total: Duration::MAX,
        retain_delivered: Duration::ZERO,
        retain_rejected: Duration::MAX,
        history: Duration::ZERO,
    };

    /// For how long the id of a message that has left is known, and what there is to tell about it: as long
    /// as its body is kept, at least.
    #[must_use]
    pub fn remembered(&self) -> Duration {
        self.history
            .max(self.retain_delivered)
            .max(DEPARTED_AGE_MAX)
    }
}

/// The keys of a policy file that say so; what is left out has its default.
pub(super) struct Written<'t> {
    pub(super) max_age: Option<&'t Spanned<String>>,
    pub(super) max_age_total: Option<&'t Spanned<String>>,
    pub(super) retain_delivered: Option<&'t Spanned<String>>,
    pub(super) retain_rejected: Option<&'t Spanned<String>>,
    pub(super) history: Option<&'t Spanned<String>>,
}

impl Written<'_> {
    pub(super) fn keeping(&self, faults: &mut Faults<'_>) -> Keeping {
        let default = Keeping::default();
        let mut read =
            |key, text, default| faults.note(span(key, text, default)).unwrap_or(default);
        let keeping = Keeping {
            max_age: read("max_age", self.max_age, default.max_age),
            max_age_total: read("max_age_total", self.max_age_total, default.max_age_total),
            retain_delivered: read(
                "retain_delivered",
                self.retain_delivered,
                default.retain_delivered,
            ),
            retain_rejected: read(
                "retain_rejected",
                self.retain_rejected,
                default.retain_rejected,
            ),
            history: read("history", self.history, default.history),
        };
        check_not_at_once("max_age", self.max_age, keeping.max_age, "30d", faults);
        let (text, span) = (self.retain_rejected, keeping.retain_rejected);
        check_not_at_once("retain_rejected", text, span, "60d", faults);
        self.check_total(&keeping, faults);
        keeping
    }

    fn check_total(&self, keeping: &Keeping, faults: &mut Faults<'_>) {
        if keeping.max_age_total >= keeping.max_age {
            return;
        }
        if let Some(text) = self.max_age_total {
            let message = format!(
                "max_age_total = \"{}\" is shorter than max_age; make it at least as long",
                text.get_ref().escape_debug()
            );
            faults.add(&Fault::new(text.span(), message));
        } else if let Some(text) = self.max_age {
            let message = format!(
                "max_age = \"{}\" is longer than max_age_total, which is \"60d\" where it is left out; write that, too",
                text.get_ref().escape_debug()
            );
            faults.add(&Fault::new(text.span(), message));
        }
    }
}

fn check_not_at_once(
    key: &str,
    text: Option<&Spanned<String>>,
    span: Duration,
    usual: &str,
    faults: &mut Faults<'_>,
) {
    if let Some(text) = text
        && span < AGE_MIN
    {
        let message = format!(
            "{key} = \"{}\" is too short; at least \"1s\", usually \"{usual}\"",
            text.get_ref().escape_debug()
        );
        faults.add(&Fault::new(text.span(), message));
    }
}

fn span(key: &str, text: Option<&Spanned<String>>, default: Duration) -> Result<Duration, Fault> {
    text.map_or(Ok(default), |text| duration(key, text))
}
