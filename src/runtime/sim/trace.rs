//! The trace: a running hash over everything that happened, which names a run bit for bit.
//!
//! Each event mixes (time, node, incarnation, kind, payload) into one `u64`. With `keep` on, the events
//! themselves are kept, so that two runs can be compared up to the first that differs.

use std::cell::RefCell;
use std::fmt;

use super::identity::{self, Identity};
use super::time;

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum Kind {
    Deliver = 1,
    Connect = 2,
    Close = 3,
    DiskWrite = 4,
    DiskSync = 5,
    DiskName = 6,
    DiskRead = 7,
    Timer = 8,
    Fact = 9,
    Life = 10,
    Fault = 11,
    Spawn = 12,
}

/// One event as kept for comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Event {
    pub nanos: u64,
    pub node: u32,
    pub incarnation: u32,
    pub kind: Kind,
    pub payload: u64,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.nanos / 1_000_000_000;
        let rest = self.nanos % 1_000_000_000;
        write!(
            f,
            "{seconds}.{rest:09}s node {}.{} {:?} {:016x}",
            self.node, self.incarnation, self.kind, self.payload
        )
    }
}

struct Trace {
    hash: u64,
    count: u64,
    limit: u64,
    kept: Option<Vec<Event>>,
}

thread_local! {
    static TRACE: RefCell<Trace> = const { RefCell::new(Trace { hash: 0, count: 0, limit: u64::MAX, kept: None }) };
}

/// More events than the run's limit: the seed spins without making progress.
pub const TOO_MANY_EVENTS: &str = "the run exceeded its limit of events";

/// States that something happened to the running identity.
pub fn event(kind: Kind, payload: u64) {
    event_of(identity::current(), kind, payload);
}

/// States that something happened to `identity`.
pub fn event_of(identity: Identity, kind: Kind, payload: u64) {
    let event = Event {
        nanos: time::world_now().as_nanos(),
        node: identity.node.0,
        incarnation: identity.incarnation,
        kind,
        payload,
    };
    TRACE.with_borrow_mut(|trace| {
        trace.count += 1;
        let place = u64::from(event.node) << 40 | u64::from(event.incarnation) << 8 | event.kind as u64;
        trace.hash = mix(mix(mix(trace.hash, event.nanos), place), event.payload);
        if let Some(kept) = &mut trace.kept {
            kept.push(event);
        }
    });
}

/// Panics if the run exceeded its limit. Asked before a task is polled, not where an event is stated: that
/// may be a destructor, in which a panic takes the whole process along.
pub(super) fn assert_within_limit() {
    TRACE.with_borrow(|trace| {
        assert!(trace.count <= trace.limit, "{TOO_MANY_EVENTS} ({})", trace.limit);
    });
}

/// A hash of bytes that is the same on every machine.
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    u64::from(crc32fast::hash(bytes)) << 32 | bytes.len() as u64
}

/// Mixes one word into a hash (the finaliser of splitmix64).
pub fn mix(hash: u64, word: u64) -> u64 {
    let mut z = hash.rotate_left(23) ^ word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The hash and the number of events so far.
pub fn summary() -> (u64, u64) {
    TRACE.with_borrow(|trace| (trace.hash, trace.count))
}

pub(super) fn begin(keep: bool, limit: u64) {
    TRACE.with_borrow_mut(|trace| {
        *trace = Trace { hash: 0, count: 0, limit, kept: keep.then(Vec::new) };
    });
}

pub(super) fn take_kept() -> Vec<Event> {
    TRACE.with_borrow_mut(|trace| trace.kept.take().unwrap_or_default())
}
