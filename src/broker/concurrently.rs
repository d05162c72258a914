//! Runs a bounded number of futures side by side in one task.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// Polls all of them until all are done; outputs in order of the inputs. The caller bounds how many.
pub(super) async fn concurrently<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<Running<F>> = futures.into_iter().map(|f| Running::Future(Box::pin(f))).collect();
    poll_fn(|cx| {
        let mut all_done = true;
        for slot in &mut running {
            if let Running::Future(future) = slot {
                match future.as_mut().poll(cx) {
                    Poll::Ready(output) => *slot = Running::Done(output),
                    Poll::Pending => all_done = false,
                }
            }
        }
        if all_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let output = |slot| match slot {
        Running::Done(output) => output,
        Running::Future(_) => unreachable!("all are done"),
    };
    running.into_iter().map(output).collect()
}

enum Running<F: Future> {
    Future(Pin<Box<F>>),
    Done(F::Output),
}
