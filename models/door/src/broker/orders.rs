//! The orders in which threads come to the door.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use shuttle::thread;

use super::partition::Partition;
use super::purgatory::{self, WaitFor};
use crate::types::Offset;

/// Schedules drawn for each model, beside all those of a depth-first search up to this number.
const SCHEDULES: usize = 20_000;

/// Every order up to a number of them, and others at random.
fn explore(model: impl Fn() + Send + Sync + Copy + 'static) {
    shuttle::check_dfs(model, Some(SCHEDULES));
    shuttle::check_random(model, SCHEDULES);
}

fn was_woken(waker: &purgatory::Waker) -> bool {
    pin!(waker.woken()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// Somebody waits while `happens` makes it come true: nobody is left waiting.
fn whoever_waits_is_woken(wait: WaitFor, happens: fn(&Partition)) {
    let partition = Arc::new(Partition::new());
    let waker = Arc::new(purgatory::Waker::default());
    let (waiting_at, woken_by) = (Arc::clone(&partition), Arc::clone(&waker));
    let waiter = thread::spawn(move || waiting_at.wait(wait, &woken_by));
    happens(&partition);
    if let Ok(Some(place)) = waiter.join().expect("the waiter does not panic") {
        assert!(was_woken(&waker), "it is over, and nobody wakes who waits");
        assert!(place.is_over().unwrap_or(true), "who is woken has nothing left to wait for");
    }
}

#[test]
fn whoever_waits_for_a_flush_is_woken_by_it() {
    explore(|| whoever_waits_is_woken(WaitFor::Flushed(Offset(1)), |partition| partition.flush(Offset(1))));
}

#[test]
fn whoever_waits_for_more_to_read_is_woken_by_it() {
    explore(|| {
        whoever_waits_is_woken(WaitFor::ReadableBeyond(Offset(0)), |partition| partition.expose(Offset(1)));
    });
}

#[test]
fn a_failure_lets_whoever_waits_go() {
    explore(|| whoever_waits_is_woken(WaitFor::Flushed(Offset(1)), Partition::fail));
}

#[test]
fn two_who_wait_for_two_flushes_are_both_woken() {
    explore(|| {
        let partition = Arc::new(Partition::new());
        let wait = |end| {
            let (partition, waker) = (Arc::clone(&partition), Arc::new(purgatory::Waker::default()));
            let woken_by = Arc::clone(&waker);
            let waiter = thread::spawn(move || partition.wait(WaitFor::Flushed(Offset(end)), &woken_by));
            (waiter, waker)
        };
        let waiters = [wait(1), wait(2)];
        partition.flush(Offset(1));
        partition.flush(Offset(2));
        for (waiter, waker) in waiters {
            let place = waiter.join().expect("the waiter does not panic").expect("nothing fails");
            assert!(place.is_none() || was_woken(&waker), "it is over, and nobody wakes who waits");
        }
    });
}

#[test]
fn whoever_gives_up_leaves_nothing_behind() {
    explore(|| {
        let partition = Arc::new(Partition::new());
        let waker = Arc::new(purgatory::Waker::default());
        let (waiting_at, woken_by) = (Arc::clone(&partition), Arc::clone(&waker));
        let waiter = thread::spawn(move || drop(waiting_at.wait(WaitFor::Flushed(Offset(1)), &woken_by)));
        partition.flush(Offset(1));
        waiter.join().expect("the waiter does not panic");
        assert_eq!(Arc::strong_count(&waker), 1, "nobody holds on to who left");
    });
}

#[test]
#[should_panic(expected = "nobody wakes who waits")]
fn the_model_finds_a_look_and_a_registration_that_are_not_one_step() {
    explore(|| {
        let partition = Arc::new(Partition::new());
        let waker = Arc::new(purgatory::Waker::default());
        let (waiting_at, woken_by) = (Arc::clone(&partition), Arc::clone(&waker));
        let wait = WaitFor::Flushed(Offset(1));
        let waiter = thread::spawn(move || {
            let is_met = waiting_at.state().is_met(wait).expect("nothing fails");
            if !is_met {
                waiting_at.state().waiters.add(wait, &woken_by);
            }
            is_met
        });
        partition.flush(Offset(1));
        let is_met = waiter.join().expect("the waiter does not panic");
        assert!(is_met || was_woken(&waker), "it is over, and nobody wakes who waits");
    });
}
