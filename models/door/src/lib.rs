//! A model of a partition's door: who waits for it, and who wakes whom. shuttle runs the product's own files (the places
//! of those who wait, and how one is taken and given up) thread by thread, in orders of its choosing. The same model finds
//! the bug that is planted beside them.
//!
//! A package of its own, so that nothing of the product is built with shuttle or waits for it. The log behind the door
//! is left out: two ends stand for it.
#![cfg(test)]
#![allow(clippy::disallowed_methods)] // shuttle's threads.

mod broker;

/// What the files under test find in their crate.
mod types {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Offset(pub i64);

    impl Offset {
        pub fn next(self) -> Offset {
            Offset(self.0 + 1)
        }
    }
}
