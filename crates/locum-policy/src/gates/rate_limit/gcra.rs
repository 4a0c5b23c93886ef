//! The meter under the limits: GCRA on exact rationals.
//!
//! The interval between units, T = period / rate, is kept as a fraction, so 3/s does not drift.
//! All times here are *ticks*: the largest unit of which both a nanosecond and T are whole numbers.

use std::num::{NonZeroU64, NonZeroU128};
use std::time::Duration;

use crate::Time;
use crate::text::Rate;

/// What a rate and a burst allow.
#[derive(Clone, Copy, Debug)]
pub struct Gcra {
    /// T in ticks.
    interval: NonZeroU64,
    /// A nanosecond in ticks.
    nano: NonZeroU64,
    burst: u64,
    /// burst * T in ticks.
    tolerance: u128,
}

/// What taking units leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The theoretical arrival time of the unit after the last one taken, in ticks.
    pub tat: u128,
    /// How far that lies ahead of the hit, in ticks.
    pub ahead: u128,
}

/// Why units cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// More at once than the burst.
    Never,
    /// Not before so many ticks have passed.
    Limited(u128),
}

impl Gcra {
    /// `rate`, and `burst` units at one instant.
    pub fn new(rate: Rate, burst: NonZeroU64) -> Self {
        let divisor = gcd(rate.period.get(), rate.count.get());
        let reduced = |value: NonZeroU64| {
            NonZeroU64::new(value.get() / divisor)
                .expect("a divisor is not larger than what it divides")
        };
        let interval = reduced(rate.period);
        let tolerance = u128::from(interval.get()) * u128::from(burst.get());
        Self { interval, nano: reduced(rate.count), burst: burst.get(), tolerance }
    }

    /// Takes `units` at `now` from a meter that stands at `tat`.
    ///
    /// # Errors
    ///
    /// The refusal; the meter then stays where it is.
    #[inline]
    pub fn hit(&self, tat: u128, now: Time, units: u64) -> Result<Hit, Refusal> {
        if units > self.burst {
            return Err(Refusal::Never);
        }
        let now = self.ticks(now);
        let tat = tat.max(now) + u128::from(self.interval.get()) * u128::from(units);
        let ahead = tat - now;
        match ahead.checked_sub(self.tolerance) {
            None | Some(0) => Ok(Hit { tat, ahead }),
            Some(early) => Err(Refusal::Limited(early)),
        }
    }

    /// Whole units left of a meter that stands `ahead` ticks ahead.
    #[inline]
    pub fn remaining(&self, ahead: u128) -> u64 {
        let left = self.tolerance.saturating_sub(ahead) / NonZeroU128::from(self.interval);
        u64::try_from(left).unwrap_or(u64::MAX)
    }

    /// Ticks as time, rounded up: never earlier than exact.
    #[inline]
    pub fn duration(&self, ticks: u128) -> Duration {
        let nanos =
            ticks.saturating_add(u128::from(self.nano.get() - 1)) / NonZeroU128::from(self.nano);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How many ticks `duration` has.
    pub fn ticks_of(&self, duration: Duration) -> u128 {
        duration.as_nanos().saturating_mul(u128::from(self.nano.get()))
    }

    /// `units` intervals in ticks.
    pub fn intervals(&self, units: u64) -> u128 {
        u128::from(self.interval.get()) * u128::from(units)
    }

    /// `now` in ticks.
    #[inline]
    pub fn ticks(&self, now: Time) -> u128 {
        u128::from(now.as_nanos()) * u128::from(self.nano.get())
    }

    /// Whether a meter fits into 64 bits for decades.
    pub(super) fn is_narrow(&self) -> bool {
        self.nano.get() <= 16 && self.tolerance < 1 << 60
    }
}

const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_a_second_does_not_drift() {
        let gcra = Gcra::new(Rate::per_second(3).unwrap(), NonZeroU64::new(2).unwrap());
        let (mut tat, mut taken) = (0, 0);
        for at in 0..=1_000_000 {
            if let Ok(hit) = gcra.hit(tat, Time::from_millis(at), 1) {
                (tat, taken) = (hit.tat, taken + 1);
            }
        }
        // The burst at once, and exactly three in each of the thousand seconds after it.
        assert_eq!(taken, 3_002);
        assert_eq!(tat, 3_002 * gcra.intervals(1));
    }
}
