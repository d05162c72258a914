//! The task that keeps the leaders of what is assigned known.

use std::sync::Arc;

use super::Shared;
use crate::runtime::clock::DeadlineTimer;

impl Shared {
    /// Keeps the leaders of what is assigned known.
    pub(in crate::consumer) async fn keep_refreshed(self: Arc<Shared>) {
        let mut timer = DeadlineTimer::new();
        loop {
            let is_idle = self.state().positions.names().next().is_none();
            if !is_idle && self.cluster.needs_refresh() {
                if let Err(error) = self.cluster.refresh().await {
                    tracing::warn!(consumer = %self.config.client_id, %error, "metadata_refresh_failed");
                }
                self.dispatch();
                continue;
            }
            timer.set((!is_idle).then(|| self.cluster.refresh_due()));
            tokio::select! {
                biased;
                () = self.refresh_wanted.notified() => {}
                () = timer.expired() => {}
            }
        }
    }
}
