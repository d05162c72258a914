//! A question to a task, and its answer.

use tokio::sync::{mpsc, oneshot};

/// Asks the task that reads `questions`; `None` when it has ended, or ends without an answer.
///
/// `reply.await` alone does not hear of every end. A question that is sent in the very moment in which the task drops
/// its receiver stays in the channel, neither read nor dropped, for as long as anybody can still send.
pub async fn ask<Q, A>(
    questions: &mpsc::Sender<Q>,
    question: impl FnOnce(oneshot::Sender<A>) -> Q,
) -> Option<A> {
    let permit = questions.reserve().await.ok()?;
    let (reply, mut answer) = oneshot::channel();
    permit.send(question(reply));
    tokio::select! {
        biased;
        answered = &mut answer => answered.ok(),
        // The last thing that the task did may have been to answer.
        () = questions.closed() => answer.try_recv().ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    type Reply = oneshot::Sender<u32>;

    /// Far longer than an answer takes that comes at all.
    async fn soon<T>(answer: impl Future<Output = T>) -> T {
        #[allow(clippy::disallowed_methods)] // Real time: no simulation runs here.
        tokio::time::timeout(Duration::from_secs(10), answer).await.expect("asking ends")
    }

    fn on_threads<T>(story: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(story)
    }

    #[test]
    fn who_asks_while_the_task_ends_is_told_that_it_has() {
        on_threads(async {
            let (questions, received) = mpsc::channel::<Reply>(1);
            let answer = ask(&questions, |reply| {
                // Room is found, and nothing sent yet.
                drop(received);
                reply
            });
            assert_eq!(soon(answer).await, None);
        });
    }

    #[test]
    fn the_last_answer_before_the_end_arrives() {
        on_threads(async {
            let (questions, mut received) = mpsc::channel::<Reply>(1);
            let task = async move { received.recv().await.expect("a question").send(7) };
            let (answer, sent) = soon(async { tokio::join!(ask(&questions, |reply| reply), task) }).await;
            assert_eq!((answer, sent), (Some(7), Ok(())));
            assert_eq!(soon(ask(&questions, |reply| reply)).await, None, "it has ended");
        });
    }

    #[test]
    fn a_task_that_drops_a_question_answers_nothing() {
        on_threads(async {
            let (questions, mut received) = mpsc::channel::<Reply>(1);
            let task = async { drop(received.recv().await) };
            let (answer, ()) = soon(async { tokio::join!(ask(&questions, |reply| reply), task) }).await;
            assert_eq!(answer, None);
        });
    }
}
