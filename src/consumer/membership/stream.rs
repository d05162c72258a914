//! One stream of a topic: an unending sequence of the records of the partitions that it owns (P15).
//!
//! Promise: no lock and no wake-up per record. The stream takes a portion of one partition's records over under the
//! locks, and hands them out of its lease: see `consumer::lease` for why none comes after a release or a seek.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Finish;
use super::shared::GroupShared;
use crate::consumer::lease::Portion;
use crate::consumer::partition::Reader;
use crate::consumer::{ConsumeError, ConsumedRecord};
use crate::types::{Offset, TopicPartition};

/// One stream of a topic: the records of the partitions that it owns, in offset order per partition. A record
/// belongs to exactly one stream of the group at a time.
///
/// It ends with its consumer: once that is closed or dropped, `next` answers [`ConsumeError::Closed`].
///
/// ```
/// use seedlog::consumer::ConsumeError;
/// use seedlog::consumer::membership::MessageStream;
///
/// async fn count(mut stream: MessageStream) -> usize {
///     let mut records = 0;
///     loop {
///         match stream.next().await {
///             Ok(_) => records += 1,
///             Err(ConsumeError::Closed) => return records,
///             Err(error) => panic!("{}: {error}", stream.topic()),
///         }
///     }
/// }
/// ```
pub struct MessageStream {
    inner: Arc<GroupShared>,
    topic: String,
    /// Counted from 0 per topic.
    stream: u32,
    reader: Reader,
    /// Taken over, and not yet handed out.
    portion: Option<Portion>,
    /// The portion's last record is in the application's hands, and finished when the next one is asked for.
    is_working: bool,
}

impl MessageStream {
    pub(super) fn new(inner: Arc<GroupShared>, topic: &str, stream: u32, reader: Reader) -> MessageStream {
        MessageStream { inner, topic: topic.to_owned(), stream, reader, portion: None, is_working: false }
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The next record, however long it takes. With [`Finish::OnNext`] the one before is finished by asking.
    /// Waits while the stream owns nothing, while delivery is paused, and while too many records are unfinished.
    /// Dropped half-way, no record is lost. An error comes again until the application seeks or closes.
    pub async fn next(&mut self) -> Result<ConsumedRecord, ConsumeError> {
        if let Some(record) = self.next_ready() {
            return Ok(record);
        }
        let inner = Arc::clone(&self.inner);
        loop {
            let arrival = inner.shared.arrival();
            if !self.renew()? {
                arrival.await;
            } else if let Some(record) = self.next_ready() {
                return Ok(record);
            }
        }
    }

    /// The next record, if it is at hand; the one before is finished all the same.
    pub(super) fn next_ready(&mut self) -> Option<ConsumedRecord> {
        self.finish_last();
        let record = self.inner.shared.hand_out(&mut self.portion)?;
        self.is_working = self.inner.config.finish == Finish::OnNext;
        Some(record)
    }

    fn finish_last(&mut self) {
        if std::mem::take(&mut self.is_working)
            && let Some(portion) = &self.portion
            && let Some(offset) = portion.finish_last()
        {
            self.inner.finished(&portion.partition, offset);
        }
    }

    /// One step under the lock of the progress: no record is taken over that a release does not know of. Returns
    /// whether there may be something at hand.
    fn renew(&mut self) -> Result<bool, ConsumeError> {
        let mut progress = self.inner.progress();
        // Before counting: see `GroupShared::marked`.
        self.inner.marks_awaited.store(true, Ordering::SeqCst);
        let unfinished = progress.unfinished(&self.topic, self.stream);
        let room = self.inner.config.unfinished_records_max.saturating_sub(unfinished);
        if room == 0 {
            self.inner.shared.check_open()?;
            tracing::debug!(topic = self.topic, stream = self.stream, "stream_waits_for_marks");
            return Ok(false);
        }
        if !self.inner.shared.renew(self.reader, &mut self.portion)? {
            return Ok(false);
        }
        if let Some(portion) = &mut self.portion {
            progress.leased(&portion.partition, &portion.lease);
            match self.inner.config.finish {
                // Never more than one is unfinished.
                Finish::OnNext => portion.allow(usize::MAX),
                Finish::Explicit => portion.allow(room),
            }
        }
        Ok(true)
    }

    /// Marks a record as finished. One that was not delivered under the present ownership is passed over.
    pub fn mark_finished(&self, partition: &TopicPartition, offset: Offset) {
        match &self.portion {
            Some(portion) if portion.partition == *partition && portion.lease.finish(offset) => {
                self.inner.marked(partition, offset);
            }
            // Of an earlier portion, or of another stream.
            _ => self.inner.mark_finished(partition, offset),
        }
    }
}
