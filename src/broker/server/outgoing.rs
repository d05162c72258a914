//! A connection's replies, gathered in request order until they are sent with one write.

use std::io;

use super::transport::OutgoingHalf;
use crate::protocol::{Message, Piece, RequestHeader, Writer, encode_response_into};
use crate::runtime::{FileRange, Pace, Segment};

/// Replies are sent when they take this much memory, even if more requests have arrived.
const GATHERED_BYTES_MAX: usize = 1024 * 1024;
const GATHERED_RANGES_MAX: usize = 1024;

pub(super) struct Outgoing {
    half: OutgoingHalf,
    writer: Writer,
    /// What fills the writer's holes, in their order.
    ranges: Vec<FileRange>,
    segments: Vec<Segment>,
}

/// Why replies were not sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("the client does not read")]
    NotReading,
    #[error(transparent)]
    Io(io::Error),
}

impl Outgoing {
    pub fn new(half: OutgoingHalf) -> Outgoing {
        Outgoing { half, writer: Writer::new(), ranges: Vec::new(), segments: Vec::new() }
    }

    /// Adds a reply.
    pub fn reply<M: Message>(&mut self, to: &RequestHeader, response: &M) {
        self.reply_in_version(to, to.api_version, response);
    }

    /// Adds a reply in another version than the request's.
    pub fn reply_in_version<M: Message>(&mut self, to: &RequestHeader, version: i16, response: &M) {
        encode_response_into(&mut self.writer, to.api_key, version, to.correlation_id, response);
    }

    /// Adds a reply whose holes `ranges` fill, in order; none is empty.
    pub fn reply_with<M: Message>(
        &mut self,
        to: &RequestHeader,
        response: &M,
        ranges: impl Iterator<Item = FileRange>,
    ) {
        self.reply(to, response);
        self.ranges.extend(ranges);
    }

    /// Whether it is time to send: replies take memory, and a client can ask for many of them at once.
    pub fn is_full(&self) -> bool {
        self.writer.len() >= GATHERED_BYTES_MAX || self.ranges.len() >= GATHERED_RANGES_MAX
    }

    pub fn is_empty(&self) -> bool {
        self.writer.is_empty() && self.ranges.is_empty()
    }

    /// Bytes that the replies take in memory, ranges of files aside.
    pub fn memory(&self) -> usize {
        self.writer.len()
    }

    /// Bytes gathered.
    pub fn len(&self) -> u64 {
        self.writer.len() as u64 + self.ranges.iter().map(|range| range.len).sum::<u64>()
    }

    /// Sends what was gathered, for as long as the client keeps to `pace`. After an error, or if dropped, the connection
    /// must be closed.
    pub async fn send(&mut self, pace: Pace) -> Result<(), SendError> {
        self.gather();
        self.half.send_at_pace(&mut self.segments, pace).await.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => SendError::NotReading,
            _ => SendError::Io(error),
        })
    }

    fn gather(&mut self) {
        let mut ranges = self.ranges.drain(..);
        for piece in self.writer.take_pieces() {
            self.segments.push(match piece {
                Piece::Bytes(bytes) => Segment::Bytes(bytes),
                Piece::Hole { len } => {
                    let range = ranges.next().expect("every hole has its range");
                    assert_eq!(range.len, u64::from(len), "a hole is as long as its range");
                    Segment::File(range)
                }
            });
        }
        assert!(ranges.next().is_none(), "every range has its hole");
    }
}
