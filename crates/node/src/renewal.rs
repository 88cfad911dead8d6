//! Certificates are exchanged while the node runs: when their files change, and on SIGHUP.

use std::{sync::Arc, time::Duration};

use spool::{Clock, Timestamp};
use tls::{TlsError, Watched};
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::{
    certificates::{Certificates, Expiries},
    clock::unix,
};

/// How often the files are looked at. Whoever renews certificates sees within seconds whether it
/// went well; reading a few KiB costs nothing.
const INTERVAL: Duration = Duration::from_secs(2);

/// Watches the files of all certificates.
#[derive(Debug)]
pub(crate) struct Renewal {
    watched: Vec<(&'static str, Watched)>,
    expiries: Arc<Expiries>,
    clock: Clock,
}

impl Renewal {
    /// Notes until when each certificate is valid; changes nothing before it runs.
    pub(crate) fn new(certificates: &Certificates, expiries: Arc<Expiries>, clock: Clock) -> Self {
        let watched = certificates.watched();
        for (usage, one) in &watched {
            expiries.note(usage, one.tls().not_after());
        }
        Self {
            watched,
            expiries,
            clock,
        }
    }

    /// Looks at the files now and then, and at once when an operator asks for it.
    pub(crate) async fn run(self, asked: Arc<Notify>, stop: CancellationToken) {
        let mut renewal = self;
        let mut tick = interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_asked = tokio::select! {
                () = stop.cancelled() => return,
                () = asked.notified() => true,
                _ = tick.tick() => false,
            };
            // Files may lie on a network's disk that does not answer.
            let look = tokio::task::spawn_blocking(move || {
                if is_asked {
                    renewal.reload();
                } else {
                    renewal.look();
                }
                renewal
            });
            renewal = match look.await {
                Ok(renewal) => renewal,
                Err(error) => {
                    error!(%error, "watching the certificates failed");
                    return;
                }
            };
        }
    }

    fn reload(&mut self) {
        if self.watched.is_empty() {
            info!("nothing to reload: no certificate is configured");
        }
        let now = self.clock.now();
        for (usage, watched) in &mut self.watched {
            let result = watched.reload(unix(now));
            report(usage, watched, &result, &self.expiries);
        }
        self.expiries.warn(now);
    }

    fn look(&mut self) {
        let now: Timestamp = self.clock.now();
        for (usage, watched) in &mut self.watched {
            if let Some(result) = watched.look(unix(now)) {
                report(usage, watched, &result, &self.expiries);
            }
        }
        self.expiries.warn(now);
    }
}

fn report(
    usage: &'static str,
    watched: &Watched,
    result: &Result<(), TlsError>,
    expiries: &Expiries,
) {
    match result {
        Ok(()) => {
            expiries.note(usage, watched.tls().not_after());
            info!(usage, "certificate reloaded");
        }
        Err(error) => error!(
            usage, %error,
            "certificate not reloaded; what was loaded before stays in use: mend the file, or put the old one back"
        ),
    }
}
