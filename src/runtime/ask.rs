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
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Reply = oneshot::Sender<u32>;

    /// What comes of a story that waits for nothing but itself.
    fn told<T>(story: impl Future<Output = T>) -> T {
        let mut story = pin!(story);
        let polls = (0..10).map(|_| story.as_mut().poll(&mut Context::from_waker(Waker::noop())));
        let ready = polls.filter_map(|poll| match poll {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        });
        ready.take(1).next().expect("asking ends")
    }

    #[test]
    fn who_asks_while_the_task_ends_is_told_that_it_has() {
        let (questions, received) = mpsc::channel::<Reply>(1);
        let answer = ask(&questions, |reply| {
            // Room is found, and nothing sent yet.
            drop(received);
            reply
        });
        assert_eq!(told(answer), None);
    }

    #[test]
    fn the_last_answer_before_the_end_arrives() {
        let (questions, mut received) = mpsc::channel::<Reply>(1);
        let task = async move { received.recv().await.expect("a question").send(7) };
        let (answer, sent) = told(async { tokio::join!(ask(&questions, |reply| reply), task) });
        assert_eq!((answer, sent), (Some(7), Ok(())));
        assert_eq!(told(ask(&questions, |reply| reply)), None, "it has ended");
    }

    #[test]
    fn a_task_that_drops_a_question_answers_nothing() {
        let (questions, mut received) = mpsc::channel::<Reply>(1);
        let task = async { drop(received.recv().await) };
        let (answer, ()) = told(async { tokio::join!(ask(&questions, |reply| reply), task) });
        assert_eq!(answer, None);
    }
}
