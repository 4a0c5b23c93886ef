//! Shares compared in integers: 0.07 of 100 is 7, not 7.000000000000001.

/// A share in billionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ratio(u64);

const BILLION: u64 = 1_000_000_000;

impl Ratio {
    /// The nearest billionth to `share`, which is finite, not negative and at most a billion.
    pub(crate) fn nearest(share: f64) -> Self {
        debug_assert!((0.0..=1e9).contains(&share));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in range, see above"
        )]
        Self((share * 1e9).round() as u64)
    }

    /// Whether `part` is at least this share of `whole`.
    pub(crate) fn reached_by(self, part: u64, whole: u64) -> bool {
        u128::from(part) * u128::from(BILLION) >= u128::from(self.0) * u128::from(whole)
    }

    /// This share of `whole`, in billionths.
    pub(crate) fn billionths_of(self, whole: u64) -> u128 {
        u128::from(self.0) * u128::from(whole)
    }

    /// This share of `whole`, rounded down.
    pub(crate) fn of(self, whole: u64) -> u64 {
        let share = u128::from(self.0) * u128::from(whole) / u128::from(BILLION);
        u64::try_from(share).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_shares_are_exact() {
        let seven = Ratio::nearest(0.07);
        assert!(seven.reached_by(7, 100));
        assert!(!seven.reached_by(6, 100));
        assert_eq!(Ratio::nearest(0.9999).of(10_000), 9_999);
        assert_eq!(Ratio::nearest(0.75).of(100), 75);
        assert_eq!(Ratio::nearest(0.29).of(100), 29);
    }
}
