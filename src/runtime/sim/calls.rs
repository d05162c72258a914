//! Calls that a thread has not returned from, while the task that made one goes on to where it next waits.
//!
//! Whoever is called says whether it still hangs. A thread that is inside of a call cannot be stopped. Whoever wants a lock
//! that it took before the call waits for the same.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::clock;

/// How often who waits for a device that does not answer looks whether it does.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);

thread_local! {
    /// What the task that is polled now called last and did not return from.
    static CALLED: RefCell<Option<Call>> = const { RefCell::new(None) };
    /// How many calls of this thread's run have not returned at once.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// A call that its thread has not returned from.
#[derive(Clone)]
pub(super) struct Call {
    hangs: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Call {
    /// The task that is polled now is inside of a call, as long as `hangs` says so.
    pub fn begin(hangs: impl Fn() -> bool + Send + Sync + 'static) {
        Call { hangs: Arc::new(hangs) }.enter();
    }

    /// The one that the task that was just polled is inside of.
    pub fn of_this_poll() -> Option<Call> {
        CALLED.take()
    }

    /// How many there were so far.
    pub fn count() -> u64 {
        CALLS.try_with(Cell::get).unwrap_or_default()
    }

    /// The last one, if there was one since there were so many.
    pub fn since(count: u64) -> Option<Call> {
        if Call::count() == count { None } else { CALLED.try_with(|call| call.borrow().clone()).ok()? }
    }

    /// The task that is polled waits for it as well, if it has not returned yet; whether that is so.
    pub fn wait_too(&self) -> bool {
        let hangs = (self.hangs)();
        if hangs {
            self.clone().enter();
        }
        hangs
    }

    /// Waits until it returns.
    pub async fn returned(self) {
        while (self.hangs)() {
            clock::sleep(LOOK_EVERY).await;
        }
    }

    fn enter(self) {
        CALLS.set(CALLS.get() + 1);
        CALLED.set(Some(self));
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}
