//! The sliding window: two counts, of which the older fades as its window slides out of sight.

use std::time::Duration;

use crate::Time;
use crate::text::Rate;

use super::algorithm::{Algorithm, Ask, Hit, Level, Refusal, nanos};

/// Admits while previous * overlap + current + cost <= count. Windows are one period of the rate
/// long and aligned to the start of the axis. All shares are compared as whole multiples of 1 / period.
pub(super) struct Window {
    count: u64,
    /// In nanoseconds.
    period: u64,
}

/// The units taken in the window of that index and in the one before it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    index: u64,
    previous: u64,
    current: u64,
}

impl Window {
    pub(super) const fn new(rate: Rate) -> Self {
        Self { count: rate.count.get(), period: rate.period.get() }
    }

    fn advanced(&self, counts: Counts, now: Time) -> Counts {
        let index = now.as_nanos() / self.period;
        match index.checked_sub(counts.index) {
            None | Some(0) => counts,
            Some(1) => Counts { index, previous: counts.current, current: 0 },
            Some(_) => Counts { index, previous: 0, current: 0 },
        }
    }

    /// How far into its window `now` is, in nanoseconds.
    const fn offset(&self, counts: &Counts, now: Time) -> u64 {
        now.as_nanos().saturating_sub(counts.index * self.period)
    }

    /// previous * overlap + current, times the period.
    fn weight(&self, counts: &Counts, offset: u64) -> u128 {
        u128::from(counts.previous) * u128::from(self.period - offset)
            + u128::from(counts.current) * u128::from(self.period)
    }

    /// How far into a window the one before it weighs no more than `room`.
    fn faded(&self, previous: u64, room: u64) -> u128 {
        if previous <= room {
            return 0;
        }
        let period = u128::from(self.period);
        period - u128::from(room) * period / u128::from(previous)
    }
}

impl Algorithm for Window {
    type State = Counts;

    fn fresh(&self) -> Counts {
        Counts::default()
    }

    fn is_idle(&self, counts: &Counts, now: Time) -> bool {
        let counts = self.advanced(*counts, now);
        counts.previous == 0 && counts.current == 0
    }

    fn advance(&self, counts: &mut Counts, now: Time) {
        *counts = self.advanced(*counts, now);
    }

    fn decide(&self, counts: &Counts, ask: &Ask) -> Result<Hit, Refusal> {
        let Some(room) = self.count.checked_sub(ask.units) else { return Err(Refusal::Never) };
        let offset = self.offset(counts, ask.now);
        if self.weight(counts, offset) <= u128::from(room) * u128::from(self.period) {
            let after = Counts { current: counts.current + ask.units, ..*counts };
            return Ok(Hit { level: self.level(&after, ask.now), wait: Duration::ZERO });
        }
        let passes = match room.checked_sub(counts.current) {
            // Later in this window, or where the next one begins.
            Some(room) => self.faded(counts.previous, room),
            None => u128::from(self.period) + self.faded(counts.current, room),
        };
        Err(Refusal::Limited(nanos(passes - u128::from(offset))))
    }

    fn take(&self, counts: &mut Counts, ask: &Ask) {
        counts.current += ask.units;
    }

    fn level(&self, counts: &Counts, now: Time) -> Level {
        let offset = self.offset(counts, now);
        let reset = match (counts.current, counts.previous) {
            (0, 0) => 0,
            (0, _) => u128::from(self.period - offset),
            _ => 2 * u128::from(self.period) - u128::from(offset),
        };
        Level { used: self.weight(counts, offset), reset }
    }

    fn standing(&self, level: Level) -> (u64, Duration) {
        let used = level.used.div_ceil(u128::from(self.period));
        (self.count.saturating_sub(u64::try_from(used).unwrap_or(u64::MAX)), nanos(level.reset))
    }
}
