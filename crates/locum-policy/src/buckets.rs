//! Counts over the last stretch of time, in buckets: index floor(now / width), live in
//! (current - length, current].

use crate::Time;

/// `K` counts kept over a sliding window.
pub(crate) struct Buckets<const K: usize> {
    /// Nanoseconds; never zero.
    width: u64,
    /// The index of the newest bucket.
    current: u64,
    ring: Box<[[u64; K]]>,
    /// Invariant: the sums over `ring`.
    total: [u64; K],
}

impl<const K: usize> Buckets<K> {
    /// `length` buckets of `width` nanoseconds each, both at least 1.
    pub(crate) fn new(width: u64, length: usize) -> Self {
        debug_assert!(width > 0 && length > 0);
        Self { width, current: 0, ring: vec![[0; K]; length].into(), total: [0; K] }
    }

    /// Lets what has become too old by `now` go.
    pub(crate) fn advance(&mut self, now: Time) {
        let index = now.as_nanos() / self.width;
        if index <= self.current {
            return;
        }
        let length = self.ring.len() as u64;
        if index - self.current >= length {
            self.ring.fill([0; K]);
            self.total = [0; K];
        } else {
            for expired in self.current + 1..=index {
                let slot = &mut self.ring[(expired % length) as usize];
                for (total, gone) in self.total.iter_mut().zip(slot.iter()) {
                    *total -= gone;
                }
                *slot = [0; K];
            }
        }
        self.current = index;
    }

    /// Adds to the bucket of `at`, unless that is too old already.
    pub(crate) fn add(&mut self, at: Time, counts: [u64; K]) {
        self.advance(at);
        let index = at.as_nanos() / self.width;
        let length = self.ring.len() as u64;
        if index + length <= self.current {
            return;
        }
        let slot = &mut self.ring[(index % length) as usize];
        for ((slot, total), more) in slot.iter_mut().zip(&mut self.total).zip(counts) {
            *slot += more;
            *total += more;
        }
    }

    /// The sums over what is live.
    pub(crate) const fn total(&self) -> [u64; K] {
        self.total
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.ring.fill([0; K]);
        self.total = [0; K];
    }

    /// Where the newest bucket starts and ends, in nanoseconds.
    pub(crate) const fn newest(&self) -> (u64, u64) {
        let start = self.current.saturating_mul(self.width);
        (start, start.saturating_add(self.width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_leaves_when_it_is_a_whole_window_old() {
        let mut buckets = Buckets::<1>::new(1_000, 10);
        buckets.add(Time::from_nanos(500), [19]);
        buckets.advance(Time::from_nanos(9_999));
        assert_eq!(buckets.total(), [19]);
        buckets.advance(Time::from_nanos(10_000));
        assert_eq!(buckets.total(), [0]);
    }

    #[test]
    fn a_late_count_lands_in_its_own_bucket() {
        let mut buckets = Buckets::<1>::new(10, 2);
        buckets.advance(Time::from_nanos(15));
        buckets.add(Time::from_nanos(5), [1]);
        assert_eq!(buckets.total(), [1]);
        buckets.advance(Time::from_nanos(20));
        assert_eq!(buckets.total(), [0]);
        buckets.add(Time::from_nanos(5), [1]);
        assert_eq!(buckets.total(), [0]);
    }
}
