//! Requests that wait for a partition: produce for its flush, fetch for more to read.
//!
//! A waiting connection leaves its [`Bell`] with each partition it waits for and looks again when it rings.
//! Nothing here decides what to answer, and nothing runs per waiting request: no task, no timer.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::types::Offset;

/// Rings at one connection. A ring while nobody listens is heard by the next who does; rings do not add up.
#[derive(Default)]
pub(super) struct Bell {
    notify: Notify,
}

impl Bell {
    pub fn ring(&self) {
        self.notify.notify_one();
    }

    /// Waits for a ring. One task at a time. Safe to drop.
    pub async fn heard(&self) {
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

/// Who waits at one partition; stands under the partition's lock.
#[derive(Default)]
pub(super) struct Waiting {
    bells: Vec<(WaitFor, Arc<Bell>)>,
}

impl Waiting {
    pub fn add(&mut self, wait: WaitFor, bell: &Arc<Bell>) {
        self.bells.push((wait, Arc::clone(bell)));
    }

    /// Forgets a connection that waits no longer.
    pub fn remove(&mut self, bell: &Arc<Bell>) {
        self.bells.retain(|(_, waiting)| !Arc::ptr_eq(waiting, bell));
    }

    /// Rings for everyone whose condition has come true, and forgets them.
    pub fn wake(&mut self, flushed_end: Offset, readable_end: Offset) {
        self.bells.retain(|(wait, bell)| {
            let is_met = match *wait {
                WaitFor::Flushed(end) => flushed_end >= end,
                WaitFor::ReadableBeyond(end) => readable_end > end,
            };
            if is_met {
                bell.ring();
            }
            !is_met
        });
    }

    /// Rings for everyone: the partition has failed, or is no longer this broker's to lead.
    pub fn wake_all(&mut self) {
        for (_, bell) in self.bells.drain(..) {
            bell.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting_for(waits: &[WaitFor]) -> Waiting {
        let mut waiting = Waiting::default();
        for wait in waits {
            waiting.add(*wait, &Arc::new(Bell::default()));
        }
        waiting
    }

    fn left(waiting: &Waiting) -> Vec<WaitFor> {
        waiting.bells.iter().map(|(wait, _)| *wait).collect()
    }

    #[test]
    fn only_those_whose_condition_came_true_are_woken() {
        let flushed = [WaitFor::Flushed(Offset(5)), WaitFor::Flushed(Offset(6))];
        let readable = [WaitFor::ReadableBeyond(Offset(4)), WaitFor::ReadableBeyond(Offset(5))];
        let mut waiting = waiting_for(&[flushed[0], flushed[1], readable[0], readable[1]]);

        waiting.wake(Offset(5), Offset(5));

        assert_eq!(left(&waiting), [flushed[1], readable[1]]);
    }

    #[test]
    fn a_connection_that_left_is_forgotten_everywhere() {
        let mut waiting = waiting_for(&[WaitFor::Flushed(Offset(1))]);
        let bell = Arc::new(Bell::default());
        waiting.add(WaitFor::Flushed(Offset(2)), &bell);
        waiting.add(WaitFor::ReadableBeyond(Offset(3)), &bell);

        waiting.remove(&bell);

        assert_eq!(left(&waiting), [WaitFor::Flushed(Offset(1))]);
        assert_eq!(Arc::strong_count(&bell), 1);
    }

    #[test]
    fn a_failed_partition_lets_everyone_go() {
        let mut waiting = waiting_for(&[WaitFor::Flushed(Offset(1)), WaitFor::ReadableBeyond(Offset(9))]);

        waiting.wake_all();

        assert_eq!(left(&waiting), []);
    }
}
