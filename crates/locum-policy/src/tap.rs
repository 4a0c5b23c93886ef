//! A counter that many threads raise without a lock, for one stretch of time at a time.
//!
//! The owner of some locked state opens the tap for as long as raising the count by one needs no
//! decision, and closes it (taking the count) before it looks at its state. While the tap is shut,
//! or the time is outside its stretch, everyone takes the lock instead.

use std::sync::atomic::Ordering;

use crate::Time;
use crate::sync::AtomicU64;

/// Invariant: `word` is `generation << 32 | count`; generation 0 is shut. Every opening has a new
/// generation, so a thread that looked at one opening cannot add to the next.
pub(crate) struct Tap {
    word: AtomicU64,
    start: AtomicU64,
    end: AtomicU64,
}

const COUNT: u64 = u32::MAX as u64;

impl Tap {
    pub(crate) fn shut() -> Self {
        Self { word: AtomicU64::new(0), start: AtomicU64::new(0), end: AtomicU64::new(0) }
    }

    /// Adds one if the tap is open for `now` and `still` holds while it is; else the caller locks.
    #[inline]
    pub(crate) fn add(&self, now: Time, still: impl Fn() -> bool) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word <= COUNT || word & COUNT == COUNT || !still() {
                return false;
            }
            // These may belong to a later opening; then the exchange below fails.
            let stretch = self.start.load(Ordering::Acquire)..self.end.load(Ordering::Acquire);
            if !stretch.contains(&now.as_nanos()) {
                return false;
            }
            match self.word.compare_exchange_weak(
                word,
                word + 1,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(newer) => word = newer,
            }
        }
    }

    /// Opens for `start..end`, in nanoseconds. Only the holder of the owner's lock calls this.
    pub(crate) fn open(&self, generation: u32, start: u64, end: u64) {
        self.start.store(start, Ordering::Release);
        self.end.store(end, Ordering::Release);
        self.word.store(u64::from(generation.max(1)) << 32, Ordering::Release);
    }

    /// Shuts and tells how often it was raised. Only the holder of the owner's lock calls this.
    pub(crate) fn close(&self) -> u64 {
        if self.word.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.word.swap(0, Ordering::AcqRel) & COUNT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shut_tap_counts_nothing() {
        let tap = Tap::shut();
        assert!(!tap.add(Time::ZERO, || true));
        assert_eq!(tap.close(), 0);
    }

    #[test]
    fn an_open_tap_counts_within_its_stretch_only() {
        let tap = Tap::shut();
        tap.open(1, 10, 20);
        let counted = [9, 10, 19, 20].map(|at| tap.add(Time::from_nanos(at), || true));
        assert_eq!(counted, [false, true, true, false]);
        assert!(!tap.add(Time::from_nanos(15), || false));
        assert_eq!(tap.close(), 2);
        assert!(!tap.add(Time::from_nanos(15), || true));
    }

    #[test]
    fn threads_lose_no_count_while_the_tap_is_opened_and_closed() {
        let tap = Tap::shut();
        let fast = AtomicU64::new(0);
        let mut taken = 0;
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        if tap.add(Time::ZERO, || true) {
                            fast.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            for generation in 1..2_000 {
                tap.open(generation, 0, 1);
                taken += tap.close();
            }
        });
        assert_eq!(taken + tap.close(), fast.load(Ordering::Relaxed));
    }
}
