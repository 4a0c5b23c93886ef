//! How waits between attempts grow: pure functions of a number and a random word.

use std::time::Duration;

use crate::seed::up_to;
use crate::text::words;

words! {
    /// How the waits between attempts grow; n is the number of the retry, c = min(cap, base * 2^(n-1)).
    pub enum Backoff {
        /// Anything in 0..=c.
        "full-jitter" => FullJitter,
        /// Half of c, and anything in 0..=c/2 more.
        "equal-jitter" => EqualJitter,
        /// Anything in base..=3 * the wait before, at most the cap.
        "decorrelated-jitter" => DecorrelatedJitter,
        /// c.
        "exponential" => Exponential,
        /// The base.
        "fixed" => Fixed,
    }
}

impl Backoff {
    /// The wait before retry number `n`, from 1; `previous` is the wait before the last one, at first
    /// the base. `word` decides what is random.
    pub fn wait(
        self,
        n: u32,
        previous: Duration,
        base: Duration,
        cap: Duration,
        word: u64,
    ) -> Duration {
        let doubled = 1_u32.checked_shl(n.saturating_sub(1)).unwrap_or(u32::MAX);
        let c = base.saturating_mul(doubled).min(cap);
        match self {
            Self::FullJitter => any_up_to(word, c),
            Self::EqualJitter => c / 2 + any_up_to(word, c / 2),
            Self::DecorrelatedJitter => {
                let widest = previous.saturating_mul(3).max(base);
                (base + any_up_to(word, widest - base)).min(cap)
            }
            Self::Exponential => c,
            Self::Fixed => base,
        }
    }
}

fn any_up_to(word: u64, most: Duration) -> Duration {
    Duration::from_nanos(up_to(word, u64::try_from(most.as_nanos()).unwrap_or(u64::MAX)))
}
