//! An allocator that knows how much memory its thread holds, for tests that bound it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts what its thread holds.
struct Counting;

thread_local! {
    static HELD_BYTES: Cell<usize> = const { Cell::new(0) };
    static PEAK_BYTES: Cell<usize> = const { Cell::new(0) };
}

fn taken(bytes: usize) {
    let held = HELD_BYTES.get().wrapping_add(bytes);
    HELD_BYTES.set(held);
    PEAK_BYTES.set(PEAK_BYTES.get().max(held));
}

#[allow(unsafe_code)]
// SAFETY: every call goes to the system's allocator unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // What another thread took is not this one's: saturating keeps such a release from counting as much.
        HELD_BYTES.set(HELD_BYTES.get().saturating_sub(layout.size()));
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most memory that `decode` held at once beyond what was held before, and its outcome.
pub fn peak_of<T>(decode: impl FnOnce() -> T) -> (usize, T) {
    let before = HELD_BYTES.get();
    PEAK_BYTES.set(before);
    let outcome = decode();
    (PEAK_BYTES.get() - before, outcome)
}
