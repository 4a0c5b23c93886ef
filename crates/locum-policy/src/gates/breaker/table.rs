//! The breakers of one policy, by target.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::Time;
use crate::seed::mix;

use super::{Breaker, Numbers};

/// All breakers of one policy. A reload with other numbers shares the table.
pub struct Breakers {
    seed: u64,
    targets: RwLock<Targets>,
}

#[derive(Default)]
struct Targets {
    by_name: HashMap<Box<str>, Arc<Breaker>>,
    /// When those that are idle were last looked for.
    swept: Time,
}

impl Breakers {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, targets: RwLock::default() }
    }

    /// The breaker of `target`, a new one where there is none. Names that peers choose cannot fill
    /// the memory: beyond [`MAX_TARGETS`] those without a breaker share one.
    pub(crate) fn get(&self, target: &str, numbers: &Arc<Numbers>, now: Time) -> Arc<Breaker> {
        let known = self.targets.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(breaker) = known.by_name.get(target) {
            return Arc::clone(breaker);
        }
        drop(known);
        let mut targets = self.targets.write().unwrap_or_else(PoisonError::into_inner);
        let target = if targets.has_room(now) { target } else { OTHER };
        let new = || Arc::new(Breaker::new(target, numbers, mix(self.seed, name_hash(target))));
        Arc::clone(targets.by_name.entry(target.into()).or_insert_with(new))
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Breaker>> {
        let targets = self.targets.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = targets.by_name.values().cloned().collect();
        all.sort_by(|a, b| a.target().cmp(b.target()));
        all
    }
}

impl Targets {
    /// Whether another target may have a breaker of its own.
    fn has_room(&mut self, now: Time) -> bool {
        if self.by_name.len() >= MAX_TARGETS && self.swept.until(now) >= SWEEP {
            self.swept = now;
            let in_use =
                |breaker: &Arc<Breaker>| Arc::strong_count(breaker) > 1 || !breaker.is_idle(now);
            self.by_name.retain(|_, breaker| in_use(breaker));
        }
        self.by_name.len() < MAX_TARGETS
    }
}

/// Far more than an upstream has endpoints or a service methods.
const MAX_TARGETS: usize = 10_000;

/// Looking at all of them takes a while, which a flood of names must not buy with every call.
const SWEEP: Duration = Duration::from_secs(1);

/// The target of what has no breaker of its own.
const OTHER: &str = "_other";

/// FNV-1a: a seed of its own for each target, the same in every run.
fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}
