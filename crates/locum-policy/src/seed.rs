//! Random choices as pure functions of a seed, so that the same call decides the same way again.

/// A well mixed word from a seed and what the word is for (SplitMix64's finaliser).
pub const fn mix(seed: u64, purpose: u64) -> u64 {
    let mut word = seed.wrapping_add(purpose.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// What the choices made for the call numbered `id` follow from, where all follow from `seed`.
pub const fn of_call(seed: u64, id: u64) -> u64 {
    mix(mix(seed, CALLS), id)
}

/// The word for the choice of an endpoint by the call of `seed`, its `number`th.
pub const fn of_pick(seed: u64, number: u64) -> u64 {
    mix(seed, PICKS + number)
}

/// What the seed of the calls is for.
const CALLS: u64 = 0x6361_6c6c;
/// What the words for the choice of endpoints are for.
const PICKS: u64 = 0x7069_636b << 32;

/// A number in `0..=max`, as evenly spread as `word` is.
pub const fn up_to(word: u64, max: u64) -> u64 {
    ((word as u128 * (max as u128 + 1)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_a_range_are_reached() {
        assert_eq!((up_to(0, 9), up_to(u64::MAX, 9)), (0, 9));
        assert_eq!((up_to(0, u64::MAX), up_to(u64::MAX, u64::MAX)), (0, u64::MAX));
    }

    #[test]
    fn different_purposes_give_different_words() {
        assert_ne!(mix(1, 0), mix(1, 1));
        assert_ne!(mix(1, 0), mix(2, 0));
    }
}
