//! What the broker refuses just now for want of room: disk space, or file descriptors. Nothing is damaged by it;
//! whoever was refused tries again.
//!
//! Said once in the log when it begins and when it is over; in `/health` for as long as it lasts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::runtime::lock::Mutex;
use crate::runtime::{Instant, clock};

/// A refusal counts for so long: whether there is room again shows only when somebody asks for some.
const REMEMBERED: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(super) struct Shortage {
    /// Looked at by every append; the rest only when this is set.
    is_short: AtomicBool,
    last: Mutex<Option<Refused>>,
}

struct Refused {
    at: Instant,
    reason: String,
}

impl Shortage {
    /// Something was refused.
    pub fn note(&self, reason: String) {
        if !self.is_short.swap(true, Ordering::AcqRel) {
            tracing::error!(reason, "storage_refused");
        }
        *self.last.lock().expect("shortage") = Some(Refused { at: clock::now(), reason });
    }

    /// Something was stored.
    pub fn is_over(&self) {
        if self.is_short.load(Ordering::Relaxed) && self.is_short.swap(false, Ordering::AcqRel) {
            *self.last.lock().expect("shortage") = None;
            tracing::info!("storage_accepts_again");
        }
    }

    /// Why something was refused a short while ago.
    pub fn reason(&self) -> Option<String> {
        let last = self.last.lock().expect("shortage");
        let recent = last.as_ref().filter(|refused| clock::now().saturating_since(refused.at) < REMEMBERED);
        recent.map(|refused| refused.reason.clone())
    }
}
