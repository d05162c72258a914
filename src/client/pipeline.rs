//! The requests of one connection between being asked and being answered.
//!
//! Pure: requests, written bytes and response frames in; who is to be told what out. A broker answers in the
//! order of the requests, so a response belongs to the oldest one in flight or the connection is broken.
//!
//! Who gives up waiting does not end the connection for the others. The request keeps its place, so that order still
//! tells whose response comes, and its own response is dropped. The connection ends when a request has been
//! unanswered for its whole limit, or when the last one who waited gives up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::RequestError;
use crate::types::Instant;

/// Requests that a connection holds at most, written or not.
pub(super) const REQUESTS_MAX: usize = 128;

pub(super) type Reply = oneshot::Sender<Result<Bytes, RequestError>>;

/// How long a request may stay unanswered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    /// Who asked waits until then.
    pub(super) patience: Instant,
    /// The connection ends then. Not before `patience`.
    pub(super) connection: Instant,
}

impl Deadlines {
    /// Both at once: who asked waits for as long as the connection does.
    pub(super) fn at(deadline: Instant) -> Deadlines {
        Deadlines { patience: deadline, connection: deadline }
    }
}

/// A request to be written.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) frame: Bytes,
    pub(super) correlation_id: i32,
    pub(super) asked: Instant,
    pub(super) deadlines: Deadlines,
    /// Without a response (acks = 0): told when it is written.
    pub(super) one_way: bool,
    pub(super) reply: Reply,
}

#[derive(Debug)]
struct Waiting {
    correlation_id: i32,
    asked: Instant,
    deadlines: Deadlines,
    /// `None`: who asked has given up.
    reply: Option<Reply>,
}

impl Waiting {
    /// When something about it is over next.
    fn next_deadline(&self) -> Instant {
        match self.reply {
            Some(_) => self.deadlines.patience,
            None => self.deadlines.connection,
        }
    }
}

/// What is over because no response came.
#[derive(Debug)]
pub(super) enum Overdue {
    /// These give up, if any. The others still wait.
    Askers(Vec<Reply>),
    Connection,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pipeline {
    outbox: VecDeque<Outgoing>,
    /// Being written, or written and not answered.
    in_flight: VecDeque<Waiting>,
    /// Being written, and not going to be answered.
    one_way: Vec<Waiting>,
    /// Takes no more requests; what is in flight may be answered yet.
    closed: Option<Arc<str>>,
}

/// The broker sent something that answers nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfStep;

impl Pipeline {
    /// Queues a request. Returns whether its deadline is now the earliest.
    pub(super) fn ask(&mut self, outgoing: Outgoing) -> Result<bool, RequestError> {
        if let Some(reason) = &self.closed {
            return Err(RequestError::NotSent(Arc::clone(reason)));
        }
        if self.outbox.len() + self.in_flight.len() + self.one_way.len() >= REQUESTS_MAX {
            return Err(RequestError::NotSent("too many requests are waiting".into()));
        }
        let Deadlines { patience, connection } = outgoing.deadlines;
        assert!(patience <= connection, "a connection outlasts the patience of who asks");
        let is_earliest = self.next_deadline().is_none_or(|earliest| patience < earliest);
        self.outbox.push_back(outgoing);
        Ok(is_earliest)
    }

    /// Everything to be written now, in order. From here on it may take effect.
    pub(super) fn begin_write(&mut self) -> Vec<Bytes> {
        assert!(self.one_way.is_empty(), "one write at a time");
        let mut frames = Vec::with_capacity(self.outbox.len());
        for Outgoing { frame, correlation_id, asked, deadlines, one_way, reply } in self.outbox.drain(..) {
            let waiting = Waiting { correlation_id, asked, deadlines, reply: Some(reply) };
            if one_way {
                self.one_way.push(waiting);
            } else {
                self.in_flight.push_back(waiting);
            }
            frames.push(frame);
        }
        let in_flight = self.in_flight.len() + self.one_way.len();
        assert!(in_flight <= REQUESTS_MAX, "a connection holds a bounded number of requests");
        frames
    }

