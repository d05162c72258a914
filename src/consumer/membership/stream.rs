//! One stream of a topic: an unending sequence of the records of the partitions that it owns (P15).

use std::sync::Arc;

use super::Finish;
use super::group::Inner;
use crate::consumer::partition::Reader;
use crate::consumer::{ConsumeError, ConsumedRecord};
use crate::types::{Offset, TopicPartition};

/// One stream of a topic: the records of the partitions that it owns, in offset order per partition. A record
/// belongs to exactly one stream of the group at a time.
pub struct MessageStream {
    inner: Arc<Inner>,
    topic: String,
    /// Counted from 0 per topic.
    stream: u32,
    reader: Reader,
    /// In the application's hands.
    last: Option<(TopicPartition, Offset)>,
}

impl MessageStream {
    pub(super) fn new(inner: Arc<Inner>, topic: &str, stream: u32, reader: Reader) -> MessageStream {
        MessageStream { inner, topic: topic.to_owned(), stream, reader, last: None }
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The next record, however long it takes. With [`Finish::OnNext`] the one before is finished by asking.
    /// Waits while the stream owns nothing, while delivery is paused, and while too many records are unfinished.
    /// Dropped half-way, no record is lost. An error comes again until the application seeks or closes.
    pub async fn next(&mut self) -> Result<ConsumedRecord, ConsumeError> {
        if let Some((partition, offset)) = self.last.take()
            && self.inner.config.finish == Finish::OnNext
        {
            self.inner.mark_finished(&partition, offset);
        }
        let inner = Arc::clone(&self.inner);
        loop {
            let arrival = inner.shared.arrival();
            if let Some(record) = self.take_now()? {
                return Ok(record);
            }
            arrival.await;
        }
    }

    /// One step under the lock of the progress: no record is handed out that a release does not know of.
    fn take_now(&mut self) -> Result<Option<ConsumedRecord>, ConsumeError> {
        let mut progress = self.inner.progress();
        if progress.unfinished(&self.topic, self.stream) >= self.inner.config.unfinished_records_max {
            tracing::debug!(topic = self.topic, stream = self.stream, "stream_waits_for_marks");
            return Ok(None);
        }
        let records = self.inner.shared.take_now(self.reader, 1)?;
        let Some(record) = records.into_iter().next() else { return Ok(None) };
        progress.delivered(&record.partition, record.offset);
        self.last = Some((record.partition.clone(), record.offset));
        Ok(Some(record))
    }

    /// Marks a record as finished. One that was not delivered under the present ownership is passed over.
    pub fn mark_finished(&self, partition: &TopicPartition, offset: Offset) {
        self.inner.mark_finished(partition, offset);
    }
}
