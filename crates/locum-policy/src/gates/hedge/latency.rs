//! How long attempts take, observed without a lock in bounded space.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::Time;

/// A percentile of the durations of the last minute, or a little less: they are counted in two halves of
/// 30 s, and the older one is forgotten when a third begins. Known from 20 durations on.
///
/// Durations are counted in slots of about 3 % (32 to each power of two: a log-linear histogram, as in
/// HdrHistogram), up to 137 s; a percentile is the upper end of its slot. It is reckoned anew with every
/// sixteenth duration and at the turn of a half, so what it costs is spread over many calls. Threads that
/// count at the turn of a half may lose a few.
pub struct Latency {
    percent: u8,
    /// The number of the newest half, floor(now / `HALF`).
    newest: AtomicU64,
    halves: [Box<[AtomicU32]>; 2],
    /// Counted since the percentile was reckoned.
    fresh: AtomicU32,
    /// In nanoseconds; `UNKNOWN` while there is too little to say.
    known: AtomicU64,
}

const HALF: u64 = 30_000_000_000;
const ENOUGH: u64 = 20;
const REFRESH: u32 = 16;
const UNKNOWN: u64 = u64::MAX;

impl Latency {
    /// Of nothing yet. `percent` is from 1 to 100.
    pub fn new(percent: u8) -> Self {
        let half = || (0..SLOTS).map(|_| AtomicU32::new(0)).collect();
        Self {
            percent,
            newest: AtomicU64::new(0),
            halves: [half(), half()],
            fresh: AtomicU32::new(0),
            known: AtomicU64::new(UNKNOWN),
        }
    }

    /// An attempt took so long, as seen at `now`.
    pub fn record(&self, took: Duration, now: Time) {
        let turned = self.turn(now.as_nanos() / HALF);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let newest = self.newest.load(Ordering::Relaxed);
        self.half(newest)[slot(nanos)].fetch_add(1, Ordering::Relaxed);
        let fresh = self.fresh.fetch_add(1, Ordering::Relaxed) + 1;
        if turned || fresh >= REFRESH {
            self.fresh.store(0, Ordering::Relaxed);
            self.known.store(self.reckon(), Ordering::Relaxed);
        }
    }

    /// The percentile, if enough was recorded lately.
    pub fn percentile(&self, now: Time) -> Option<Duration> {
        let known = self.known.load(Ordering::Relaxed);
        let forgotten = now.as_nanos() / HALF > self.newest.load(Ordering::Relaxed) + 1;
        (known != UNKNOWN && !forgotten).then(|| Duration::from_nanos(known))
    }

    /// Begins half `index` unless it has begun; tells whether this call began it.
    fn turn(&self, index: u64) -> bool {
        let newest = self.newest.load(Ordering::Relaxed);
        if index <= newest {
            return false;
        }
        let begun =
            self.newest.compare_exchange(newest, index, Ordering::Relaxed, Ordering::Relaxed);
        if begun.is_err() {
            return false;
        }
        let forget = |half: &[AtomicU32]| {
            half.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        };
        forget(self.half(index));
        if index > newest + 1 {
            forget(self.half(index + 1));
        }
        true
    }

    fn half(&self, index: u64) -> &[AtomicU32] {
        &self.halves[usize::from(index % 2 == 1)]
    }

    fn reckon(&self) -> u64 {
        let counts = || {
            let [even, odd] = &self.halves;
            even.iter().zip(odd).map(|(even, odd)| {
                u64::from(even.load(Ordering::Relaxed)) + u64::from(odd.load(Ordering::Relaxed))
            })
        };
        let total: u64 = counts().sum();
        if total < ENOUGH {
            return UNKNOWN;
        }
        let rank = (total * u64::from(self.percent)).div_ceil(100);
        let mut seen = 0;
        let reached = counts().position(|count| {
            seen += count;
            seen >= rank
        });
        reached.map_or(UNKNOWN, upper_end)
    }
}

/// Slots below 2^`LINEAR` are one nanosecond wide, then each power of two has 2^`LINEAR` of them.
const LINEAR: u32 = 5;
const TOP: u32 = 37;
const SLOTS: usize = ((TOP - LINEAR + 1) as usize) << LINEAR;

fn slot(nanos: u64) -> usize {
    let nanos = nanos.min((1 << TOP) - 1);
    let shift = nanos.checked_ilog2().unwrap_or(0).saturating_sub(LINEAR);
    // The leading bit of what is left after the shift is the first slot of its power of two.
    ((shift as usize) << LINEAR) + (nanos >> shift) as usize
}

/// The longest duration of a slot, in nanoseconds.
fn upper_end(slot: usize) -> u64 {
    let shift = (slot >> LINEAR).saturating_sub(1);
    let leading = slot - (shift << LINEAR);
    ((leading as u64 + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_in_its_slot_and_close_to_its_end() {
        let mut nanos = 0;
        while nanos < 1 << TOP {
            let end = upper_end(slot(nanos));
            assert!((nanos..=nanos + nanos / 32).contains(&end), "{nanos} ends at {end}");
            assert!(nanos == 0 || upper_end(slot(nanos - 1)) <= end);
            nanos += 1 + nanos / 7;
        }
        assert_eq!(slot(u64::MAX), SLOTS - 1);
        assert_eq!(upper_end(SLOTS - 1), (1 << TOP) - 1);
    }
}
