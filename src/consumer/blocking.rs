//! The consumer for programs without async code: an iterator that waits.
//!
//! For ordinary threads of a real machine alone. A simulated node has one thread, which must never wait.

use super::{ConsumeError, ConsumedRecord, Consumer, ConsumerConfig, StartPosition};
use crate::runtime::task::Blocking;
use crate::types::TopicPartition;

/// The records of assigned partitions, for an ordinary thread.
///
/// ```no_run
/// use seedlog::consumer::blocking::Messages;
/// use seedlog::consumer::{ConsumerConfig, StartPosition};
/// use seedlog::types::TopicPartition;
///
/// let bootstrap = vec!["localhost:9092".to_owned()];
/// let config = ConsumerConfig { bootstrap, ..ConsumerConfig::default() };
/// let assignment = vec![(TopicPartition::new("orders", 0), StartPosition::Latest)];
/// for record in Messages::start(config, assignment).flatten() {
///     println!("{}: {:?}", record.offset, record.value);
/// }
/// ```
///
/// Records without end: `next` waits for as long as there is none. After [`ConsumeError::Closed`] it ends; any
/// other error comes again until the application seeks ([`Messages::consumer`]).
pub struct Messages {
    consumer: Consumer,
    thread: Blocking,
}

impl Messages {
    /// Starts a consumer of `assignment` and the threads that serve it. Panics in the simulation.
    pub fn start(config: ConsumerConfig, assignment: Vec<(TopicPartition, StartPosition)>) -> Messages {
        let thread = Blocking::start();
        let consumer = thread.run(async move {
            let consumer = Consumer::start(config);
            consumer.assign(assignment);
            consumer
        });
        Messages { consumer, thread }
    }

    /// For seeking, and to learn positions.
    pub fn consumer(&self) -> &Consumer {
        &self.consumer
    }
}

impl Iterator for Messages {
    type Item = Result<ConsumedRecord, ConsumeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(record) = self.consumer.next_ready() {
            return Some(Ok(record));
        }
        match self.thread.run(self.consumer.next()) {
            Err(ConsumeError::Closed) => None,
            next => Some(next),
        }
    }
}
