//! The series of one metric.
//!
//! Almost every call tells the same story as the one before: the same route, the same outcome, the same
//! verdicts in the same order. So a family remembers where it counted the first thing, the second and so on
//! that the last call had to tell, and looks there before it looks a key up: comparing costs a fraction of
//! hashing.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use rustc_hash::FxHashMap;

/// Series of one family; what comes after is counted under `_other`.
const MAX_SERIES: usize = 10_000;
/// Things of one call whose places are remembered.
const GUESSES: usize = 8;

/// The series of one metric, capped.
#[derive(Clone)]
pub(super) struct Family<K, V> {
    series: Vec<(K, V)>,
    places: FxHashMap<K, usize>,
    /// Where the last call's first was counted, its second, and so on.
    guesses: [usize; GUESSES],
}

impl<K, V> Default for Family<K, V> {
    fn default() -> Self {
        Self { series: Vec::new(), places: FxHashMap::default(), guesses: [0; GUESSES] }
    }
}

impl<K: Copy + Eq + Hash, V: Default> Family<K, V> {
    /// The series of `key`, or that of `other` if there is no room for another.
    pub(super) fn at(&mut self, key: &K, other: impl FnOnce() -> K) -> &mut V {
        self.nth(0, key, other)
    }

    /// The same of the `n`th key of a call, from 0.
    #[inline]
    pub(super) fn nth(&mut self, n: usize, key: &K, other: impl FnOnce() -> K) -> &mut V {
        let n = n % GUESSES;
        let guess = self.guesses[n];
        let place = match self.series.get(guess) {
            Some((known, _)) if known == key => guess,
            _ => self.find(key, other),
        };
        self.guesses[n] = place;
        &mut self.series[place].1
    }

    #[cold]
    fn find(&mut self, key: &K, other: impl FnOnce() -> K) -> usize {
        let full = self.series.len() >= MAX_SERIES && !self.places.contains_key(key);
        let key = if full { other() } else { *key };
        *self.places.entry(key).or_insert_with(|| {
            self.series.push((key, V::default()));
            self.series.len() - 1
        })
    }

    /// Adds the series of another.
    pub(super) fn merge(&mut self, from: &Self, add: impl Fn(&mut V, &V)) {
        for (key, value) in &from.series {
            // There are at most as many as there may be, times the workers.
            let place = *self.places.entry(*key).or_insert_with(|| {
                self.series.push((*key, V::default()));
                self.series.len() - 1
            });
            add(&mut self.series[place].1, value);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.series.iter().map(|(key, value)| (key, value))
    }
}

/// A word of the program's own, as labels have them. Equal ones are most often one and the same, so that is
/// looked at first.
#[derive(Clone, Copy, Debug, Eq)]
pub(crate) struct Word(pub(crate) &'static str);

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0) || self.0 == other.0
    }
}

impl Hash for Word {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Deref for Word {
    type Target = str;

    fn deref(&self) -> &str {
        self.0
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(family: &Family<u64, u64>) -> Vec<(u64, u64)> {
        family.iter().map(|(key, count)| (*key, *count)).collect()
    }

    #[test]
    fn whatever_order_they_come_in_each_is_counted_as_its_own() {
        let mut family = Family::default();
        for story in [[1, 2], [1, 2], [2, 1], [3, 3], [1, 2]] {
            for (n, key) in story.into_iter().enumerate() {
                *family.nth(n, &key, || 0) += 1;
            }
        }
        assert_eq!(counts(&family), [(1, 4), (2, 4), (3, 2)]);
        // A story may be longer than what is remembered of one.
        (0..20).for_each(|n| *family.nth(n, &4, || 0) += 1);
        assert_eq!(counts(&family)[3], (4, 20));
    }

    #[test]
    fn what_comes_after_too_many_is_counted_together() {
        let mut family = Family::default();
        let most = MAX_SERIES as u64;
        for key in 1..=most + 5 {
            *family.at(&key, || 0) += 1;
        }
        *family.at(&1, || 0) += 1;
        assert_eq!(family.iter().count(), MAX_SERIES + 1);
        assert_eq!((counts(&family)[0], counts(&family)[MAX_SERIES]), ((1, 2), (0, 5)));
    }

    #[test]
    fn words_that_lie_elsewhere_are_equal() {
        let elsewhere: &'static str = String::from("success").leak();
        assert_eq!(Word("success"), Word(elsewhere));
        assert_ne!(Word("success"), Word("failure"));
    }
}
