//! A task whose thread may be inside of a call that does not return: a disk that hangs. It goes no step further before.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::calls::Call;

type Returned = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task's future that waits for what it calls.
pub(super) struct Calling<F: Future> {
    future: F,
    inside: Option<Returned>,
    /// What it ended with, in the step that it is inside of.
    ended_with: Option<F::Output>,
}

impl<F: Future> Calling<F> {
    pub(super) fn new(future: F) -> Calling<F> {
        Calling { future, inside: None, ended_with: None }
    }

    /// Whether its thread has not returned from a call.
    pub(super) fn is_inside(&self) -> bool {
        self.inside.is_some()
    }

    /// Waits for the call that it is inside of, and takes no further step.
    #[allow(unsafe_code)]
    pub(super) fn poll_return(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: nothing that is pinned is moved: `inside` is a box.
        let this = unsafe { self.get_unchecked_mut() };
        if let Some(inside) = &mut this.inside {
            ready!(inside.as_mut().poll(cx));
            this.inside = None;
        }
        Poll::Ready(())
    }
}

impl<F: Future> Future for Calling<F> {
    type Output = F::Output;

    #[allow(unsafe_code)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        loop {
            ready!(self.as_mut().poll_return(cx));
            // SAFETY: `future` is structurally pinned: it is never moved out, and there is no `Drop`.
            let this = unsafe { self.as_mut().get_unchecked_mut() };
            if let Some(output) = this.ended_with.take() {
                return Poll::Ready(output);
            }
            // What was called while nobody was polled, in a destructor, is no step of this task.
            drop(Call::of_this_poll());
            // SAFETY: as above.
            let polled = unsafe { Pin::new_unchecked(&mut this.future) }.poll(cx);
            let Some(call) = Call::of_this_poll() else { return polled };
            this.inside = Some(Box::pin(call.returned()));
            if let Poll::Ready(output) = polled {
                this.ended_with = Some(output);
            }
        }
    }
}
