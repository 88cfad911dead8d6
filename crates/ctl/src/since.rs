//! Moments of the past, as they are typed.

use std::{
    str::FromStr,
    time::{Duration, UNIX_EPOCH},
};

use jiff::Timestamp;

/// A moment of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// So long ago.
    Ago(Duration),
    /// Milliseconds since 1970-01-01 UTC.
    At(u64),
}

impl Since {
    /// In milliseconds since 1970-01-01 UTC.
    pub(crate) fn unix_ms(self) -> u64 {
        match self {
            Self::Ago(age) => {
                let since = UNIX_EPOCH.elapsed().unwrap_or_default();
                millis(since.saturating_sub(age))
            }
            Self::At(moment) => moment,
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(age) = humantime::parse_duration(text) {
            return Ok(Self::Ago(age));
        }
        let of_day = || format!("{text}T00:00:00Z").parse::<Timestamp>();
        let moment = text.parse::<Timestamp>().or_else(|_| of_day()).ok();
        let moment = moment.and_then(|moment| u64::try_from(moment.as_millisecond()).ok());
        moment.map(Self::At).ok_or_else(|| {
            "no moment; write for example 2h, 2026-01-31 or 2026-01-31T12:00:00Z".to_owned()
        })
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_span_a_day_or_a_moment() {
        let ago = Since::Ago(Duration::from_secs(7200));
        assert_eq!("2h".parse(), Ok(ago));
        assert_eq!("1970-01-02".parse(), Ok(Since::At(86_400_000)));
        assert_eq!("1970-01-01T00:00:01Z".parse(), Ok(Since::At(1_000)));
        assert_eq!("1970-01-01T01:00:01+01:00".parse(), Ok(Since::At(1_000)));
        for wrong in ["", "soon", "2026-13-01", "1969-01-01"] {
            assert!(wrong.parse::<Since>().is_err(), "{wrong}");
        }
        assert!(ago.unix_ms() > 0);
    }
}
