//! One batch on its way: its records, what was tried, and the judgement of an attempt.
//!
//! Pure: the end of an attempt and the time in, "again" or an outcome out. The queue it waits in is
//! `accumulator`'s.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{RecordMetadata, SendError};
use crate::client::Leader;
use crate::record::RecordHeader;
use crate::types::{Instant, Offset, Timestamp, TopicPartition};

/// A record's payload with its time decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordData {
    pub(super) timestamp: Timestamp,
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    pub(super) headers: Vec<RecordHeader>,
}

/// Length, attributes, time and offset deltas, and the lengths of key, value and header count, at most.
const RECORD_OVERHEAD: usize = 31;
/// The lengths of a header's name and value, at most.
const HEADER_OVERHEAD: usize = 10;

impl RecordData {
    /// Bytes in an uncompressed batch, at most.
    pub(super) fn size_bound(&self) -> usize {
        let part = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers: usize =
            self.headers.iter().map(|h| HEADER_OVERHEAD + h.key.len() + part(&h.value)).sum();
        RECORD_OVERHEAD + part(&self.key) + part(&self.value) + headers
    }
}

pub(super) type Reply = oneshot::Sender<Result<RecordMetadata, SendError>>;

/// Who wants to know the outcome of a record.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) seq: u64,
    pub(super) reply: Reply,
}

/// How one attempt to store a batch ended. `again` is whether another attempt can change anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AttemptEnd {
    /// With the offset of the first record, if the broker told.
    Stored(Option<Offset>),
    /// This attempt stored nothing.
    Refused { reason: Arc<str>, again: bool },
    /// This attempt may have stored the batch.
    Unclear { reason: Arc<str>, again: bool },
}

/// What became of a batch in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Stored(Option<Offset>),
    Failed(Arc<str>),
    Unknown(Arc<str>),
}

/// A batch that has got its outcome, and everybody who waits for it.
#[derive(Debug)]
pub(super) struct Resolution {
    pub(super) partition: TopicPartition,
    pub(super) waiters: Vec<Waiter>,
    /// Room in the buffer that is free again.
    pub(super) bytes: usize,
    pub(super) outcome: Outcome,
}

/// What an attempt is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct RetryPolicy {
    pub(super) retries: u32,
    pub(super) delivery_timeout: Duration,
}

/// One batch.
#[derive(Debug)]
pub(super) struct Batch {
    /// In order of opening, over all partitions.
    pub(super) id: u64,
    pub(super) waiters: Vec<Waiter>,
    /// Until they are encoded for the first attempt.
    /// Until they are encoded; shared with whoever does that, without the lock.
    pub(super) records: Arc<Vec<RecordData>>,
    pub(super) encoded: Option<Bytes>,
    pub(super) bytes: usize,
    /// When its first record was accepted.
    pub(super) opened: Instant,
    /// Nothing is added any more.
    pub(super) closed: bool,
    /// Not sent before, after a failed attempt.
    pub(super) not_before: Instant,
    pub(super) attempts: u32,
    /// Where the last attempt went.
    pub(super) sent_to: Option<Leader>,
    /// Some attempt may have stored it: from then on no failure of this batch is definite.
    maybe_stored: bool,
    last_error: Option<Arc<str>>,
}

impl Batch {
    pub(super) fn open(id: u64, now: Instant) -> Batch {
        Batch {
            id,
            waiters: Vec::new(),
            records: Arc::default(),
            encoded: None,
            bytes: 0,
            opened: now,
            closed: false,
            not_before: Instant::START,
            attempts: 0,
            sent_to: None,
            maybe_stored: false,
            last_error: None,
        }
    }

    pub(super) fn first_seq(&self) -> u64 {
        self.waiters.first().expect("a batch has records").seq
    }

    pub(super) fn last_seq(&self) -> u64 {
        self.waiters.last().expect("a batch has records").seq
    }

    pub(super) fn expires(&self, retry_policy: &RetryPolicy) -> Instant {
        self.opened + retry_policy.delivery_timeout
    }

    /// Whether it was sent to a broker that `leader` has followed as leader.
    pub(super) fn is_with_predecessor_of(&self, leader: Leader) -> bool {
        self.sent_to.is_some_and(|sent_to| sent_to.broker != leader.broker && sent_to.epoch < leader.epoch)
    }

