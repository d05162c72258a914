//! Memory to unpack into, kept from batch to batch.
//!
//! One buffer a thread: unpacking never waits, so no more of them are in use at a time. A buffer grows with what
//! really comes out of a codec, never with what a batch claims, and is given back when it was used for a large one.

use std::cell::RefCell;

use super::{BatchError, Compression, compression};

/// What a thread keeps: larger than nearly every batch.
const KEPT_BYTES_MAX: usize = 1 << 20;

thread_local! {
    static PLAIN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Unpacks to at most `limit` bytes and shows them to `look`, which must not unpack anything itself.
pub(super) fn with_unpacked<T>(
    codec: Compression,
    packed: &[u8],
    limit: usize,
    look: impl FnOnce(&[u8]) -> Result<T, BatchError>,
) -> Result<T, BatchError> {
    PLAIN.with_borrow_mut(|plain| {
        plain.clear();
        let seen = compression::decompress_into(codec, packed, limit, plain).and_then(|()| {
            assert!(plain.len() <= limit, "no codec unpacks beyond the limit");
            look(plain)
        });
        if plain.capacity() > KEPT_BYTES_MAX {
            *plain = Vec::new();
        }
        seen
    })
}