    /// What [`Pipeline::begin_write`] gave is written: who is to be told.
    pub(super) fn written(&mut self) -> Vec<Reply> {
        self.one_way.drain(..).filter_map(|waiting| waiting.reply).collect()
    }

    /// Whom a response is for; `None`: for nobody any more.
    pub(super) fn answered(&mut self, correlation_id: Option<i32>) -> Result<Option<Reply>, OutOfStep> {
        match self.in_flight.front() {
            Some(oldest) if Some(oldest.correlation_id) == correlation_id => {
                Ok(self.in_flight.pop_front().expect("seen just above").reply)
            }
            _ => Err(OutOfStep),
        }
    }

    /// When [`Pipeline::overdue`] has something to tell next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let unwritten = self.outbox.iter().map(|outgoing| outgoing.deadlines.patience);
        let written = self.in_flight.iter().chain(&self.one_way).map(Waiting::next_deadline);
        unwritten.chain(written).min()
    }

    /// What is over by now.
    pub(super) fn overdue(&mut self, now: Instant) -> Overdue {
        if self.next_deadline().is_none_or(|deadline| deadline > now) {
            return Overdue::Askers(Vec::new());
        }
        let written = || self.in_flight.iter().chain(&self.one_way);
        let unwritten = || self.outbox.iter().map(|outgoing| outgoing.deadlines);
        let waits = |waiting: &&Waiting| waiting.reply.is_some();
        let mut waited_for = written().filter(waits).map(|of| of.deadlines).chain(unwritten()).peekable();
        let all_give_up = waited_for.peek().is_some() && waited_for.all(|of| of.patience <= now);
        let mut all = written().map(|of| of.deadlines).chain(unwritten());
        if all_give_up || all.any(|of| of.connection <= now) {
            return Overdue::Connection;
        }
        Overdue::Askers(self.give_up(now))
    }

    /// What was not written is never written. What was keeps its place.
    fn give_up(&mut self, now: Instant) -> Vec<Reply> {
        let is_late = |deadlines: &Deadlines| deadlines.patience <= now;
        let late = self.in_flight.iter_mut().chain(&mut self.one_way);
        let late = late.filter(|waiting| is_late(&waiting.deadlines));
        let mut told: Vec<Reply> = late.filter_map(|waiting| waiting.reply.take()).collect();
        let unsent = std::mem::take(&mut self.outbox);
        for outgoing in unsent {
            match is_late(&outgoing.deadlines) {
                true => told.push(outgoing.reply),
                false => self.outbox.push_back(outgoing),
            }
        }
        told
    }

    /// Since when the oldest request waits for its response.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        self.in_flight.front().map(|oldest| oldest.asked)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Takes no more requests, and waits for each response no longer than `grace` after it was asked for. Who is to be
    /// told what: what was not written had no effect.
    pub(super) fn retire(&mut self, reason: &Arc<str>, grace: Duration) -> Vec<(Reply, RequestError)> {
        self.closed.get_or_insert_with(|| Arc::clone(reason));
        for waiting in self.in_flight.iter_mut().chain(&mut self.one_way) {
            let Deadlines { patience, connection } = waiting.deadlines;
            let connection = connection.min(waiting.asked + grace);
            waiting.deadlines = Deadlines { patience: patience.min(connection), connection };
        }
        let unsent = self.outbox.drain(..);
        unsent.map(|outgoing| (outgoing.reply, RequestError::NotSent(Arc::clone(reason)))).collect()
    }

