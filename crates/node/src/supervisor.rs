//! What the service manager is told, where there is one (`Type=notify` of systemd).

use sd_notify::NotifyState;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Tells it what this process does now.
pub(crate) fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "telling the service manager failed");
    }
}

/// Says that the node lives, twice in the time after which the service manager would kill it, until
/// stopped. It is a task like those that serve mail: where none of these gets a thread any more, neither
/// does this one. That there is no quorum is no reason to be killed.
pub(crate) async fn feed_watchdog(stop: CancellationToken) {
    let Some(within) = sd_notify::watchdog_enabled().filter(|within| !within.is_zero()) else {
        stop.cancelled().await;
        return;
    };
    let mut ticks = interval(within / 2);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => notify(NotifyState::Watchdog),
        }
    }
}
