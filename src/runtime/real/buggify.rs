//! Buggify points are off on a real machine.

/// Whether the named rare event happens here and now: never.
#[inline(always)]
pub const fn fires(_point: &'static str) -> bool {
    false
}
