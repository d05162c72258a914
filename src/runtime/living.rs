//! How many tasks of a group live: what both halves' groups wait by.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

#[derive(Clone, Default)]
pub(super) struct Living(Arc<Count>);

#[derive(Default)]
struct Count {
    tasks: AtomicUsize,
    last_gone: Notify,
}

/// One living task; dropped after the task's future.
struct Life(Arc<Count>);

impl Living {
    /// Counts a task, from here on until its future is dropped.
    pub fn count<F: Future<Output = ()>>(&self, future: F) -> impl Future<Output = ()> + use<F> {
        self.0.tasks.fetch_add(1, Ordering::SeqCst);
        counted(future, Life(Arc::clone(&self.0)))
    }

    /// Waits until none lives. Safe to drop.
    pub async fn all_gone(&self) {
        loop {
            let gone = self.0.last_gone.notified();
            tokio::pin!(gone);
            // Listening begins before the look, so that an end in between is not missed.
            gone.as_mut().enable();
            if self.0.tasks.load(Ordering::SeqCst) == 0 {
                return;
            }
            gone.await;
        }
    }
}

/// Whether it was polled or not, the future is dropped before the life ends: nothing of the task is left then.
async fn counted<F: Future<Output = ()>>(future: F, _life: Life) {
    future.await;
}

impl Drop for Life {
    fn drop(&mut self) {
        if self.0.tasks.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.last_gone.notify_waiters();
        }
    }
}
