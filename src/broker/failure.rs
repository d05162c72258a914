//! The one thing a broker does not survive: its log directory failed.

use tokio::sync::Notify;

use crate::facts::{self, Fact};
use crate::runtime::lock::Mutex;
use crate::types::BrokerId;

/// Trips once, with the reason; everyone who waits hears of it.
pub(super) struct Failure {
    broker: BrokerId,
    reason: Mutex<Option<String>>,
    tripped: Notify,
}

impl Failure {
    pub fn new(broker: BrokerId) -> Failure {
        Failure { broker, reason: Mutex::new(None), tripped: Notify::new() }
    }

    /// The log directory has failed. The first reason stays.
    pub fn trip(&self, reason: impl Into<String>) {
        let mut stated = self.reason.lock().expect("failure reason");
        if stated.is_some() {
            return;
        }
        let reason = reason.into();
        facts::record(|| Fact::LogDirFailed { broker: self.broker, reason: reason.clone() });
        tracing::error!(broker = %self.broker, %reason, "log_directory_failed");
        *stated = Some(reason);
        drop(stated);
        self.tripped.notify_waiters();
    }

    pub fn reason(&self) -> Option<String> {
        self.reason.lock().expect("failure reason").clone()
    }

    /// Waits until it has tripped.
    pub async fn tripped(&self) -> String {
        loop {
            let notified = self.tripped.notified();
            tokio::pin!(notified);
            // Listening begins before the look, so that a trip in between is not missed.
            notified.as_mut().enable();
            if let Some(reason) = self.reason() {
                return reason;
            }
            notified.await;
        }
    }
}
