//! Several questions to ZooKeeper at once: one round trip instead of one each.
//!
//! Limit: at most [`AT_ONCE_MAX`] are under way; the answers come in the order of the questions.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

/// Far below what the client takes in before it refuses.
const AT_ONCE_MAX: usize = 64;

/// Runs the futures, begun in their order, and returns what they return, in their order.
pub(super) async fn concurrently<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut waiting = futures.into_iter();
    let mut outputs = Vec::new();
    loop {
        let batch: Vec<F> = waiting.by_ref().take(AT_ONCE_MAX).collect();
        if batch.is_empty() {
            return outputs;
        }
        outputs.extend(all(batch).await);
    }
}

async fn all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, output) in running.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let Poll::Ready(ready) = future.as_mut().poll(cx)
            {
                *output = Some(ready);
            }
        }
        if outputs.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().map(|output| output.expect("every future is ready")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Waker};

    #[test]
    fn answers_come_in_the_order_of_the_questions_however_many_there_are() {
        let begun = Arc::new(Mutex::new(Vec::new()));
        let questions = (0..AT_ONCE_MAX * 2 + 3).map(|number| {
            let begun = Arc::clone(&begun);
            async move {
                begun.lock().expect("begun").push(number);
                number
            }
        });
        let mut answers = Box::pin(concurrently(questions.collect()));
        let Poll::Ready(answers) = answers.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("nothing waits")
        };
        assert_eq!(answers, (0..AT_ONCE_MAX * 2 + 3).collect::<Vec<_>>());
        assert_eq!(*begun.lock().expect("begun"), answers);
    }
}
