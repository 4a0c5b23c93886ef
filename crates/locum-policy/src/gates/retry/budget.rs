//! How many retries all calls together may have, in exact integers.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::Time;
use crate::buckets::Buckets;
use crate::ratio::Ratio;
use crate::settings::{Error, at_least, at_most, within};
use crate::tap::Tap;

use super::BudgetSettings;

/// In the last `ttl`, retries and hedges together are at most max(min_per_second * ttl, ratio * calls).
pub struct Budget {
    ratio: Ratio,
    /// min_per_second * ttl.
    least: u64,
    /// Calls of the newest bucket, counted without the lock.
    calls: Tap,
    book: Mutex<Book>,
}

struct Book {
    /// Calls and grants.
    counts: Buckets<2>,
    /// Of the tap.
    generation: u32,
}

/// Buckets of a hundredth: what is older than the last `ttl` is off by that much at most.
const BUCKETS: u64 = 100;

impl Budget {
    pub(crate) fn build(settings: &BudgetSettings) -> Result<Self, Error> {
        within("retry.budget.ratio", settings.ratio, 0.0, 100.0)?;
        at_least("retry.budget.ttl", settings.ttl, Duration::from_millis(100))?;
        at_most("retry.budget.ttl", settings.ttl, Duration::from_secs(86_400))?;
        let ttl = u64::try_from(settings.ttl.as_nanos()).unwrap_or(u64::MAX);
        let least = u128::from(settings.min_per_second) * u128::from(ttl) / 1_000_000_000;
        let book =
            Book { counts: Buckets::new(ttl.div_ceil(BUCKETS), BUCKETS as usize), generation: 0 };
        let budget = Self {
            ratio: Ratio::nearest(settings.ratio),
            least: u64::try_from(least).unwrap_or(u64::MAX),
            calls: Tap::shut(),
            book: Mutex::new(book),
        };
        budget.open(budget.lock());
        Ok(budget)
    }

    /// A call arrives.
    #[inline]
    pub(crate) fn count_call(&self, now: Time) {
        if self.calls.add(now, || true) {
            return;
        }
        self.record_call(now);
    }

    #[cold]
    fn record_call(&self, now: Time) {
        let mut book = self.lock();
        book.counts.add(now, [1, 0]);
        self.open(book);
    }

    /// Grants one more attempt, if with it those of the last `ttl` stay within the budget.
    pub(crate) fn grant(&self, now: Time) -> bool {
        let mut book = self.lock();
        let granted = self.left(&mut book, now) > 0;
        if granted {
            book.counts.add(now, [0, 1]);
        }
        self.open(book);
        granted
    }

    /// How many more attempts there may be.
    pub fn balance(&self, now: Time) -> u64 {
        let mut book = self.lock();
        let left = self.left(&mut book, now);
        self.open(book);
        left
    }

    fn left(&self, book: &mut Book, now: Time) -> u64 {
        book.counts.advance(now);
        let [calls, granted] = book.counts.total();
        self.least.max(self.ratio.of(calls)).saturating_sub(granted)
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = self.calls.close();
        let start = Time::from_nanos(book.counts.newest().0);
        book.counts.add(start, [counted, 0]);
        book
    }

    fn open(&self, mut book: MutexGuard<'_, Book>) {
        book.generation = book.generation.wrapping_add(1);
        let (start, end) = book.counts.newest();
        self.calls.open(book.generation, start, end);
    }
}
