//! Mutexes that know what they protect. Which class of them is taken while which other is held is a graph, and every
//! simulated run asserts that it has no circle: two threads of a real machine, each holding what the other wants, would
//! wait for ever, and one thread that simulates them never would.
//!
//! A class is the type that is protected. No lock is held when a task has to wait, but for one that its thread has taken
//! and then called a disk that hangs: there whoever else wants it waits, thread by thread, until the call returns.

use std::any::type_name;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{LockResult, PoisonError};

use super::calls::Call;

type Class = &'static str;

#[derive(Default)]
struct Order {
    /// In the order in which they were taken.
    held: Vec<Class>,
    /// What was taken while the key was held.
    taken_under: BTreeMap<Class, BTreeSet<Class>>,
}

thread_local! {
    static ORDER: RefCell<Order> = RefCell::default();
}

impl Order {
    fn take(&mut self, class: Class) {
        for at in 0..self.held.len() {
            let outer = self.held[at];
            assert!(outer != class, "two locks of one class at once: {class}");
            if self.taken_under.entry(outer).or_default().insert(class) {
                assert!(
                    !self.leads(class, outer),
                    "a lock of {class} is taken under one of {outer}, and elsewhere the other way round"
                );
            }
        }
        self.held.push(class);
    }

    /// Whether `to` was taken under `from`, or under what was taken under it.
    fn leads(&self, from: Class, to: Class) -> bool {
        let mut seen = BTreeSet::from([from]);
        let mut work = vec![from];
        while let Some(outer) = work.pop() {
            if outer == to {
                return true;
            }
            work.extend(
                self.taken_under.get(outer).into_iter().flatten().filter(|inner| seen.insert(*inner)),
            );
        }
        false
    }

    fn release(&mut self, class: Class) {
        if let Some(at) = self.held.iter().rposition(|held| *held == class) {
            self.held.remove(at);
        }
    }
}

/// As the standard library's, but for what the module says.
#[derive(Default)]
pub struct Mutex<T> {
    inner: std::sync::Mutex<T>,
    /// What the thread that holds it, though nobody sees that here, has not returned from.
    stuck_in: std::sync::Mutex<Option<Call>>,
}

impl<T> Mutex<T> {
    pub fn new(value: T) -> Mutex<T> {
        Mutex { inner: std::sync::Mutex::new(value), stuck_in: std::sync::Mutex::default() }
    }

    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        ORDER.with_borrow_mut(|order| order.take(type_name::<T>()));
        self.stuck_in().take_if(|call| !call.wait_too());
        let guard = |inner| MutexGuard { mutex: self, inner, calls_before: Call::count() };
        match self.inner.lock() {
            Ok(inner) => Ok(guard(inner)),
            Err(poisoned) => Err(PoisonError::new(guard(poisoned.into_inner()))),
        }
    }

    fn stuck_in(&self) -> std::sync::MutexGuard<'_, Option<Call>> {
        self.stuck_in.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Holds a mutex until it is dropped.
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    inner: std::sync::MutexGuard<'a, T>,
    /// How many calls had not returned when it was taken.
    calls_before: u64,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        if let Some(call) = Call::since(self.calls_before) {
            *self.mutex.stuck_in() = Some(call);
        }
        // The last locks of a run may go when its thread's state already has.
        let release = |order: &RefCell<Order>| order.borrow_mut().release(type_name::<T>());
        ORDER.try_with(release).unwrap_or_default();
    }
}

/// A task has taken a step, and waits or is over.
pub(super) fn assert_none_held() {
    ORDER.with_borrow(|order| assert!(order.held.is_empty(), "a task waits and holds {:?}", order.held));
}

/// A run begins.
pub(super) fn begin() {
    ORDER.with_borrow_mut(|order| *order = Order::default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Inner;

    #[derive(Default)]
    struct Outer;

    #[derive(Default)]
    struct Third;

    #[test]
    fn one_order_may_be_taken_again_and_again() {
        begin();
        let (outer, inner) = (Mutex::<Outer>::default(), Mutex::<Inner>::default());
        for _ in 0..2 {
            let held = outer.lock().unwrap();
            drop(inner.lock().unwrap());
            drop(held);
        }
        drop(inner.lock().unwrap());
        drop(outer.lock().unwrap());
        assert_none_held();
    }

    #[test]
    #[should_panic(expected = "the other way round")]
    fn two_locks_in_either_order_are_refused_though_nobody_waits_for_ever() {
        begin();
        let (outer, inner) = (Mutex::<Outer>::default(), Mutex::<Inner>::default());
        let held = outer.lock().unwrap();
        drop(inner.lock().unwrap());
        drop(held);
        let _held = inner.lock().unwrap();
        drop(outer.lock());
    }

    #[test]
    #[should_panic(expected = "the other way round")]
    fn a_circle_of_three_is_seen() {
        begin();
        let mut order = Order::default();
        for [outer, inner] in [["a", "b"], ["b", "c"], ["c", "a"]] {
            order.take(outer);
            order.take(inner);
            order.release(inner);
            order.release(outer);
        }
    }

    #[test]
    #[should_panic(expected = "two locks of one class at once")]
    fn two_of_one_class_are_not_held_at_once() {
        begin();
        let (one, other) = (Mutex::<Third>::default(), Mutex::<Third>::default());
        let _held = one.lock().unwrap();
        drop(other.lock());
    }
}
