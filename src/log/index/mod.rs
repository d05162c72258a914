//! Look-up tables beside a segment. They hold no truth: every one can be made anew from the segment's batches.
//!
//! `time` comes later.

pub(super) mod offset;
