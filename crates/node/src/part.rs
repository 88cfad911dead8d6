//! A part of the node: tasks that start and end together, each with an owner that waits for it.

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::error;

/// Tasks that end together, each with its name.
#[derive(Debug, Default)]
pub(crate) struct Part {
    stop: CancellationToken,
    tasks: JoinSet<&'static str>,
}

impl Part {
    /// The token is cancelled when the task is to end.
    pub(crate) fn spawn<F>(&mut self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let task = task(self.stop.clone());
        self.tasks.spawn(async move {
            task.await;
            name
        });
    }

    /// Returns when a task has ended without being told to: why the node can not go on.
    pub(crate) async fn broken(&mut self) -> String {
        match self.tasks.join_next().await {
            Some(Ok(name)) => format!("{name} has ended; see the lines above"),
            Some(Err(error)) => failure(&error),
            None => std::future::pending().await,
        }
    }

    /// Ends all tasks and waits for them.
    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                error!("{}", failure(&error));
            }
        }
    }

    /// Breaks off what has not ended.
    pub(crate) async fn abort(&mut self) {
        self.tasks.shutdown().await;
    }
}

fn failure(error: &JoinError) -> String {
    format!("a part of the node failed: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_ends_when_it_is_told_to() {
        let mut part = Part::default();
        part.spawn("one", |stop| stop.cancelled_owned());
        part.spawn("two", |stop| stop.cancelled_owned());
        part.stop().await;
        assert!(part.tasks.is_empty());
    }

    #[tokio::test]
    async fn a_task_that_ends_by_itself_is_named() {
        let mut part = Part::default();
        part.spawn("one", |stop| stop.cancelled_owned());
        part.spawn("two", |_| async {});
        assert!(part.broken().await.starts_with("two has ended"));
    }
}
