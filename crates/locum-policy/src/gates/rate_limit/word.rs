//! The one bucket of a limit that stands alone, in one atomic word.

use std::sync::atomic::{AtomicU64, Ordering};

/// A state in 64 bits, shared by threads without a lock.
#[derive(Default)]
pub(super) struct Word(AtomicU64);

impl Word {
    /// Changes the state as `step` does, if that says so. While others change it too, `step` is asked
    /// again.
    #[inline]
    pub(super) fn update<T, E>(
        &self,
        mut step: impl FnMut(&mut u128) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            let mut state = u128::from(old);
            let done = step(&mut state)?;
            let new = u64::try_from(state).unwrap_or(u64::MAX);
            match self.0.compare_exchange_weak(old, new, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(done),
                Err(newer) => old = newer,
            }
        }
    }

    pub(super) fn load(&self) -> u128 {
        self.0.load(Ordering::Relaxed).into()
    }
}
