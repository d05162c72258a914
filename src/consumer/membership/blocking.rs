//! A message stream for programs without async code: an iterator that waits.
//!
//! For ordinary threads of a real machine alone. A simulated node has one thread, which must never wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{GroupConfig, GroupConsumer, GroupError, MessageStream};
use crate::consumer::{ConsumeError, ConsumedRecord};
use crate::runtime::task::Blocking;

/// A group member for ordinary threads; what it hands out may go to threads of their own.
///
/// ```no_run
/// use std::collections::BTreeMap;
///
/// use seedlog::consumer::membership::blocking::BlockingGroupConsumer;
/// use seedlog::consumer::membership::{GroupConfig, GroupError};
///
/// fn print_orders(config: GroupConfig) -> Result<(), GroupError> {
///     let consumer = BlockingGroupConsumer::start(config)?;
///     let mut streams = consumer.create_message_streams(BTreeMap::from([("orders".to_owned(), 1)]))?;
///     for record in streams.remove("orders").into_iter().flatten().flatten().flatten().take(100) {
///         println!("{}: {:?}", record.offset, record.value);
///     }
///     consumer.close()
/// }
/// ```
pub struct BlockingGroupConsumer {
    consumer: GroupConsumer,
    threads: Arc<Blocking>,
}

/// One stream of a topic, for an ordinary thread.
///
/// ```
/// use seedlog::consumer::ConsumeError;
/// use seedlog::consumer::membership::blocking::BlockingStream;
///
/// fn print(stream: BlockingStream) -> Result<(), ConsumeError> {
///     for record in stream {
///         println!("{:?}", record?.value);
///     }
///     Ok(())
/// }
/// ```
///
/// Records of one stream without end: `next` waits for as long as there is none, and finishes the one before
/// where [`super::Finish::OnNext`] says so. After [`ConsumeError::Closed`] it ends; any other error comes again
/// until the application seeks.
pub struct BlockingStream {
    stream: MessageStream,
    threads: Arc<Blocking>,
}

impl BlockingGroupConsumer {
    /// As [`GroupConsumer::start`], with the threads that serve it. Panics in the simulation.
    pub fn start(config: GroupConfig) -> Result<BlockingGroupConsumer, GroupError> {
        let threads = Arc::new(Blocking::start());
        let consumer = threads.run(GroupConsumer::start(config))?;
        Ok(BlockingGroupConsumer { consumer, threads })
    }

    /// As [`GroupConsumer::create_message_streams`].
    pub fn create_message_streams(
        &self,
        topics: BTreeMap<String, u32>,
    ) -> Result<BTreeMap<String, Vec<BlockingStream>>, GroupError> {
        let created = self.threads.run(self.consumer.create_message_streams(topics))?;
        let blocking = |stream| BlockingStream { stream, threads: Arc::clone(&self.threads) };
        let streams = created.into_iter();
        Ok(streams.map(|(topic, streams)| (topic, streams.into_iter().map(blocking).collect())).collect())
    }

    /// As [`GroupConsumer::commit`].
    pub fn commit(&self) -> Result<(), GroupError> {
        self.threads.run(self.consumer.commit())
    }

    /// As [`GroupConsumer::close`].
    pub fn close(&self) -> Result<(), GroupError> {
        self.threads.run(self.consumer.close())
    }

    /// For marks, seeks and positions, which never wait.
    pub fn consumer(&self) -> &GroupConsumer {
        &self.consumer
    }
}

impl Iterator for BlockingStream {
    type Item = Result<ConsumedRecord, ConsumeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(record) = self.stream.next_ready() {
            return Some(Ok(record));
        }
        match self.threads.run(self.stream.next()) {
            Err(ConsumeError::Closed) => None,
            next => Some(next),
        }
    }
}
