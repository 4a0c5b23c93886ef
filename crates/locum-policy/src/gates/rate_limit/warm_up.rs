//! A limit that begins cold: after a quiet spell the interval between units falls from
//! `cold_factor` * T to T.
//!
//! The formula is that of `SmoothWarmingUp` in Guava's `RateLimiter`: while nobody calls, permits are
//! stored; taking them costs more the more are stored. A call pays for itself in the wait of the next one.

use std::time::Duration;

use crate::Time;

use super::algorithm::{Algorithm, Ask, Hit, Level, Refusal};
use super::gcra::Gcra;

pub(super) struct WarmUp {
    /// Its ticks and its interval; it has no burst.
    gcra: Gcra,
    max_wait: Option<Duration>,
    /// Stored permits up to which a permit costs T.
    threshold: f64,
    most: f64,
    /// What each permit stored above the threshold adds to the interval, in ticks.
    slope: f64,
    /// Permits stored in an idle tick: all of them in `warm_up`.
    refill: f64,
}

/// Where a bucket stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Warmth {
    /// From when on the next call passes at once, in ticks. While the bucket is warm this is exact.
    next: u128,
    stored: f64,
}

impl WarmUp {
    pub(super) fn new(
        gcra: Gcra,
        warm_up: Duration,
        cold_factor: f64,
        max_wait: Option<Duration>,
    ) -> Self {
        let interval = gcra.intervals(1) as f64;
        let cold = cold_factor * interval;
        let warm_up = gcra.ticks_of(warm_up) as f64;
        let threshold = 0.5 * warm_up / interval;
        let most = threshold + 2.0 * warm_up / (interval + cold);
        let slope = (cold - interval) / (most - threshold);
        Self { gcra, max_wait, threshold, most, slope, refill: most / warm_up }
    }

    fn advanced(&self, state: Warmth, now: Time) -> Warmth {
        let now = self.gcra.ticks(now);
        match now.checked_sub(state.next) {
            None | Some(0) => state,
            Some(idle) => Warmth {
                next: now,
                stored: (state.stored + idle as f64 * self.refill).min(self.most),
            },
        }
    }

    fn after(&self, state: &Warmth, units: u64) -> Warmth {
        let wanted = units as f64;
        let above = (state.stored - self.threshold).max(0.0);
        let cold = above.min(wanted);
        // The area under a line that falls from `above` to `above - cold`.
        let surcharge = self.slope * cold * (2.0 * above - cold) / 2.0;
        let cost = self.gcra.intervals(units).saturating_add(surcharge.ceil() as u128);
        Warmth { next: state.next.saturating_add(cost), stored: (state.stored - wanted).max(0.0) }
    }
}

impl Algorithm for WarmUp {
    type State = Warmth;

    fn fresh(&self) -> Warmth {
        Warmth { next: 0, stored: self.most }
    }

    fn is_idle(&self, state: &Warmth, now: Time) -> bool {
        state.next <= self.gcra.ticks(now) && self.advanced(*state, now).stored >= self.most
    }

    fn advance(&self, state: &mut Warmth, now: Time) {
        *state = self.advanced(*state, now);
    }

    fn decide(&self, state: &Warmth, ask: &Ask) -> Result<Hit, Refusal> {
        let wait = self.standing(self.level(state, ask.now)).1;
        match wait.checked_sub(ask.patience(self.max_wait)) {
            None | Some(Duration::ZERO) => {
                Ok(Hit { level: self.level(&self.after(state, ask.units), ask.now), wait })
            }
            Some(beyond) => Err(Refusal::TooLate(beyond)),
        }
    }

    fn take(&self, state: &mut Warmth, ask: &Ask) {
        *state = self.after(state, ask.units);
    }

    fn level(&self, state: &Warmth, now: Time) -> Level {
        let ahead = state.next.saturating_sub(self.gcra.ticks(now));
        Level { used: ahead, reset: ahead }
    }

    /// One unit is left when a call would not wait.
    fn standing(&self, level: Level) -> (u64, Duration) {
        (u64::from(level.used == 0), self.gcra.duration(level.reset))
    }
}
