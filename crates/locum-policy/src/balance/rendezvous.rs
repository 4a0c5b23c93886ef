//! Highest random weight: each endpoint has a score for each key, and the highest takes it (Thaler
//! and Ravishankar, 1998). When an endpoint goes, only its own keys move; when one comes, keys move
//! only to it.

use crate::seed::mix;

/// FNV-1a and a finaliser: the same in every run and on every instance, which is the point.
pub fn hash(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    mix(hash, HASH)
}

/// What an endpoint has drawn for a key, both hashed.
pub(super) struct Draw {
    /// 53 bits of chance.
    word: u64,
    weight: u32,
}

impl Draw {
    pub(super) fn new(key: u64, endpoint: u64, weight: u32) -> Self {
        Self { word: mix(key, endpoint) >> 11, weight }
    }

    /// Whether its score is the higher. Among equal weights that is the higher word, and no logarithm is taken.
    pub(super) fn beats(&self, other: &Self) -> bool {
        if self.weight == other.weight {
            return self.word > other.word;
        }
        self.score() > other.score()
    }

    /// Of several endpoints each has the highest as often as its weight says: -weight / ln(u) for a `u` uniform in
    /// (0, 1).
    fn score(&self) -> f64 {
        // Half a step more: never 0, never 1.
        let u = (self.word as f64 + 0.5) / (1_u64 << 53) as f64;
        -f64::from(self.weight) / u.ln()
    }
}

/// What the random word is for.
const HASH: u64 = 0x6861_7368;
