//! Knows which of a broker's long-lived tasks run no longer, and why.
//!
//! A task that its owner stopped is none of them. The `seedlog` command ends on any panic; this is for health, and
//! for programs that embed a broker.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, PoisonError};
use std::task::Poll;

use crate::runtime::lock::Mutex;
use crate::runtime::task::TaskGroup;

/// The tasks that ended by themselves.
#[derive(Default)]
pub(super) struct Supervision {
    /// By the task's name: what became of it. Bounded, because names are constants of the code.
    ended: Mutex<BTreeMap<&'static str, String>>,
}

impl Supervision {
    /// Starts a task that is to run until its group is stopped.
    pub fn spawn<F>(self: &Arc<Self>, group: &TaskGroup, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        group.spawn(name, Arc::clone(self).run(name, future));
    }

    /// Why the broker is not whole; empty while it is.
    pub fn reasons(&self) -> Vec<String> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.iter().map(|(name, end)| format!("task {name} {end}")).collect()
    }

    async fn run(self: Arc<Self>, name: &'static str, future: impl Future<Output = ()>) {
        let mut future = Box::pin(future);
        // The task is not polled again after a panic, so nobody sees a state that it left half-changed.
        let polled = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        });
        match polled.await {
            Ok(()) => self.note(name, "ended".to_owned()),
            Err(panic) => {
                self.note(name, format!("panicked: {}", panic_text(&*panic)));
                resume_unwind(panic);
            }
        }
    }

    fn note(&self, name: &'static str, end: String) {
        tracing::error!(task = name, reason = end, "task_died");
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_insert(end);
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let owned = || panic.downcast_ref::<String>().map(String::as_str);
    panic.downcast_ref::<&str>().copied().or_else(owned).unwrap_or("not a text")
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    /// Polls a supervised future once; whether it is done.
    fn poll_once(supervision: &Arc<Supervision>, future: impl Future<Output = ()>) -> bool {
        let mut running = pin!(Arc::clone(supervision).run("flusher", future));
        running.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_task_that_was_stopped_by_its_owner_is_no_reason() {
        let supervision = Arc::<Supervision>::default();

        assert!(!poll_once(&supervision, std::future::pending()));

        assert!(supervision.reasons().is_empty());
    }

    #[test]
    fn a_task_that_ended_by_itself_is_a_reason() {
        let supervision = Arc::<Supervision>::default();

        assert!(poll_once(&supervision, async {}));

        assert_eq!(supervision.reasons(), ["task flusher ended"]);
    }

    #[test]
    fn a_task_that_panicked_is_a_reason_and_its_panic_goes_on() {
        let supervision = Arc::<Supervision>::default();

        let polled =
            catch_unwind(AssertUnwindSafe(|| poll_once(&supervision, async { panic!("no {}", "more") })));

        assert!(polled.is_err());
        assert_eq!(supervision.reasons(), ["task flusher panicked: no more"]);
    }
}
