//! The sliding log: every hit is kept until it is a whole period old. Exact, at the price of memory.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Time;
use crate::text::Rate;

use super::algorithm::{Algorithm, Ask, Hit, Level, Refusal, nanos};

/// Admits while the units of the last period, (now - period, now], and the cost are at most the count.
pub(super) struct Log {
    count: u64,
    /// In nanoseconds.
    period: u64,
}

/// The hits of the last period, oldest first; those of one instant are one.
#[derive(Debug, Default)]
pub(super) struct Hits {
    hits: VecDeque<Taken>,
    /// Invariant: the sum over `hits`.
    units: u64,
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    /// In nanoseconds.
    at: u64,
    units: u64,
}

impl Log {
    pub(super) const fn new(rate: Rate) -> Self {
        Self { count: rate.count.get(), period: rate.period.get() }
    }

    /// Until a hit is a period old, in nanoseconds.
    fn leaves(&self, hit: &Taken, now: Time) -> u128 {
        (u128::from(hit.at) + u128::from(self.period)).saturating_sub(u128::from(now.as_nanos()))
    }

    /// The shortest wait after which `units` have left.
    fn freed(&self, hits: &Hits, units: u64, now: Time) -> u128 {
        let mut left = 0;
        let enough = hits.hits.iter().find(|hit| {
            left += hit.units;
            left >= units
        });
        enough.map_or(0, |hit| self.leaves(hit, now))
    }
}

impl Algorithm for Log {
    type State = Hits;

    fn fresh(&self) -> Hits {
        Hits::default()
    }

    fn is_idle(&self, hits: &Hits, now: Time) -> bool {
        hits.hits.back().is_none_or(|last| self.leaves(last, now) == 0)
    }

    fn advance(&self, hits: &mut Hits, now: Time) {
        // After a quiet spell a million hits go at once, not one by one.
        if self.is_idle(hits, now) {
            hits.hits.clear();
            hits.units = 0;
        }
        while let Some(oldest) = hits.hits.front().filter(|oldest| self.leaves(oldest, now) == 0) {
            hits.units -= oldest.units;
            hits.hits.pop_front();
        }
    }

    fn decide(&self, hits: &Hits, ask: &Ask) -> Result<Hit, Refusal> {
        let Some(room) = self.count.checked_sub(ask.units) else { return Err(Refusal::Never) };
        match hits.units.checked_sub(room) {
            None | Some(0) => {
                let used = u128::from(hits.units + ask.units);
                let level = Level { used, reset: u128::from(self.period) };
                Ok(Hit { level, wait: Duration::ZERO })
            }
            Some(excess) => Err(Refusal::Limited(nanos(self.freed(hits, excess, ask.now)))),
        }
    }

    fn take(&self, hits: &mut Hits, ask: &Ask) {
        let Hits { hits, units: sum } = hits;
        let (at, units) = (ask.now.as_nanos(), ask.units);
        *sum += units;
        if let Some(last) = hits.back_mut().filter(|last| last.at >= at) {
            last.units += units;
            return;
        }
        if hits.len() == hits.capacity() {
            // A hit is a unit at least, so there are never more of them than the count.
            let most = usize::try_from(self.count).unwrap_or(usize::MAX);
            hits.reserve_exact((most - hits.len()).min(hits.len().max(4)));
        }
        hits.push_back(Taken { at, units });
    }

    fn level(&self, hits: &Hits, now: Time) -> Level {
        let reset = hits.hits.back().map_or(0, |last| self.leaves(last, now));
        Level { used: u128::from(hits.units), reset }
    }

    fn standing(&self, level: Level) -> (u64, Duration) {
        let used = u64::try_from(level.used).unwrap_or(u64::MAX);
        (self.count.saturating_sub(used), nanos(level.reset))
    }
}
