//! Randomness from the operating system.

use rand::TryRng;

pub use crate::runtime::random::Rng;

/// A stream of random numbers for one purpose; seeded by the operating system.
pub fn stream(_purpose: &'static str) -> Rng {
    let mut seed = [0_u8; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut seed).expect("the operating system has no randomness to give");
    Rng::from_seed(seed)
}
