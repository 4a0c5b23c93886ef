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

/// The score of an endpoint for a key, both hashed. Of several endpoints each has the highest as
/// often as its weight says: -weight / ln(u) for a `u` uniform in (0, 1).
pub(super) fn score(key: u64, endpoint: u64, weight: u32) -> f64 {
    // 53 bits and a half: never 0, never 1.
    let u = ((mix(key, endpoint) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(weight) / u.ln()
}

/// What the random word is for.
const HASH: u64 = 0x6861_7368;
