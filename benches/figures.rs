//! What a measurement comes to.

use std::{fmt, time::Duration};

/// How fast something went, and what it cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Messages a second.
    pub(crate) per_second: f64,
    /// Milliseconds of CPU for each, over all processes of the system.
    pub(crate) cpu_ms: f64,
    /// Octets that each node has had written to its disk for each of the messages' own.
    pub(crate) written: Option<f64>,
    /// As a part of what the machine allows.
    pub(crate) of_bound: Option<f64>,
}

impl Figures {
    /// The same beside a rate that the machine allows.
    pub(crate) fn beside(self, bound: f64) -> Self {
        Self {
            of_bound: Some(self.per_second / bound),
            ..self
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}/s, {:.2} ms CPU", self.per_second, self.cpu_ms)?;
        if let Some(written) = self.written {
            write!(f, ", {written:.1} written for one")?;
        }
        if let Some(part) = self.of_bound {
            write!(f, ", {:.0} % of the bound", part * 100.0)?;
        }
        Ok(())
    }
}

/// Times from the final dot to its 250.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    /// Half of all are below.
    pub(crate) p50: Duration,
    /// All but one in a hundred are below.
    pub(crate) p99: Duration,
    /// All but one in a thousand are below.
    pub(crate) p999: Duration,
    /// Messages a second meanwhile.
    pub(crate) per_second: f64,
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let (p50, p99, p999) = (ms(self.p50), ms(self.p99), ms(self.p999));
        let rate = self.per_second;
        write!(
            f,
            "p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms at {rate:.0} msg/s"
        )
    }
}
