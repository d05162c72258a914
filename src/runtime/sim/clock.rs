//! Virtual time: the world's, and of each node a monotonic clock and a wall clock, which are the world's until
//! somebody makes them differ.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

mod monotonic;

use super::identity::{self, NodeId};
pub use super::time::world_now;
use super::trace::{self, Kind};
use super::{buggify, effects};
use crate::runtime::{Elapsed, Instant};
use crate::types::Timestamp;

use monotonic::Wait;
pub use monotonic::{set_monotonic_drift, set_stands_still, set_timer_grid};

/// The wall clock at the start of every run: 2026-01-01T00:00:00Z.
const WALL_START_MS: i64 = 1_767_225_600_000;

/// How a node's wall clock differs from the world's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WallClockFault {
    /// Added to the time, in milliseconds.
    pub skew_ms: i64,
    /// Parts per million by which the clock runs fast (or slow, below 0).
    pub drift_ppm: i64,
}

/// Reads of a wall clock in a row count as one.
const ANOTHER_READ: Duration = Duration::from_millis(300);

struct Reads {
    before: Option<Instant>,
    last: Instant,
}

thread_local! {
    static FAULTS: RefCell<BTreeMap<NodeId, WallClockFault>> = const { RefCell::new(BTreeMap::new()) };
    static READ: RefCell<BTreeMap<NodeId, Reads>> = const { RefCell::new(BTreeMap::new()) };
}

/// The running node's clock that never steps back, and goes on while its machine is suspended; starts at 0 in every run.
pub fn now() -> Instant {
    monotonic::now_of(identity::current().node)
}

/// The running node's wall clock, in milliseconds since 1970.
pub fn wall_now() -> Timestamp {
    let elapsed_ms = world_now().as_millis() as i64;
    let node = identity::current().node;
    note_read(node);
    let fault = wall_clock_fault(node);
    let off_ms = elapsed_ms * fault.drift_ppm / 1_000_000 + fault.skew_ms;
    if u128::from(off_ms.unsigned_abs()) > effects::NOTICEABLE.as_millis() {
        effects::struck(node, "wrong-clock");
    }
    Timestamp(WALL_START_MS + elapsed_ms + off_ms)
}

fn note_read(node: NodeId) {
    let now = world_now();
    READ.with_borrow_mut(|read| {
        let Reads { before, last } = read.entry(node).or_insert(Reads { before: None, last: now });
        if now.saturating_since(*last) >= ANOTHER_READ {
            (*before, *last) = (Some(*last), now);
        }
    });
}

/// When a process of `node` asked for its wall clock, not the last time but once before that: who goes on asking has twice.
pub fn wall_read_before(node: NodeId) -> Option<Instant> {
    READ.with_borrow(|read| read.get(&node).and_then(|reads| reads.before))
}

/// How far off `node`'s wall clock is.
pub fn wall_clock_fault(node: NodeId) -> WallClockFault {
    FAULTS.with_borrow(|faults| faults.get(&node).copied()).unwrap_or_default()
}

/// Sets how far off `node`'s wall clock is.
pub fn set_wall_clock_fault(node: NodeId, fault: WallClockFault) {
    FAULTS.with_borrow_mut(|faults| faults.insert(node, fault));
}

/// Waits `duration` (at least a millisecond, as tokio's timer does).
pub async fn sleep(duration: Duration) {
    sleep_until(now() + duration).await;
}

/// Waits until `deadline`; at least a millisecond, but that what has passed is now and then over at once, as tokio's timer
/// has it where its wheel has turned that far.
pub async fn sleep_until(deadline: Instant) {
    let node = identity::current().node;
    if deadline <= now() && buggify::fires("clock.past-is-over-at-once") {
        trace::event(Kind::Timer, deadline.as_nanos());
        return;
    }
    let wait = Wait::of(node, deadline.saturating_since(now()));
    loop {
        madsim::time::sleep(monotonic::wait_of(node, wait.until)).await;
        if monotonic::timers_of(node) >= wait.until {
            break;
        }
    }
    wait.note_effects(node);
    trace::event(Kind::Timer, deadline.as_nanos());
}

/// Runs `future` for at most `duration`; it is dropped when the time is up.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    let sleep = sleep(duration);
    tokio::select! {
        biased;
        output = future => Ok(output),
        () = sleep => Err(Elapsed),
    }
}

/// One timer that is moved rather than made anew. madsim cannot cancel a timer, so moving the deadline later
/// leaves the armed one in place: it wakes once, sees the new deadline, and arms again.
pub struct DeadlineTimer {
    armed: Option<Pin<Box<madsim::time::Sleep>>>,
    waits: Option<Wait>,
    armed_at: Instant,
    deadline: Option<Instant>,
}

impl DeadlineTimer {
    /// A timer that is not armed.
    pub fn new() -> DeadlineTimer {
        DeadlineTimer { armed: None, waits: None, armed_at: Instant::FAR_FUTURE, deadline: None }
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
                self.armed = None;
                if let Some(wait) = self.waits.take() {
                    wait.note_effects(identity::current().node);
                }
                trace::event(Kind::Timer, deadline.as_nanos());
                return Poll::Ready(());
            }
            if self.armed.is_none() || self.armed_at > deadline {
                self.armed_at = deadline;
                let node = identity::current().node;
                let wait = Wait::of(node, deadline - now);
                self.armed = Some(Box::pin(madsim::time::sleep(monotonic::wait_of(node, wait.until))));
                self.waits = Some(wait);
            }
            let armed = self.armed.as_mut().expect("armed just above");
            match armed.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
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

pub(super) fn begin() {
    FAULTS.with_borrow_mut(BTreeMap::clear);
    READ.with_borrow_mut(BTreeMap::clear);
    monotonic::begin();
}
