//! Small, fast randomness for spreading load; nothing secret depends on it.

use std::hash::{BuildHasher, RandomState};

/// A sequence of well-mixed numbers from one seed (SplitMix64, Steele et al. 2014).
#[derive(Clone, Debug, Default)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A seed that differs from process to process and from call to call.
pub(crate) fn seed() -> u64 {
    // The standard library seeds its hash maps from the system.
    RandomState::new().hash_one(0)
}
