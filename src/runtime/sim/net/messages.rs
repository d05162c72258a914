//! Who said what to whom, kept while a run keeps everything: each frame with when it was sent and read.
//!
//! Looks and never touches: with keeping on or off a run is the same, bit for bit. Every protocol here puts
//! four bytes of length before a frame; what a frame means is the reader's business, who gets its first bytes.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::conns::{Conn, ConnKey};
use crate::runtime::Instant;
use crate::runtime::sim::identity::NodeId;
use crate::runtime::sim::world;

/// Bytes kept of the beginning of a frame, its length included.
const HEAD_BYTES: usize = 12;
/// A frame that claims to be longer is no frame.
const FRAME_BYTES_MAX: u32 = 256 << 20;
/// Messages kept of a run; later ones are not.
const MESSAGES_MAX: usize = 400_000;

/// One frame, from one process to another.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Message {
    pub sent_ns: u64,
    /// When the receiving process had read all of it; `None` if that never came.
    pub read_ns: Option<u64>,
    pub from: Arc<str>,
    pub to: Arc<str>,
    /// The connection, counted from 1 within a run.
    pub connection: u64,
    /// Whether the end that connected sent it: a request, where there are requests.
    pub is_from_connector: bool,
    /// The port of the end that accepted.
    pub port: u16,
    pub bytes: u64,
    /// The first bytes of the frame, behind its length.
    pub head: Vec<u8>,
}

struct Sent {
    from: NodeId,
    to: NodeId,
    message: Message,
}

/// What is known of one direction of a connection.
#[derive(Default)]
struct Way {
    sent: u64,
    read: u64,
    /// The frame that is being sent: what is known of its beginning, and how many of its bytes are to come.
    head: Vec<u8>,
    to_come: u64,
    current: Option<usize>,
    /// Frames on their way: where each ends in the stream, and its index.
    unread: VecDeque<(u64, usize)>,
}

#[derive(Default)]
struct Kept {
    messages: Vec<Sent>,
    ways: BTreeMap<(u64, usize), Way>,
}

thread_local! {
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

pub(in crate::runtime::sim) fn begin(keep: bool) {
    KEPT.set(keep.then(Kept::default));
}

/// The messages so far, in the order of their sending. The nodes must still be known.
pub(in crate::runtime::sim) fn take() -> Vec<Message> {
    let Some(kept) = KEPT.take() else { return Vec::new() };
    let mut names: BTreeMap<NodeId, Arc<str>> = BTreeMap::new();
    let mut name =
        |node| Arc::clone(names.entry(node).or_insert_with(|| Arc::from(world::name_of(node).as_str())));
    let messages = kept.messages.into_iter().map(|sent| {
        let (from, to) = (name(sent.from), name(sent.to));
        Message { from, to, ..sent.message }
    });
    messages.collect()
}

/// End `from` of the connection sends `piece`, the next of its stream.
pub(super) fn on_sent(key: ConnKey, from: usize, conn: &Conn, piece: &[u8], now: Instant) {
    KEPT.with_borrow_mut(|kept| {
        let Some(kept) = kept else { return };
        let nobody: Arc<str> = Arc::from("");
        let (sender, receiver) = conn.nodes(from);
        let begin = || Sent {
            from: sender,
            to: receiver,
            message: Message {
                sent_ns: now.as_nanos(),
                read_ns: None,
                from: Arc::clone(&nobody),
                to: Arc::clone(&nobody),
                connection: key.id,
                is_from_connector: from == 0,
                port: conn.ends[1].address.port(),
                bytes: 0,
                head: Vec::new(),
            },
        };
        let way = kept.ways.entry((key.id, from)).or_default();
        way.take(piece, &mut kept.messages, begin);
    });
}

/// The process at the other end has read `count` bytes more of what end `from` sent.
pub(super) fn on_read(key: ConnKey, from: usize, count: usize, now: Instant) {
    KEPT.with_borrow_mut(|kept| {
        let Some(kept) = kept else { return };
        let Some(way) = kept.ways.get_mut(&(key.id, from)) else { return };
        way.read += count as u64;
        while let Some(&(end, index)) = way.unread.front()
            && end <= way.read
        {
            kept.messages[index].message.read_ns = Some(now.as_nanos());
            way.unread.pop_front();
        }
    });
}

impl Way {
    fn take(&mut self, mut piece: &[u8], messages: &mut Vec<Sent>, begin: impl Fn() -> Sent) {
        while !piece.is_empty() {
            if self.current.is_none() {
                if messages.len() == MESSAGES_MAX {
                    return;
                }
                messages.push(begin());
                self.current = Some(messages.len() - 1);
                self.head.clear();
            }
            let Some(index) = self.current else { return };
            let message = &mut messages[index].message;
            if self.head.len() < 4 {
                let count = piece.len().min(4 - self.head.len());
                self.pass(&mut piece, count, message);
                if let Ok(length) = <[u8; 4]>::try_from(self.head.as_slice()) {
                    let length = u32::from_be_bytes(length);
                    // What is no frame ends with its piece.
                    let is_frame = length <= FRAME_BYTES_MAX;
                    self.to_come = if is_frame { length.into() } else { piece.len() as u64 };
                }
            } else {
                let count = piece.len().min(usize::try_from(self.to_come).unwrap_or(usize::MAX));
                self.to_come -= count as u64;
                self.pass(&mut piece, count, message);
            }
            if self.head.len() >= 4 && self.to_come == 0 {
                message.head = self.head.split_off(4);
                self.unread.push_back((self.sent, index));
                self.current = None;
            }
        }
    }

    /// Counts the first `count` bytes of `piece` as sent.
    fn pass(&mut self, piece: &mut &[u8], count: usize, message: &mut Message) {
        let (passed, rest) = piece.split_at(count);
        let wanted = HEAD_BYTES.saturating_sub(self.head.len()).min(count);
        self.head.extend_from_slice(&passed[..wanted]);
        self.sent += count as u64;
        message.bytes += count as u64;
        *piece = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> Sent {
        Sent {
            from: NodeId(1),
            to: NodeId(2),
            message: Message {
                sent_ns: 7,
                read_ns: None,
                from: "".into(),
                to: "".into(),
                connection: 1,
                is_from_connector: true,
                port: 9092,
                bytes: 0,
                head: Vec::new(),
            },
        }
    }

    fn frames_of(pieces: &[&[u8]]) -> (Way, Vec<(u64, Vec<u8>)>) {
        let (mut way, mut messages) = (Way::default(), Vec::new());
        for piece in pieces {
            way.take(piece, &mut messages, sent);
        }
        (way, messages.into_iter().map(|sent| (sent.message.bytes, sent.message.head)).collect())
    }

    #[test]
    fn frames_are_found_wherever_the_stream_is_cut_into_pieces() {
        let stream = b"\0\0\0\x03abc\0\0\0\0\0\0\0\x0a0123456789";
        let expected = vec![(7, b"abc".to_vec()), (4, Vec::new()), (14, b"01234567".to_vec())];
        for cut in 0..stream.len() {
            let (way, frames) = frames_of(&[&stream[..cut], &stream[cut..]]);
            assert_eq!(frames, expected, "cut at {cut}");
            let ends: Vec<u64> = way.unread.iter().map(|(end, _)| *end).collect();
            assert_eq!(ends, [7, 11, 25], "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_frame_ends_with_its_piece() {
        let (_, frames) = frames_of(&[b"ruok!", b"\0\0\0\x01a"]);
        assert_eq!(frames, vec![(5, b"!".to_vec()), (5, b"a".to_vec())]);
    }
}
