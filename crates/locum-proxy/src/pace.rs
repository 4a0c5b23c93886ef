//! Whether a worker waits a moment before it listens again, so that more comes at once.
//!
//! Clients and servers that write every call by itself (Go's do) wake a proxy that is faster than they are
//! for every one or two of them, and each time it waits, reads and writes for those alone: at 64 callers
//! that was two thirds of what a call cost. Waiting 50 us before it listens again, it meets many at once. So it is
//! with calls of HTTP/2, whose answers come one by one from servers of HTTP/1.1.
//!
//! It waits only where that is worth it and nobody feels it: where messages come so fast that some will come
//! in that time, where so many calls are under way that it is a small part of what each takes anyway, and
//! where they do not come together by themselves.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use locum_policy::Time;

/// The pace of one worker's calls. Only the worker writes to it.
#[derive(Default)]
pub(crate) struct Pace {
    /// Calls under way.
    under_way: AtomicUsize,
    /// Calls that began and calls that ended since it was asked.
    moved: AtomicUsize,
    /// When it was asked last, in nanoseconds.
    asked: AtomicU64,
    /// Nanoseconds between two messages, on the average.
    apart: AtomicU64,
}

impl Pace {
    /// A call begins.
    pub(crate) fn begin(&self) {
        add(&self.under_way, 1);
        add(&self.moved, 1);
    }

    /// A call has ended.
    pub(crate) fn end(&self) {
        self.under_way.store(get(&self.under_way).saturating_sub(1), Ordering::Relaxed);
        add(&self.moved, 1);
    }

    /// A call begins, and ends with what this gives.
    pub(crate) fn call(&self) -> UnderWay<'_> {
        self.begin();
        UnderWay(self)
    }

    /// How long to wait before listening again, if at all. The clock is read only where enough is under way.
    pub(crate) fn wait(&self, now: impl FnOnce() -> Time) -> Option<Duration> {
        let (under_way, moved) = (get(&self.under_way), get(&self.moved));
        if under_way < FEWEST || moved == 0 {
            return None;
        }
        self.moved.store(0, Ordering::Relaxed);
        let now = now();
        let asked = self.asked.swap(now.as_nanos(), Ordering::Relaxed);
        let took = now.as_nanos().saturating_sub(asked).min(RARE);
        let apart = self.apart.load(Ordering::Relaxed);
        let apart = (7 * apart + took / moved as u64) / 8;
        self.apart.store(apart, Ordering::Relaxed);
        let together = moved >= under_way / 2;
        let worth_it = apart <= WAIT / 2;
        let unfelt = apart * under_way as u64 >= UNFELT * WAIT;
        (!together && worth_it && unfelt).then_some(Duration::from_nanos(WAIT))
    }
}

/// A call that has not ended.
pub(crate) struct UnderWay<'a>(&'a Pace);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Waits so long, and not much longer: by itself the system lets a thread sleep for another 50 us.
pub(crate) fn rest(time: Duration) {
    std::thread::sleep(time);
}

/// Has the system wake this thread when it is to be woken.
pub(crate) fn be_punctual() {
    // Where that is not to be had, a wait takes twice as long.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1_000));
}

fn get(number: &AtomicUsize) -> usize {
    number.load(Ordering::Relaxed)
}

fn add(number: &AtomicUsize, more: usize) {
    number.store(get(number) + more, Ordering::Relaxed);
}

/// In nanoseconds: long beside a system call (5 us), short beside what calls under load take.
const WAIT: u64 = 50_000;
/// A call has to take so many times as long on each of its two ways anyway. What comes in that time waits for
/// half of it, on the average: a sixth.
const UNFELT: u64 = 3;
/// Calls under way from which on it can be worth it: with fewer it would be felt.
const FEWEST: usize = 2 * UNFELT as usize;
/// What is further apart tells no more: a single pause is soon forgotten.
const RARE: u64 = 4 * WAIT;

#[cfg(test)]
mod tests {
    use super::*;

    /// How often it waits in the last 100 turns of 1,000, where in each `moved` calls begin and as many end
    /// and the next comes after `micros`.
    fn waits(under_way: usize, moved: usize, micros: u64) -> usize {
        let pace = Pace::default();
        (0..under_way).for_each(|_| pace.begin());
        let mut waits = 0;
        for turn in 0..1_000 {
            (0..moved).for_each(|_| {
                pace.begin();
                pace.end();
            });
            let now = Time::from_nanos((turn + 1) * micros * 1_000);
            let wait = pace.wait(|| now);
            waits += usize::from(turn >= 900 && wait.is_some());
        }
        waits
    }

    #[test]
    fn it_waits_where_many_calls_come_one_by_one() {
        assert_eq!(waits(64, 1, 16), 100);
        assert_eq!(waits(256, 2, 32), 100);
    }

    #[test]
    fn it_does_not_wait_where_that_would_be_felt() {
        // One after the other, or a few at once.
        assert_eq!(waits(1, 1, 30), 0);
        assert_eq!(waits(8, 1, 10), 0);
        // 20 calls of which each takes 100 us.
        assert_eq!(waits(20, 1, 10), 0);
    }

    #[test]
    fn it_does_not_wait_where_nothing_would_come() {
        assert_eq!(waits(1_000, 1, 200), 0);
    }

    #[test]
    fn it_does_not_wait_where_calls_come_together() {
        assert_eq!(waits(64, 40, 500), 0);
    }

    #[test]
    fn without_calls_it_does_not_ask_for_the_time() {
        let pace = Pace::default();
        let never = || -> Time { panic!("the clock was read") };
        assert_eq!(pace.wait(never), None);
        (0..FEWEST - 1).for_each(|_| pace.begin());
        assert_eq!(pace.wait(never), None);
    }
}