    /// Ends everything: who is to be told what. What was not written had no effect.
    pub(super) fn close(&mut self, reason: &Arc<str>) -> Vec<(Reply, RequestError)> {
        self.closed.get_or_insert_with(|| Arc::clone(reason));
        let lost = self.in_flight.drain(..).chain(self.one_way.drain(..));
        let lost = lost.filter_map(|waiting| waiting.reply);
        let mut told: Vec<_> = lost.map(|reply| (reply, RequestError::Lost(Arc::clone(reason)))).collect();
        let unsent = self.outbox.drain(..);
        told.extend(unsent.map(|outgoing| (outgoing.reply, RequestError::NotSent(Arc::clone(reason)))));
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answer = oneshot::Receiver<Result<Bytes, RequestError>>;

    fn request(correlation_id: i32, deadline: u64, one_way: bool) -> (Outgoing, Answer) {
        let (reply, answer) = oneshot::channel();
        let deadlines = Deadlines::at(Instant::from_nanos(deadline));
        let asked = Instant::START;
        (Outgoing { frame: Bytes::new(), correlation_id, asked, deadlines, one_way, reply }, answer)
    }

    /// Whose asker waits until 5, and which ends the connection at 30.
    fn question(correlation_id: i32) -> (Outgoing, Answer) {
        let (question, answer) = request(correlation_id, 5, false);
        let deadlines = Deadlines { connection: Instant::from_nanos(30), ..question.deadlines };
        (Outgoing { deadlines, ..question }, answer)
    }

    fn asked_in_order(requests: impl IntoIterator<Item = Outgoing>) -> Pipeline {
        let mut pipeline = Pipeline::default();
        for request in requests {
            pipeline.ask(request).expect("open");
        }
        pipeline.begin_write();
        pipeline
    }

    fn given_up(pipeline: &mut Pipeline, now: u64) -> Option<usize> {
        match pipeline.overdue(Instant::from_nanos(now)) {
            Overdue::Askers(told) => Some(told.len()),
            Overdue::Connection => None,
        }
    }

    #[test]
    fn responses_go_to_requests_in_order() {
        let mut pipeline = Pipeline::default();
        let (first, mut first_answer) = request(7, 10, false);
        let (second, _second_answer) = request(8, 10, false);
        assert_eq!(pipeline.ask(first), Ok(true));
        assert_eq!(pipeline.ask(second), Ok(false));
        assert_eq!(pipeline.begin_write().len(), 2);
        pipeline
            .answered(Some(7))
            .expect("in step")
            .expect("waits")
            .send(Ok(Bytes::from_static(b"yes")))
            .expect("listens");
        assert_eq!(first_answer.try_recv(), Ok(Ok(Bytes::from_static(b"yes"))));
    }

    #[test]
    fn a_response_that_overtakes_or_answers_nothing_is_out_of_step() {
        let mut pipeline = Pipeline::default();
        assert!(pipeline.answered(Some(1)).is_err());
        pipeline.ask(request(1, 10, false).0).expect("open");
        assert!(pipeline.answered(Some(1)).is_err(), "not even written");
        pipeline.begin_write();
        assert!(pipeline.answered(Some(2)).is_err());
        assert!(pipeline.answered(None).is_err());
    }

    #[test]
    fn closing_tells_apart_what_was_written_and_what_was_not() {
        let mut pipeline = Pipeline::default();
        pipeline.ask(request(1, 10, false).0).expect("open");
        pipeline.ask(request(2, 10, true).0).expect("open");
        pipeline.begin_write();
        pipeline.ask(request(3, 10, false).0).expect("open");
        let reason: Arc<str> = "gone".into();
        let told: Vec<RequestError> = pipeline.close(&reason).into_iter().map(|(_, error)| error).collect();
        let lost = RequestError::Lost(Arc::clone(&reason));
        assert_eq!(told, [lost.clone(), lost, RequestError::NotSent(reason)]);
        assert!(matches!(pipeline.ask(request(4, 10, false).0), Err(RequestError::NotSent(_))));
    }

    #[test]
    fn a_one_way_request_is_over_when_it_is_written() {
        let mut pipeline = Pipeline::default();
        pipeline.ask(request(1, 10, true).0).expect("open");
        pipeline.begin_write();
        assert_eq!(pipeline.next_deadline(), Some(Instant::from_nanos(10)));
        assert_eq!(pipeline.written().len(), 1);
        assert_eq!(pipeline.next_deadline(), None);
    }

    #[test]
    fn a_question_given_up_keeps_its_place_and_leaves_the_connection_to_the_others() {
        let (produce, mut produced) = request(1, 20, false);
        let mut pipeline = asked_in_order([question(0).0, produce]);
        assert_eq!(pipeline.next_deadline(), Some(Instant::from_nanos(5)));
        assert_eq!(given_up(&mut pipeline, 5), Some(1));
        assert_eq!(pipeline.next_deadline(), Some(Instant::from_nanos(20)));
        assert!(pipeline.answered(Some(0)).expect("in step").is_none(), "nobody waits for it");
        let reply = pipeline.answered(Some(1)).expect("in step").expect("waits");
        reply.send(Ok(Bytes::new())).expect("listens");
        assert_eq!(produced.try_recv(), Ok(Ok(Bytes::new())));
    }

    #[test]
    fn a_connection_ends_when_some_request_was_not_answered_for_its_whole_limit() {
        let mut pipeline = asked_in_order([question(0).0, request(1, 40, false).0]);
        assert_eq!(given_up(&mut pipeline, 5), Some(1));
        assert_eq!(pipeline.next_deadline(), Some(Instant::from_nanos(30)));
        assert_eq!(given_up(&mut pipeline, 29), Some(0));
        assert_eq!(given_up(&mut pipeline, 30), None);
    }

    #[test]
    fn a_connection_ends_when_the_last_one_who_waited_gives_up() {
        assert_eq!(given_up(&mut asked_in_order([question(0).0, question(1).0]), 5), None);
    }

    #[test]
    fn a_question_given_up_ends_no_connection_that_has_answered_the_others() {
        let mut pipeline = asked_in_order([request(0, 20, false).0, question(1).0]);
        assert_eq!(given_up(&mut pipeline, 5), Some(1));
        pipeline.answered(Some(0)).expect("in step");
        assert_eq!(given_up(&mut pipeline, 29), Some(0));
    }

    #[test]
    fn a_question_given_up_before_it_was_written_is_never_written() {
        let mut pipeline = Pipeline::default();
        pipeline.ask(question(0).0).expect("open");
        pipeline.ask(request(1, 20, false).0).expect("open");
        assert_eq!(given_up(&mut pipeline, 5), Some(1));
        assert_eq!(pipeline.begin_write().len(), 1);
        assert!(pipeline.answered(Some(1)).is_ok());
    }

    #[test]
    fn a_retired_pipeline_takes_no_more_and_waits_for_what_is_in_flight_for_its_grace_only() {
        let mut pipeline = asked_in_order([request(0, 30, false).0]);
        pipeline.ask(request(1, 30, false).0).expect("open");
        let reason: Arc<str> = "moved".into();
        let told = pipeline.retire(&reason, Duration::from_nanos(10));
        assert!(matches!(told.as_slice(), [(_, RequestError::NotSent(_))]), "{told:?}");
        assert!(pipeline.is_closed());
        assert!(matches!(pipeline.ask(request(2, 30, false).0), Err(RequestError::NotSent(_))));
        assert_eq!(given_up(&mut pipeline, 9), Some(0));
        assert_eq!(given_up(&mut pipeline, 10), None);
    }

    #[test]
    fn what_a_retired_pipeline_has_in_flight_may_be_answered_yet() {
        let mut pipeline = asked_in_order([request(0, 30, false).0]);
        pipeline.retire(&"moved".into(), Duration::from_nanos(10));
        assert!(pipeline.answered(Some(0)).expect("in step").is_some());
        assert_eq!(pipeline.next_deadline(), None);
    }

    #[test]
    fn requests_are_bounded() {
        let mut pipeline = Pipeline::default();
        for correlation_id in 0..REQUESTS_MAX as i32 {
            pipeline.ask(request(correlation_id, 10, false).0).expect("room");
        }
        assert!(matches!(pipeline.ask(request(-1, 10, false).0), Err(RequestError::NotSent(_))));
    }
}
