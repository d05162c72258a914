//! Hashes a history entry to the same number on every machine.
//!
//! `Hash` implementations feed integers and bytes; only how they are mixed is decided here.

use std::hash::{Hash, Hasher};

use seedlog::runtime::sim::trace;

/// The stable hash of `value`.
pub fn stable_hash(value: &impl Hash) -> u64 {
    let mut hasher = StableHasher(0);
    value.hash(&mut hasher);
    hasher.finish()
}

struct StableHasher(u64);

impl StableHasher {
    fn word(&mut self, word: u64) {
        self.0 = trace::mix(self.0, word);
    }
}

impl Hasher for StableHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.word(trace::hash_bytes(bytes));
    }

    fn write_u8(&mut self, word: u8) {
        self.word(word.into());
    }

    fn write_u16(&mut self, word: u16) {
        self.word(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.word(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.word(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.word(word as u64);
    }

    fn write_i32(&mut self, word: i32) {
        self.word(word as u64);
    }

    fn write_i64(&mut self, word: i64) {
        self.word(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.word(word as u64);
    }
}
