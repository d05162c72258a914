//! Requests that wait for a partition: produce for its flush, fetch for more to read.
//!
//! A waiting connection registers its [`Waker`] with each partition it waits for, and looks again when it is
//! woken. Waiters stand in order of the offset they wait for, so that an append or a flush costs what it wakes
//! and nothing for the others. Nothing here decides what to answer, and nothing runs per waiting request: no
//! task, no timer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::types::Offset;

/// Whatever a client asks for, it is answered after this time.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(300);

/// How long a client lets its request wait, from the milliseconds that it says.
pub(super) fn wait_of(asked_ms: i32) -> Duration {
    Duration::from_millis(asked_ms.max(0) as u64).min(WAIT_MAX)
}

/// Wakes one task. A wake while it does not wait is kept for its next wait; wakes do not add up.
#[derive(Default)]
pub(super) struct Waker {
    notify: Notify,
}

impl Waker {
    pub fn wake(&self) {
        self.notify.notify_one();
    }

    /// Waits for a wake. One task at a time. Safe to drop.
    pub async fn woken(&self) {
        self.notify.notified().await;
    }
}

/// What a connection waits for at a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitFor {
    /// The flushed end has reached this offset.
    Flushed(Offset),
    /// The readable end has passed this offset.
    ReadableBeyond(Offset),
}

/// One waiter's place: the offset at which it is woken, and its number (two may wait for one offset).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WaiterKey {
    woken_at: Offset,
    number: u64,
}

/// Who waits at one partition; stands under the partition's lock.
#[derive(Default)]
pub(super) struct Waiters {
    for_flush: BTreeMap<WaiterKey, Arc<Waker>>,
    for_readable: BTreeMap<WaiterKey, Arc<Waker>>,
    last_number: u64,
}

impl Waiters {
    /// Registers a waiter; it is forgotten when woken, or by [`Waiters::remove`] with the same wait.
    pub fn add(&mut self, wait: WaitFor, waker: &Arc<Waker>) -> WaiterKey {
        self.last_number += 1;
        let number = self.last_number;
        let (waiters, woken_at) = match wait {
            WaitFor::Flushed(end) => (&mut self.for_flush, end),
            WaitFor::ReadableBeyond(end) => (&mut self.for_readable, end.next()),
        };
        let key = WaiterKey { woken_at, number };
        waiters.insert(key, Arc::clone(waker));
        key
    }

    /// Forgets a waiter, if it was not woken meanwhile.
    pub fn remove(&mut self, wait: WaitFor, key: WaiterKey) {
        match wait {
            WaitFor::Flushed(_) => self.for_flush.remove(&key),
            WaitFor::ReadableBeyond(_) => self.for_readable.remove(&key),
        };
    }

    /// Wakes everyone whose condition has come true, and forgets them.
    pub fn wake(&mut self, flushed_end: Offset, readable_end: Offset) {
        wake_up_to(&mut self.for_flush, flushed_end);
        wake_up_to(&mut self.for_readable, readable_end);
    }

    /// Whether somebody still waits for what has come true.
    pub fn has_due(&self, flushed_end: Offset, readable_end: Offset) -> bool {
        let is_due = |waiters: &BTreeMap<WaiterKey, Arc<Waker>>, end| {
            waiters.first_key_value().is_some_and(|(first, _)| first.woken_at <= end)
        };
        is_due(&self.for_flush, flushed_end) || is_due(&self.for_readable, readable_end)
    }

    /// Wakes everyone: the partition has failed, or is no longer this broker's to lead.
    pub fn wake_all(&mut self) {
        wake_up_to(&mut self.for_flush, Offset(i64::MAX));
        wake_up_to(&mut self.for_readable, Offset(i64::MAX));
    }
}

/// `end` is inclusive.
fn wake_up_to(waiters: &mut BTreeMap<WaiterKey, Arc<Waker>>, end: Offset) {
    while let Some(first) = waiters.first_entry()
        && first.key().woken_at <= end
    {
        first.remove().wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting_for(waits: &[WaitFor]) -> (Waiters, Vec<WaiterKey>) {
        let mut waiters = Waiters::default();
        let keys = waits.iter().map(|wait| waiters.add(*wait, &Arc::default()));
        let keys = keys.collect();
        (waiters, keys)
    }

    fn left(waiters: &Waiters) -> Vec<WaiterKey> {
        waiters.for_flush.keys().chain(waiters.for_readable.keys()).copied().collect()
    }

    #[test]
    fn only_those_whose_condition_came_true_are_woken() {
        let flushed = [WaitFor::Flushed(Offset(6)), WaitFor::Flushed(Offset(5))];
        let readable = [WaitFor::ReadableBeyond(Offset(5)), WaitFor::ReadableBeyond(Offset(4))];
        let (mut waiters, keys) = waiting_for(&[flushed[0], flushed[1], readable[0], readable[1]]);

        assert!(waiters.has_due(Offset(5), Offset(0)) && waiters.has_due(Offset(0), Offset(5)));
        waiters.wake(Offset(5), Offset(5));

        assert_eq!(left(&waiters), [keys[0], keys[2]]);
        assert!(!waiters.has_due(Offset(5), Offset(5)));
    }

    #[test]
    fn a_waiter_that_left_is_forgotten_and_the_others_are_not() {
        let wait = WaitFor::Flushed(Offset(1));
        let (mut waiters, keys) = waiting_for(&[wait, wait]);
        let waker = Arc::<Waker>::default();
        let key = waiters.add(WaitFor::ReadableBeyond(Offset(1)), &waker);

        waiters.remove(WaitFor::ReadableBeyond(Offset(1)), key);
        waiters.remove(wait, keys[0]);

        assert_eq!(left(&waiters), [keys[1]]);
        assert_eq!(Arc::strong_count(&waker), 1);
    }

    #[test]
    fn a_failed_partition_lets_everyone_go() {
        let (mut waiters, _) =
            waiting_for(&[WaitFor::Flushed(Offset(1)), WaitFor::ReadableBeyond(Offset(9))]);

        waiters.wake_all();

        assert_eq!(left(&waiters), []);
    }
}
