//! Named streams of seeded randomness: adding a draw to one leaves the others as they were.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::identity::{self, Identity};
use super::trace::mix;

pub use crate::runtime::random::Rng;

thread_local! {
    static SEED: Cell<u64> = const { Cell::new(0) };
    static TAKEN: RefCell<BTreeMap<(Identity, &'static str), u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// A stream of random numbers for one purpose. Depends on the seed, the purpose, the running node and its
/// incarnation, and how many streams of that purpose they took before.
pub fn stream(purpose: &'static str) -> Rng {
    let identity = identity::current();
    let nth = TAKEN.with_borrow_mut(|taken| {
        let count = taken.entry((identity, purpose)).or_default();
        *count += 1;
        *count
    });
    let place = u64::from(identity.node.0) << 32 | u64::from(identity.incarnation);
    Rng::from_seed_u64(mix(mix(mix(SEED.get(), purpose_hash(purpose)), place), nth))
}

/// The run's one stream for `purpose`, whoever asks; for the testbed and the plugins.
pub fn world_stream(purpose: &str) -> Rng {
    derive(SEED.get(), purpose)
}

/// The stream that `seed` has for `purpose`, outside of any run.
pub fn derive(seed: u64, purpose: &str) -> Rng {
    Rng::from_seed_u64(mix(seed, purpose_hash(purpose)))
}

/// A number that depends on the seed and `purpose` alone.
pub(super) fn seed_word(purpose: &str) -> u64 {
    mix(SEED.get(), purpose_hash(purpose))
}

fn purpose_hash(purpose: &str) -> u64 {
    purpose.bytes().fold(0, |hash, byte| mix(hash, u64::from(byte)))
}

pub(super) fn begin(seed: u64) {
    SEED.set(seed);
    TAKEN.with_borrow_mut(BTreeMap::clear);
}
