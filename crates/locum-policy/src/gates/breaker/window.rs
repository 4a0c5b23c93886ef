//! What a breaker remembers of finished calls: a stretch of time, or the last N of them.

use crate::Time;
use crate::buckets::Buckets;

use super::Shape;

/// Finished calls, and how many of them failed or were slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) calls: u64,
    pub(super) failures: u64,
    pub(super) slow: u64,
}

pub(super) enum Window {
    Time(Buckets<3>),
    Last(Ring),
}

impl Window {
    pub(super) fn new(shape: Shape) -> Self {
        match shape {
            Shape::Time { width, buckets } => Self::Time(Buckets::new(width, buckets)),
            Shape::Last(length) => Self::Last(Ring::new(length)),
        }
    }

    /// One call finished at `at`.
    pub(super) fn record(&mut self, at: Time, failed: bool, slow: bool) {
        match self {
            Self::Time(buckets) => buckets.add(at, [1, failed.into(), slow.into()]),
            Self::Last(ring) => ring.push(failed, slow),
        }
    }

    /// `calls` quick successes finished in the newest bucket.
    pub(super) fn record_successes(&mut self, calls: u64) {
        match self {
            Self::Time(buckets) => buckets.add(Time::from_nanos(buckets.newest().0), [calls, 0, 0]),
            Self::Last(ring) => ring.push_successes(calls),
        }
    }

    /// What is remembered at `now`.
    pub(super) fn counts(&mut self, now: Time) -> Counts {
        match self {
            Self::Time(buckets) => {
                buckets.advance(now);
                let [calls, failures, slow] = buckets.total();
                Counts { calls, failures, slow }
            }
            Self::Last(ring) => ring.counts,
        }
    }

    /// The stretch of time, in nanoseconds, in which a new call lands in the newest bucket.
    pub(super) fn stretch(&self) -> (u64, u64) {
        match self {
            Self::Time(buckets) => buckets.newest(),
            Self::Last(_) => (0, u64::MAX),
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::Time(buckets) => buckets.clear(),
            Self::Last(ring) => *ring = Ring::new(ring.length),
        }
    }
}

/// The last `length` outcomes, two bits each.
pub(super) struct Ring {
    length: usize,
    next: usize,
    failed: Box<[u64]>,
    slow: Box<[u64]>,
    /// Invariant: what the bits of the remembered outcomes add up to.
    counts: Counts,
}

impl Ring {
    fn new(length: usize) -> Self {
        let words = || vec![0; length.div_ceil(64)].into();
        Self { length, next: 0, failed: words(), slow: words(), counts: Counts::default() }
    }

    fn push(&mut self, failed: bool, slow: bool) {
        let (word, bit) = (self.next / 64, self.next % 64);
        for (bits, count, now) in [
            (&mut self.failed, &mut self.counts.failures, failed),
            (&mut self.slow, &mut self.counts.slow, slow),
        ] {
            // A place not used yet has a zero bit, so there is nothing to take off the count.
            *count -= bits[word] >> bit & 1;
            *count += u64::from(now);
            bits[word] = bits[word] & !(1 << bit) | u64::from(now) << bit;
        }
        self.counts.calls = (self.counts.calls + 1).min(self.length as u64);
        self.next = (self.next + 1) % self.length;
    }

    fn push_successes(&mut self, calls: u64) {
        if calls >= self.length as u64 {
            *self = Self::new(self.length);
            self.counts.calls = self.length as u64;
            return;
        }
        for _ in 0..calls {
            self.push(false, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_forgets_what_is_older_than_its_length() {
        let mut ring = Ring::new(3);
        for failed in [true, true, false, false] {
            ring.push(failed, !failed);
        }
        assert_eq!(ring.counts, Counts { calls: 3, failures: 1, slow: 2 });
    }

    #[test]
    fn many_successes_at_once_equal_as_many_single_ones() {
        for successes in 0..8 {
            let (mut at_once, mut singly) = (Ring::new(5), Ring::new(5));
            for ring in [&mut at_once, &mut singly] {
                ring.push(true, false);
                ring.push(false, true);
            }
            at_once.push_successes(successes);
            (0..successes).for_each(|_| singly.push(false, false));
            assert_eq!(at_once.counts, singly.counts, "{successes}");
        }
    }
}
