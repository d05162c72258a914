//! Tells whoever waits that a failed broker has left its cluster, or has tried for long enough.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

#[derive(Default)]
pub(super) struct Departure {
    is_complete: AtomicBool,
    completed: Notify,
}

impl Departure {
    pub fn complete(&self) {
        self.is_complete.store(true, Ordering::Release);
        self.completed.notify_waiters();
    }

    pub async fn completed(&self) {
        loop {
            let completed = self.completed.notified();
            tokio::pin!(completed);
            // Listening begins before the look, so that a completion in between is not missed.
            completed.as_mut().enable();
            if self.is_complete.load(Ordering::Acquire) {
                return;
            }
            completed.await;
        }
    }
}
