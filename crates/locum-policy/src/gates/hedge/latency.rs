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
    halves: [Half; 2],
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
        Self {
            percent,
            newest: AtomicU64::new(0),
            halves: [Half::new(), Half::new()],
            fresh: AtomicU32::new(0),
            known: AtomicU64::new(UNKNOWN),
        }
    }

    /// An attempt took so long, as seen at `now`.
    pub fn record(&self, took: Duration, now: Time) {
        let turned = self.turn(now.as_nanos() / HALF);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.half(self.newest.load(Ordering::Relaxed)).count(slot(nanos));
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
        self.half(index).forget();
        if index > newest + 1 {
            self.half(index + 1).forget();
        }
        true
    }

    fn half(&self, index: u64) -> &Half {
        &self.halves[usize::from(index % 2 == 1)]
    }

    fn reckon(&self) -> u64 {
        let [even, odd] = &self.halves;
        let total: u64 = (0..OCTAVES).map(|octave| even.octave(octave) + odd.octave(octave)).sum();
        if total < ENOUGH {
            return UNKNOWN;
        }
        let mut left = (total * u64::from(self.percent)).div_ceil(100);
        let mut reaches = |count: u64| {
            let reaches = count >= left;
            if !reaches {
                left -= count;
            }
            reaches
        };
        let octave =
            (0..OCTAVES).find(|octave| reaches(even.octave(*octave) + odd.octave(*octave)));
        let Some(octave) = octave else { return UNKNOWN };
        let mut slots = octave << LINEAR..(octave + 1) << LINEAR;
        // Others may count between these looks, so that an octave seems to have more than its slots.
        let last = slots.end - 1;
        let reached = slots.find(|slot| reaches(even.slot(*slot) + odd.slot(*slot)));
        upper_end(reached.unwrap_or(last))
    }
}

/// How often durations of each slot were seen.
struct Half {
    slots: Box<[AtomicU32]>,
    /// The same by powers of two, so that a percentile is found by a look at 65 numbers of 1,056.
    octaves: [AtomicU32; OCTAVES],
}

impl Half {
    fn new() -> Self {
        Self {
            slots: (0..OCTAVES << LINEAR).map(|_| AtomicU32::new(0)).collect(),
            octaves: [const { AtomicU32::new(0) }; OCTAVES],
        }
    }

    fn count(&self, slot: usize) {
        self.slots[slot].fetch_add(1, Ordering::Relaxed);
        self.octaves[slot >> LINEAR].fetch_add(1, Ordering::Relaxed);
    }

    fn slot(&self, slot: usize) -> u64 {
        self.slots[slot].load(Ordering::Relaxed).into()
    }

    fn octave(&self, octave: usize) -> u64 {
        self.octaves[octave].load(Ordering::Relaxed).into()
    }

    fn forget(&self) {
        self.slots.iter().chain(&self.octaves).for_each(|count| count.store(0, Ordering::Relaxed));
    }
}

/// Slots below 2^`LINEAR` are one nanosecond wide, then each power of two has 2^`LINEAR` of them.
const LINEAR: u32 = 5;
const TOP: u32 = 37;
const OCTAVES: usize = (TOP - LINEAR + 1) as usize;

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
        let last = (OCTAVES << LINEAR) - 1;
        assert_eq!(slot(u64::MAX), last);
        assert_eq!(upper_end(last), (1 << TOP) - 1);
    }
}
