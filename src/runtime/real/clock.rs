//! The operating system's clocks.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::runtime::{Elapsed, Instant};
use crate::types::Timestamp;

/// Nanoseconds on a clock that never steps back and goes on while the machine is suspended. A lease counted on
/// CLOCK_MONOTONIC, which stands still meanwhile, would outlive its session by the length of the suspension.
#[cfg(target_os = "linux")]
fn boot_nanos() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Elsewhere: the monotonic clock, whatever it does while the machine is suspended.
#[cfg(not(target_os = "linux"))]
fn boot_nanos() -> u64 {
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    #[allow(clippy::disallowed_methods)] // The one place that reads the monotonic clock.
    let start = *START.get_or_init(std::time::Instant::now);
    start.elapsed().as_nanos() as u64
}

/// The time since this process first asked, suspensions of the machine included (CLOCK_BOOTTIME).
pub fn now() -> Instant {
    static START: OnceLock<u64> = OnceLock::new();
    let now = boot_nanos();
    // Another thread may have asked first, and later.
    Instant::from_nanos(now.saturating_sub(*START.get_or_init(|| now)))
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
///
/// tokio's timers stand still while the machine is suspended. One that was armed before wakes late by as much; whoever
/// looks at a deadline before that finds it passed.
///
/// Whose task waits drives it: made on a data thread and handed to a task of the control lane it fires although no
/// data thread comes to its timers. (A session's pings stopped so, for as long as all data threads worked.)
pub struct DeadlineTimer {
    /// Made at the first wait: tokio binds it to the runtime that it is made on.
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    /// What `sleep` waits for.
    armed: Option<Instant>,
    deadline: Option<Instant>,
}

impl DeadlineTimer {
    /// A timer that is not armed.
    pub fn new() -> DeadlineTimer {
        DeadlineTimer { sleep: None, armed: None, deadline: None }
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
        loop {
            let Some(deadline) = self.deadline else { return Poll::Pending };
            let now = now();
            if now >= deadline {
                return Poll::Ready(());
            }
            #[allow(clippy::disallowed_methods)] // The seam's own timer.
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::ZERO)));
            if self.armed != Some(deadline) {
                #[allow(clippy::disallowed_methods)] // The seam's own timer.
                let at = tokio::time::Instant::now() + (deadline - now);
                sleep.as_mut().reset(at);
                self.armed = Some(deadline);
            }
            match sleep.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                // The two clocks agree but for their last digits.
                Poll::Ready(()) => self.armed = None,
            }
        }
    }
}

impl Default for DeadlineTimer {
    fn default() -> DeadlineTimer {
        DeadlineTimer::new()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::runtime::real::task::{Lane, TaskGroup};

    #[test]
    fn a_timer_made_on_a_data_thread_fires_on_the_control_lane_while_that_thread_works() {
        let data = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        data.block_on(async {
            let (fired, has_fired) = mpsc::channel();
            let mut timer = DeadlineTimer::new();
            timer.set(Some(now() + Duration::from_millis(20)));
            let control = TaskGroup::new(Lane::Control);
            control.spawn("pings", async move {
                timer.expired().await;
                fired.send(()).expect("the test waits");
            });
            // Works on and on: nobody comes to this runtime's timers.
            assert_eq!(has_fired.recv_timeout(Duration::from_secs(10)), Ok(()));
        });
    }
}
