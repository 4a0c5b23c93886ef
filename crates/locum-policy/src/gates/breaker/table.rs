//! The breakers of one policy, by target.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::Time;
use crate::seed::mix;

use super::{Breaker, Numbers};

/// All breakers of one policy. A reload with other numbers shares the table.
pub struct Breakers {
    seed: u64,
    targets: RwLock<HashMap<Box<str>, Arc<Breaker>>>,
}

impl Breakers {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, targets: RwLock::default() }
    }

    /// The breaker of `target`, a new one where there is none. Names that peers choose cannot fill
    /// the memory: beyond [`MAX_TARGETS`] those without a breaker share one.
    pub(crate) fn get(&self, target: &str, numbers: &Arc<Numbers>, now: Time) -> Arc<Breaker> {
        if let Some(breaker) =
            self.targets.read().unwrap_or_else(PoisonError::into_inner).get(target)
        {
            return Arc::clone(breaker);
        }
        let mut targets = self.targets.write().unwrap_or_else(PoisonError::into_inner);
        let mut target = target;
        if targets.len() >= MAX_TARGETS && !targets.contains_key(target) {
            targets.retain(|_, breaker| Arc::strong_count(breaker) > 1 || !breaker.is_idle(now));
            if targets.len() >= MAX_TARGETS {
                target = OTHER;
            }
        }
        let new = || Arc::new(Breaker::new(target, numbers, mix(self.seed, name_hash(target))));
        Arc::clone(targets.entry(target.into()).or_insert_with(new))
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Breaker>> {
        let targets = self.targets.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = targets.values().cloned().collect();
        all.sort_by(|a, b| a.target().cmp(b.target()));
        all
    }
}

/// Far more than an upstream has endpoints or a service methods.
const MAX_TARGETS: usize = 10_000;

/// The target of what has no breaker of its own.
const OTHER: &str = "_other";

/// FNV-1a: a seed of its own for each target, the same in every run.
fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}
