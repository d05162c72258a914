//! The operating system's clocks.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::runtime::{Elapsed, Instant};
use crate::types::Timestamp;

fn start() -> std::time::Instant {
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    #[allow(clippy::disallowed_methods)] // The one place that reads the monotonic clock.
    *START.get_or_init(std::time::Instant::now)
}

/// The monotonic clock.
pub fn now() -> Instant {
    let start = start();
    Instant::from_nanos(start.elapsed().as_nanos() as u64)
}

/// The wall clock, in milliseconds since 1970.
pub fn wall_now() -> Timestamp {
    #[allow(clippy::disallowed_methods)] // The one place that reads the wall clock.
    let now = std::time::SystemTime::now();
    let since_1970 = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(since_1970.as_millis() as i64)
}

/// Waits `duration`, rounded up to the timer's millisecond.
pub async fn sleep(duration: Duration) {
    sleep_until(now() + duration).await;
}

/// Waits until `deadline`; at once if it is past.
pub async fn sleep_until(deadline: Instant) {
    #[allow(clippy::disallowed_methods)] // The seam's own timer.
    tokio::time::sleep(deadline.saturating_since(now())).await;
}

/// Runs `future` for at most `duration`; it is dropped when the time is up.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    #[allow(clippy::disallowed_methods)] // The seam's own timer.
    tokio::time::timeout(duration, future).await.map_err(|_| Elapsed)
}

/// One timer that is moved rather than made anew: the deadline of a connection, a session, a batch.
pub struct DeadlineTimer {
    sleep: Pin<Box<tokio::time::Sleep>>,
    deadline: Option<Instant>,
}

impl DeadlineTimer {
    /// A timer that is not armed.
    #[allow(clippy::disallowed_methods)] // The seam's own timer.
    pub fn new() -> DeadlineTimer {
        DeadlineTimer { sleep: Box::pin(tokio::time::sleep(Duration::ZERO)), deadline: None }
    }

    /// Arms the timer; `None` disarms it.
    pub fn set(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Waits until the deadline in force has passed; for ever while disarmed. Safe to drop and call again.
    pub async fn expired(&mut self) {
        std::future::poll_fn(|cx| self.poll_expired(cx)).await;
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        if now() >= deadline {
            return Poll::Ready(());
        }
        let at = tokio::time::Instant::from_std(start() + Duration::from_nanos(deadline.as_nanos()));
        if self.sleep.deadline() != at {
            self.sleep.as_mut().reset(at);
        }
        self.sleep.as_mut().poll(cx)
    }
}

impl Default for DeadlineTimer {
    fn default() -> DeadlineTimer {
        DeadlineTimer::new()
    }
}
