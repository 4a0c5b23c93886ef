//! The bucket of a limit, or its buckets, behind locks.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Time;

use super::algorithm::Algorithm;
use super::table::Table;

pub(super) enum Store<A: Algorithm> {
    One(Mutex<A::State>),
    ByKey(Table<A>),
}

impl<A: Algorithm> Store<A> {
    /// One bucket, or at most `max_keys`.
    pub(super) fn new(algorithm: &A, max_keys: Option<usize>) -> Self {
        match max_keys {
            None => Self::One(Mutex::new(algorithm.fresh())),
            Some(max_keys) => Self::ByKey(Table::new(algorithm, max_keys)),
        }
    }

    /// Lets `step` work on the bucket of `key`, which stays locked meanwhile. If it fails it has
    /// taken nothing.
    #[inline]
    pub(super) fn update<T, E>(
        &self,
        algorithm: &A,
        key: impl FnOnce() -> u64,
        now: Time,
        step: impl FnOnce(&mut A::State) -> Result<T, E>,
    ) -> Result<T, E> {
        match self {
            Self::One(state) => step(&mut lock(state)),
            Self::ByKey(table) => table.update(key(), algorithm, now, step),
        }
    }

    /// The one bucket; with keys, the one of those that have none of their own.
    pub(super) const fn shared(&self) -> &Mutex<A::State> {
        match self {
            Self::One(state) => state,
            Self::ByKey(table) => table.overflow(),
        }
    }

    /// How many keys have a bucket of their own.
    pub(super) fn keys(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::ByKey(table) => table.len(),
        }
    }
}

/// A panic under a lock leaves a state as it was before or after a step, so it is used on.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
