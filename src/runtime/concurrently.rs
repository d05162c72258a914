//! Runs a bounded number of futures side by side in one task.
//!
//! Limit: a wake-up polls every future under way, so the bound is for tens, not for thousands.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs the futures to their ends, at most `at_once_max` of them at a time; begun in their order, and what
/// they return comes in their order.
pub async fn concurrently<F: Future>(at_once_max: usize, futures: Vec<F>) -> Vec<F::Output> {
    assert!(at_once_max > 0, "something must run");
    let mut waiting = futures.into_iter();
    let mut running: VecDeque<Slot<F>> = VecDeque::new();
    let mut outputs = Vec::new();
    poll_fn(|cx| {
        loop {
            let mut under_way = 0;
            for slot in &mut running {
                under_way += usize::from(slot.is_under_way(cx));
            }
            while matches!(running.front(), Some(Slot::Done(_))) {
                let Some(Slot::Done(output)) = running.pop_front() else { unreachable!("looked at above") };
                outputs.push(output);
            }
            if under_way == at_once_max {
                return Poll::Pending;
            }
            let before = running.len();
            let begun = waiting.by_ref().take(at_once_max - under_way);
            running.extend(begun.map(|future| Slot::UnderWay(Box::pin(future))));
            if running.len() == before {
                return if running.is_empty() { Poll::Ready(()) } else { Poll::Pending };
            }
        }
    })
    .await;
    outputs
}

/// Futures that run side by side, while more may come. The caller bounds how many.
pub struct Running<F> {
    futures: Vec<Pin<Box<F>>>,
}

impl<F> Default for Running<F> {
    fn default() -> Running<F> {
        Running { futures: Vec::new() }
    }
}

impl<F: Future> Running<F> {
    /// Polled first by the next [`Running::next`].
    pub fn push(&mut self, future: F) {
        self.futures.push(Box::pin(future));
    }

    pub fn len(&self) -> usize {
        self.futures.len()
    }

    pub fn is_empty(&self) -> bool {
        self.futures.is_empty()
    }

    /// The output of one that is done, the oldest first; waits for ever while there is none. Safe to drop.
    pub async fn next(&mut self) -> F::Output {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        for at in 0..self.futures.len() {
            if let Poll::Ready(output) = self.futures[at].as_mut().poll(cx) {
                drop(self.futures.remove(at));
                return Poll::Ready(output);
            }
        }
        Poll::Pending
    }
}

enum Slot<F: Future> {
    UnderWay(Pin<Box<F>>),
    /// Kept until those before it are done.
    Done(F::Output),
}

impl<F: Future> Slot<F> {
    fn is_under_way(&mut self, cx: &mut Context<'_>) -> bool {
        let Slot::UnderWay(future) = self else { return false };
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => {
                *self = Slot::Done(output);
                false
            }
            Poll::Pending => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::task::Waker;

    use super::*;

    /// Polls by hand: nothing here waits for anything but what the test opens.
    fn poll<T>(future: &mut Pin<Box<impl Future<Output = T>>>) -> Poll<T> {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn outputs_come_in_the_order_of_the_inputs_however_many_there_are() {
        let begun = RefCell::new(Vec::new());
        let futures = (0..131).map(|number| {
            let begun = &begun;
            async move {
                begun.borrow_mut().push(number);
                number
            }
        });

        let mut all = Box::pin(concurrently(64, futures.collect()));

        let Poll::Ready(outputs) = poll(&mut all) else { panic!("nothing waits") };
        assert_eq!(outputs, (0..131).collect::<Vec<_>>());
        assert_eq!(*begun.borrow(), outputs);
    }

    #[test]
    fn a_place_is_taken_as_soon_as_it_is_free() {
        let (begun, open) = (Cell::new(0), Cell::new(0b000_u32));
        let futures = (0..3).map(|number| {
            let (begun, open) = (&begun, &open);
            async move {
                begun.set(begun.get() + 1);
                poll_fn(|_| if open.get() >> number & 1 == 1 { Poll::Ready(()) } else { Poll::Pending })
                    .await;
                number
            }
        });
        let mut all = Box::pin(concurrently(2, futures.collect()));
        assert!(poll(&mut all).is_pending());
        assert_eq!(begun.get(), 2);

        open.set(0b010);
        assert!(poll(&mut all).is_pending());
        assert_eq!(begun.get(), 3, "the second's place is the third's, though the first still runs");

        open.set(0b111);
        assert_eq!(poll(&mut all), Poll::Ready(vec![0, 1, 2]));
    }

    #[test]
    fn one_that_takes_long_keeps_no_other_one() {
        let open = Cell::new(0b101_u32);
        let mut running = Running::default();
        for number in 0..3 {
            let open = &open;
            running.push(async move {
                poll_fn(|_| if open.get() >> number & 1 == 1 { Poll::Ready(()) } else { Poll::Pending })
                    .await;
                number
            });
        }

        assert_eq!(poll(&mut Box::pin(running.next())), Poll::Ready(0));
        assert_eq!(poll(&mut Box::pin(running.next())), Poll::Ready(2));
        assert!(poll(&mut Box::pin(running.next())).is_pending());
        assert_eq!(running.len(), 1);

        open.set(0b010);
        assert_eq!(poll(&mut Box::pin(running.next())), Poll::Ready(1));
    }

    #[test]
    fn nothing_to_run_is_done_at_once() {
        let mut none = Box::pin(concurrently(1, Vec::<std::future::Ready<()>>::new()));

        assert_eq!(poll(&mut none), Poll::Ready(Vec::new()));
    }
}
