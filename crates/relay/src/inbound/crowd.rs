//! What a session knows of the crowd: whether places are short.

use core::{future::Future, pin::pin};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// Whether places are short, as one session sees it.
#[derive(Debug)]
pub(super) struct Crowd(watch::Receiver<bool>);

impl Crowd {
    pub(super) const fn new(is_short: watch::Receiver<bool>) -> Self {
        Self(is_short)
    }

    /// Whether places are short now.
    pub(super) fn is_short(&self) -> bool {
        *self.0.borrow()
    }

    /// Does something until a deadline, which depends on whether places are short and moves when
    /// that changes. `None` when it has passed.
    pub(super) async fn bound<T>(
        &mut self,
        deadline: impl Fn(bool) -> Instant,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        loop {
            let until = deadline(*self.0.borrow_and_update());
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                Ok(()) = self.0.changed() => {}
                () = sleep_until(until) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use core::{future, time::Duration};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_moves_while_it_is_waited_for() {
        let (sender, receiver) = watch::channel(false);
        let mut crowd = Crowd::new(receiver);
        let start = Instant::now();
        let deadline = move |is_short| start + Duration::from_secs(if is_short { 10 } else { 300 });
        let waiting = tokio::spawn(async move {
            let done = crowd.bound(deadline, future::pending::<()>()).await;
            (done, start.elapsed())
        });
        tokio::time::sleep(Duration::from_secs(60)).await;
        sender.send_replace(true);
        assert_eq!(waiting.await.unwrap(), (None, Duration::from_secs(60)));
    }

    #[tokio::test]
    async fn what_is_ready_is_taken_also_after_the_deadline() {
        let (_sender, receiver) = watch::channel(true);
        let mut crowd = Crowd::new(receiver);
        let start = Instant::now();
        assert_eq!(crowd.bound(|_| start, future::ready(5)).await, Some(5));
    }
}
