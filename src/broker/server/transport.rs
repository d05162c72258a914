//! What carries a connection's bytes: plain TCP, and in time TLS.

use std::io;

use bytes::BytesMut;

use crate::runtime::net::{ReadHalf, Stream, WriteHalf};
use crate::runtime::{Pace, Segment};

pub(super) enum Transport {
    Plain(Stream),
}

pub(super) enum Incoming {
    Plain(ReadHalf),
}

pub(super) enum OutgoingHalf {
    Plain(WriteHalf),
}

impl Transport {
    pub fn into_split(self) -> (Incoming, OutgoingHalf) {
        match self {
            Transport::Plain(stream) => {
                let (read, write) = stream.into_split();
                (Incoming::Plain(read), OutgoingHalf::Plain(write))
            }
        }
    }
}

impl Incoming {
    /// As [`ReadHalf::read`].
    pub async fn read(&mut self, buffer: &mut BytesMut, limit: usize) -> io::Result<usize> {
        match self {
            Incoming::Plain(half) => half.read(buffer, limit).await,
        }
    }
}

impl OutgoingHalf {
    /// As [`WriteHalf::send_at_pace`].
    pub async fn send_at_pace(&mut self, segments: &mut Vec<Segment>, pace: Pace) -> io::Result<()> {
        match self {
            OutgoingHalf::Plain(half) => half.send_at_pace(segments, pace).await,
        }
    }
}
