//! Tasks on madsim's scheduler. Every task of a node carries the node's identity and incarnation, in poll and
//! in drop.

use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::oneshot;

use super::calling::Calling;
use super::identity::{self, Identity};
use super::trace::{self, Kind};
use super::{buggify, clock, lock, rng};
use crate::runtime::living::Living;

/// Which threads a group's tasks run on; one and the same in simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The data plane: connections, partitions.
    Data,
    /// Session pings and other duties with a deadline.
    Control,
}

/// Owns tasks; dropping it stops them all.
pub struct TaskGroup {
    living: Living,
    tasks: Mutex<Vec<Owned>>,
}

/// A task of a group.
struct Owned {
    handle: madsim::task::AbortHandle,
    end: Arc<Mutex<End>>,
}

/// How a task ends that is stopped from outside.
#[derive(Default)]
struct End {
    /// It takes one more step first: on a machine of several threads a task that runs while it is aborted goes
    /// on until it next waits, and by then sees whatever its owner did after.
    after_one_step: bool,
    /// Its thread is inside of a call that does not return.
    is_inside: bool,
    /// It was stopped while that was so: it ends when the call returns.
    at_return: bool,
    waker: Option<Waker>,
}

impl Owned {
    fn abort(self) {
        {
            let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
            if end.is_inside && current_is_alive() {
                end.at_return = true;
                return;
            }
        }
        if buggify::fires("task.step-after-abort") && current_is_alive() {
            let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
            end.after_one_step = true;
            if let Some(waker) = end.waker.take() {
                drop(end);
                return waker.wake();
            }
        }
        self.handle.abort();
    }
}

/// Finished handles are swept out when this many have gathered, and at each doubling.
const SWEEP_AT: usize = 64;

impl TaskGroup {
    pub fn new(_lane: Lane) -> TaskGroup {
        TaskGroup { living: Living::default(), tasks: Mutex::new(Vec::new()) }
    }

    /// Starts a task that lives at most as long as this group. A dead incarnation starts nothing.
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let identity = identity::current();
        if !identity.is_alive() {
            return;
        }
        trace::event(Kind::Spawn, trace::hash_bytes(name.as_bytes()));
        let end = Arc::default();
        let future = Stoppable { end: Arc::clone(&end), future: Calling::new(self.living.count(future)) };
        let task = madsim::task::spawn(Identified::new(identity, future));
        let mut tasks = self.tasks.lock().expect("task list");
        if tasks.len() >= SWEEP_AT && tasks.len() == tasks.capacity() {
            tasks.retain(|task| !task.handle.is_finished());
        }
        tasks.push(Owned { handle: task.abort_handle(), end });
    }

    /// Waits until every task that was started so far is gone: it returned, or it was stopped, and all that it
    /// held is dropped. A task on another thread that is stopped takes its present step to its end first.
    pub async fn all_gone(&self) {
        self.living.all_gone().await;
    }

    /// Stops every task of the group.
    pub fn abort_all(&self) {
        for task in self.tasks.lock().expect("task list").drain(..) {
            task.abort();
        }
    }
}

impl Drop for TaskGroup {
    fn drop(&mut self) {
        self.abort_all();
    }
}

/// A task's future that knows how to end.
struct Stoppable<F: Future> {
    end: Arc<Mutex<End>>,
    future: Calling<F>,
}

impl<F: Future<Output = ()>> Future for Stoppable<F> {
    type Output = ();

    #[allow(unsafe_code)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: `future` is structurally pinned: it is never moved out, and there is no `Drop`.
        let this = unsafe { self.get_unchecked_mut() };
        let (is_last, at_return) = {
            let mut end = this.end.lock().unwrap_or_else(PoisonError::into_inner);
            if !end.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                end.waker = Some(cx.waker().clone());
            }
            (end.after_one_step, end.at_return)
        };
        // SAFETY: as above.
        let mut future = unsafe { Pin::new_unchecked(&mut this.future) };
        if at_return {
            return future.as_mut().poll_return(cx);
        }
        let polled = future.as_mut().poll(cx);
        let mut end = this.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.is_inside = future.is_inside();
        end.at_return = is_last && end.is_inside;
        if is_last && !end.is_inside { Poll::Ready(()) } else { polled }
    }
}

/// Lets other tasks run.
pub async fn yield_now() {
    madsim::task::yield_now().await;
}

/// The work of another thread waits for one, and its result for whoever asked: so long on average, and now and
/// then much longer.
const BLOCKING_NANOS_MEAN: u64 = 1_000_000;
const BLOCKING_NANOS_MAX: u64 = 300_000_000;
const BLOCKING_LONG_ONE_IN: u64 = 16;

/// Runs long work (recovery, compaction) on a thread of its own, which takes a drawn time. Nobody can call it back:
/// what was begun, or is only waiting for its thread, is done even if the caller is gone, unless the life ends.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let mut draws = rng::stream("task.blocking");
    let mut draw = || {
        let is_long = draws.chance(1, BLOCKING_LONG_ONE_IN);
        let nanos =
            if is_long { draws.below(BLOCKING_NANOS_MAX) } else { draws.exponential(BLOCKING_NANOS_MEAN) };
        Duration::from_nanos(nanos)
    };
    let (before, after) = (draw(), draw());
    let (tell, told) = oneshot::channel();
    let thread = async move {
        clock::sleep(before).await;
        let result = work();
        clock::sleep(after).await;
        // Whoever asked may be gone.
        drop(tell.send(result));
    };
    madsim::task::spawn(Identified::new(identity::current(), Calling::new(thread)));
    match told.await {
        Ok(result) => result,
        // The life has ended; so will whoever waits here.
        Err(_) => std::future::pending().await,
    }
}

/// Whether the running task's node still lives, in the incarnation the task belongs to.
pub fn current_is_alive() -> bool {
    identity::current().is_alive()
}

/// What lets an ordinary thread of a real machine wait for async work. A simulation has no such thread: one
/// that waited would stop all nodes at once.
pub struct Blocking {}

impl Blocking {
    /// Panics: simulated code must stay async.
    pub fn start() -> Blocking {
        panic!("a simulated node has no thread that may wait: use the async interface")
    }

    /// Never called, for there is none.
    pub fn run<F: Future>(&self, _work: F) -> F::Output {
        unreachable!("no simulation starts one")
    }
}

/// A future that runs, and is dropped, as `identity`.
pub(super) struct Identified<F> {
    identity: Identity,
    future: ManuallyDrop<F>,
}

impl<F> Identified<F> {
    pub(super) fn new(identity: Identity, future: F) -> Identified<F> {
        Identified { identity, future: ManuallyDrop::new(future) }
    }
}

impl<F: Future> Future for Identified<F> {
    type Output = F::Output;

    #[allow(unsafe_code)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is structurally pinned: it is never moved out, and is dropped in place below.
        let this = unsafe { self.get_unchecked_mut() };
        if !this.identity.may_run() {
            // The life ended inside an operation of this very node; the task waits to be dropped.
            return Poll::Pending;
        }
        trace::assert_within_limit();
        // SAFETY: as above.
        let future = unsafe { Pin::new_unchecked(&mut *this.future) };
        let polled = identity::with(this.identity, || future.poll(cx));
        lock::assert_none_held();
        polled
    }
}

impl<F> Drop for Identified<F> {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        let identity = self.identity;
        // SAFETY: dropped exactly once, here, in place.
        identity::with(identity, || unsafe { ManuallyDrop::drop(&mut self.future) });
    }
}
