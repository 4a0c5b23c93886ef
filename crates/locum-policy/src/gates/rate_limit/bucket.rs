//! The token bucket and the leaky bucket: one meter, which refuses or spaces out what comes too early.

use std::time::Duration;

use crate::Time;

use super::algorithm::{Algorithm, Ask, Hit, Level, Refusal};
use super::gcra::{self, Gcra};

pub(super) struct Bucket {
    gcra: Gcra,
    /// Of a leaky bucket.
    shape: Option<Shape>,
}

struct Shape {
    /// What may be ahead without a wait, in ticks.
    free: u128,
    max_wait: Option<Duration>,
}

impl Bucket {
    /// Refuses what comes too early.
    pub(super) const fn token(gcra: Gcra) -> Self {
        Self { gcra, shape: None }
    }

    /// Lets the first `free` units of excess pass, and the rest wait for their turn.
    pub(super) fn leaky(gcra: Gcra, free: u64, max_wait: Option<Duration>) -> Self {
        Self { gcra, shape: Some(Shape { free: gcra.intervals(free), max_wait }) }
    }

    /// Whether a state fits into 64 bits for decades.
    pub(super) fn is_narrow(&self) -> bool {
        self.gcra.is_narrow()
    }
}

impl Algorithm for Bucket {
    /// The theoretical arrival time of the next unit, in ticks.
    type State = u128;

    fn fresh(&self) -> u128 {
        0
    }

    fn is_idle(&self, tat: &u128, now: Time) -> bool {
        *tat <= self.gcra.ticks(now)
    }

    #[inline]
    fn advance(&self, _: &mut u128, _: Time) {}

    #[inline]
    fn decide(&self, tat: &u128, ask: &Ask) -> Result<Hit, Refusal> {
        let hit = self.gcra.hit(*tat, ask.now, ask.units).map_err(|refusal| match refusal {
            gcra::Refusal::Never => Refusal::Never,
            gcra::Refusal::Limited(early) => Refusal::Limited(self.gcra.duration(early)),
        })?;
        let level = Level { used: hit.ahead, reset: hit.ahead };
        let Some(shape) = &self.shape else { return Ok(Hit { level, wait: Duration::ZERO }) };
        let wait = self.gcra.duration(hit.ahead.saturating_sub(shape.free));
        match wait.checked_sub(ask.patience(shape.max_wait)) {
            None | Some(Duration::ZERO) => Ok(Hit { level, wait }),
            Some(beyond) => Err(Refusal::TooLate(beyond)),
        }
    }

    #[inline]
    fn take(&self, tat: &mut u128, ask: &Ask) {
        *tat = (*tat).max(self.gcra.ticks(ask.now)) + self.gcra.intervals(ask.units);
    }

    #[inline]
    fn level(&self, tat: &u128, now: Time) -> Level {
        let ahead = tat.saturating_sub(self.gcra.ticks(now));
        Level { used: ahead, reset: ahead }
    }

    fn standing(&self, level: Level) -> (u64, Duration) {
        (self.gcra.remaining(level.used), self.gcra.duration(level.reset))
    }
}
