//! Where one meter stands, shared by threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::gcra::{Gcra, Hit};

/// A meter's position in ticks. Rates as people write them need one atomic word; one whose fraction
/// is awkward (7,777 a second) would outgrow it within weeks and takes a lock.
pub(super) enum Cell {
    Word(AtomicU64),
    Locked(Mutex<u128>),
}

impl Cell {
    pub(super) fn new(gcra: &Gcra) -> Self {
        if gcra.is_narrow() { Self::Word(AtomicU64::new(0)) } else { Self::Locked(Mutex::new(0)) }
    }

    /// Moves the meter to where `decide` says, unless it refuses.
    #[inline]
    pub(super) fn update<E>(&self, decide: impl Fn(u128) -> Result<Hit, E>) -> Result<Hit, E> {
        match self {
            Self::Word(word) => {
                let mut tat = word.load(Ordering::Relaxed);
                loop {
                    let decided = decide(u128::from(tat))?;
                    let next = u64::try_from(decided.tat).unwrap_or(u64::MAX);
                    match word.compare_exchange_weak(
                        tat,
                        next,
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    ) {
                        Ok(_) => return Ok(decided),
                        Err(newer) => tat = newer,
                    }
                }
            }
            Self::Locked(tat) => {
                let mut tat = tat.lock().unwrap_or_else(PoisonError::into_inner);
                let decided = decide(*tat)?;
                *tat = decided.tat;
                Ok(decided)
            }
        }
    }

    pub(super) fn tat(&self) -> u128 {
        match self {
            Self::Word(word) => u128::from(word.load(Ordering::Relaxed)),
            Self::Locked(tat) => *tat.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}