    /// `None`: try again. `pause` gives the back-off after so many attempts.
    pub(super) fn judge(
        &mut self,
        end: AttemptEnd,
        now: Instant,
        retry_policy: &RetryPolicy,
        pause: impl FnOnce(u32) -> Duration,
    ) -> Option<Outcome> {
        let (reason, again) = match end {
            AttemptEnd::Stored(base) if self.has_room_for_offsets(base) => {
                return Some(Outcome::Stored(base));
            }
            AttemptEnd::Stored(base) => return Some(Outcome::Unknown(senseless(base))),
            AttemptEnd::Refused { reason, again } => (reason, again),
            AttemptEnd::Unclear { reason, again } => {
                self.maybe_stored = true;
                (reason, again)
            }
        };
        self.last_error = Some(Arc::clone(&reason));
        let next_try = now + pause(self.attempts);
        if again && self.attempts <= retry_policy.retries && next_try < self.expires(retry_policy) {
            self.not_before = next_try;
            return None;
        }
        Some(self.give_up(reason))
    }

    /// Whether each of its records can have the offset that follows from the first one's.
    fn has_room_for_offsets(&self, base: Option<Offset>) -> bool {
        let count = i64::try_from(self.waiters.len()).expect("a batch is far smaller");
        base.is_none_or(|base| base.0.checked_add(count).is_some())
    }

    /// The outcome of a batch that is not tried any more.
    pub(super) fn give_up(&self, reason: Arc<str>) -> Outcome {
        if self.maybe_stored { Outcome::Unknown(reason) } else { Outcome::Failed(reason) }
    }

    /// Why it is still here when its time runs out.
    pub(super) fn expiry_reason(&self) -> Arc<str> {
        match &self.last_error {
            Some(error) => format!("delivery timed out; last error: {error}").into(),
            None => "delivery timed out before the first attempt".into(),
        }
    }

    pub(super) fn resolve(self, partition: &TopicPartition, outcome: Outcome) -> Resolution {
        Resolution { partition: partition.clone(), waiters: self.waiters, bytes: self.bytes, outcome }
    }
}

fn senseless(base: Option<Offset>) -> Arc<str> {
    format!("the broker says that it is stored at offset {}", base.map_or(-1, |base| base.0)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY_POLICY: RetryPolicy = RetryPolicy { retries: 2, delivery_timeout: Duration::from_secs(10) };

    fn attempted(attempts: u32) -> Batch {
        let mut batch = Batch::open(0, Instant::START);
        batch.attempts = attempts;
        batch
    }

    fn judge(batch: &mut Batch, end: AttemptEnd) -> Option<Outcome> {
        batch.judge(end, Instant::START, &RETRY_POLICY, |_| Duration::from_millis(100))
    }

    fn refused(again: bool) -> AttemptEnd {
        AttemptEnd::Refused { reason: "refused".into(), again }
    }

    fn unclear(again: bool) -> AttemptEnd {
        AttemptEnd::Unclear { reason: "lost".into(), again }
    }

    #[test]
    fn a_refusal_for_good_is_a_definite_failure() {
        assert_eq!(judge(&mut attempted(1), refused(false)), Some(Outcome::Failed("refused".into())));
    }

    #[test]
    fn a_refusal_for_now_waits_and_goes_again() {
        let mut batch = attempted(1);
        assert_eq!(judge(&mut batch, refused(true)), None);
        assert_eq!(batch.not_before, Instant::START + Duration::from_millis(100));
    }

    #[test]
    fn retries_that_are_used_up_end_it() {
        assert_eq!(judge(&mut attempted(2), refused(true)), None);
        assert_eq!(judge(&mut attempted(3), refused(true)), Some(Outcome::Failed("refused".into())));
    }

    #[test]
    fn a_retry_that_could_not_end_in_time_is_not_begun() {
        let mut batch = attempted(1);
        let late = Instant::START + Duration::from_millis(9_950);
        let outcome = batch.judge(refused(true), late, &RETRY_POLICY, |_| Duration::from_millis(100));
        assert_eq!(outcome, Some(Outcome::Failed("refused".into())));
    }

    #[test]
    fn after_one_unclear_attempt_no_failure_is_definite() {
        let mut batch = attempted(1);
        assert_eq!(judge(&mut batch, unclear(true)), None);
        assert_eq!(judge(&mut batch, refused(false)), Some(Outcome::Unknown("refused".into())));
    }

    #[test]
    fn an_offset_behind_which_there_are_no_others_is_not_believed() {
        let mut batch = attempted(1);
        batch.waiters.push(Waiter { seq: 0, reply: oneshot::channel().0 });
        let outcome = judge(&mut batch, AttemptEnd::Stored(Some(Offset(i64::MAX))));
        assert!(matches!(outcome, Some(Outcome::Unknown(_))), "{outcome:?}");
    }

    #[test]
    fn after_an_unclear_attempt_a_confirmation_still_counts() {
        let mut batch = attempted(1);
        assert_eq!(judge(&mut batch, unclear(true)), None);
        let stored = judge(&mut batch, AttemptEnd::Stored(Some(Offset(7))));
        assert_eq!(stored, Some(Outcome::Stored(Some(Offset(7)))));
    }
}
