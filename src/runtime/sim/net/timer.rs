//! Waking at a time: tasks that wait on a flow, and the network's own agenda of rare events.
//!
//! madsim's timers cannot be cancelled and its `sleep` is a millisecond long at least; here a timer is armed
//! for the exact instant, directly with the waker of whoever waits, and one at a time.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use madsim::runtime::Handle;
use madsim::time::TimeHandle;

use super::conns::ConnKey;
use super::kernel::with_net;
use crate::runtime::Instant;
use crate::runtime::sim::identity::Identity;
use crate::runtime::sim::world::Death;

/// A task that waits for something that may happen at a known time.
pub(super) struct Waiting {
    waker: Option<Waker>,
    waiting: bool,
    /// When the timer that wakes `waker` fires; in the past if none is armed.
    armed: Instant,
}

impl Default for Waiting {
    fn default() -> Waiting {
        Waiting { waker: None, waiting: false, armed: Instant::START }
    }
}

impl Waiting {
    /// The task of `cx` waits; `at` is when it will want to look again, if that is known.
    pub(super) fn wait(&mut self, cx: &Context<'_>, at: Option<Instant>, now: Instant, time: &TimeHandle) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            self.armed = Instant::START;
        }
        self.waiting = true;
        if let Some(at) = at {
            self.wake_at(at, now, time);
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waiting
    }

    pub(super) fn stop_waiting(&mut self) {
        self.waiting = false;
    }

    /// Wakes the task, if it waits, at `at` or before.
    pub(super) fn wake_at(&mut self, at: Instant, now: Instant, time: &TimeHandle) {
        let armed_in_time = self.armed > now && self.armed <= at;
        if !self.waiting || armed_in_time {
            return;
        }
        let waker = self.waker.as_ref().expect("a waiting task left its waker");
        if at <= now {
            waker.wake_by_ref();
        } else {
            self.armed = at;
            arm(time, at, now, waker);
        }
    }

    pub(super) fn wake(&mut self) {
        if std::mem::take(&mut self.waiting)
            && let Some(waker) = &self.waker
        {
            waker.wake_by_ref();
        }
    }
}

/// Has `waker` woken at `at`, which is in the future.
fn arm(time: &TimeHandle, at: Instant, now: Instant, waker: &Waker) {
    let mut sleep = pin!(time.sleep(std::time::Duration::ZERO));
    sleep.as_mut().reset(time.now_instant() + at.saturating_since(now));
    // The first poll arms the timer; dropping the future leaves it armed.
    let polled = sleep.poll(&mut Context::from_waker(waker));
    assert!(polled.is_pending(), "an instant in the future");
}

/// Waits until `at`, to the nanosecond (`clock::sleep` waits a millisecond at least).
pub(super) async fn sleep_exactly_until(at: Instant) {
    let mut sleep = pin!(madsim::time::sleep(std::time::Duration::ZERO));
    let now = super::super::clock::world_now();
    let deadline = madsim::time::TimeHandle::current().now_instant() + at.saturating_since(now);
    sleep.as_mut().reset(deadline);
    sleep.await;
}

/// What the network does by itself, apart from carrying bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The receiving kernel looks at what has arrived on this flow.
    Inspect(ConnKey, usize),
    /// The sending kernel sends again what was not acknowledged.
    Retransmit(ConnKey, usize),
    /// The sending kernel gives up, if nothing has been acknowledged yet.
    GiveUp(ConnKey, usize),
    /// The process gets to accept the connection, whose handshake ended before.
    Opened(ConnKey),
    /// What a dead life has left of its connections is closed: it had its moment.
    Bury(Identity, Death),
}

/// The network's rare events, performed by one task on a madsim node of its own.
#[derive(Default)]
pub(super) struct Agenda {
    events: BTreeMap<(Instant, u64), Event>,
    scheduled: u64,
    driver: Waiting,
    driver_node: Option<madsim::task::NodeId>,
}

impl Agenda {
    pub(super) fn schedule(&mut self, at: Instant, event: Event, now: Instant, time: &TimeHandle) {
        self.scheduled += 1;
        self.events.insert((at, self.scheduled), event);
        if self.driver_node.is_none() {
            let node = Handle::current().create_node().name("network").build();
            self.driver_node = Some(node.id());
            node.spawn(Driver);
        }
        self.driver.wake_at(at, now, time);
    }

    /// Ends the task, so that madsim leaks nothing.
    pub(super) fn stop(&mut self) {
        self.events.clear();
        if let Some(node) = self.driver_node.take() {
            Handle::current().kill(node);
        }
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Event> {
        let first = self.events.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    pub(super) fn wait(&mut self, cx: &Context<'_>, now: Instant, time: &TimeHandle) {
        let next = self.events.first_key_value().map(|((at, _), _)| *at);
        self.driver.wait(cx, next, now, time);
    }
}

struct Driver;

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        with_net(|net| net.perform_due(cx));
        Poll::Pending
    }
}
