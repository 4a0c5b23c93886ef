//! The breakers of one policy, by target.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::Time;
use crate::seed::mix;

use super::{Breaker, Numbers, Override};

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
    /// The switch of all of them, those to come included, and when it goes back by itself.
    forced: Option<(Override, Time)>,
}

impl Breakers {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, targets: RwLock::default() }
    }

    /// The breaker of `target`, a new one where there is none. Names that peers choose cannot fill
    /// the memory: beyond [`MAX_TARGETS`] those without a breaker share one, and so do all that are
    /// longer than [`MAX_NAME`].
    pub(crate) fn get(&self, target: &str, numbers: &Arc<Numbers>, now: Time) -> Arc<Breaker> {
        let target = if target.len() <= MAX_NAME { target } else { OTHER };
        let known = self.targets.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(breaker) = known.by_name.get(target) {
            return Arc::clone(breaker);
        }
        drop(known);
        let mut targets = self.targets.write().unwrap_or_else(PoisonError::into_inner);
        let target = if targets.has_room(now) { target } else { OTHER };
        let forced = targets.forced;
        let new = || {
            let breaker = Breaker::new(target, numbers, mix(self.seed, name_hash(target)));
            if let Some((forced, expiry)) = forced.filter(|(_, expiry)| now < *expiry) {
                breaker.force(Some(forced), expiry, now);
            }
            Arc::new(breaker)
        };
        Arc::clone(targets.by_name.entry(target.into()).or_insert_with(new))
    }

    /// Throws the switch of the breaker of `target`, or of all, until `expiry`; `None` takes it back.
    /// Those that do not exist yet have it thrown when they are made. Tells whether there is such a
    /// breaker: a target that has none for want of room has no switch.
    pub(crate) fn force(
        &self,
        target: Option<&str>,
        forced: Option<Override>,
        expiry: Time,
        numbers: &Arc<Numbers>,
        now: Time,
    ) -> bool {
        if let Some(target) = target {
            let breaker = self.get(target, numbers, now);
            let its_own = breaker.target() == target;
            if its_own {
                breaker.force(forced, expiry, now);
            }
            return its_own;
        }
        let mut targets = self.targets.write().unwrap_or_else(PoisonError::into_inner);
        targets.forced = forced.map(|forced| (forced, expiry));
        targets.by_name.values().for_each(|breaker| breaker.force(forced, expiry, now));
        true
    }

    /// Takes the switch of all back whose time is over.
    pub(crate) fn expire(&self, now: Time) {
        let over = |targets: &Targets| targets.forced.is_some_and(|(_, expiry)| expiry <= now);
        if over(&self.targets.read().unwrap_or_else(PoisonError::into_inner)) {
            let mut targets = self.targets.write().unwrap_or_else(PoisonError::into_inner);
            targets.forced = targets.forced.filter(|(_, expiry)| now < *expiry);
        }
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

/// In bytes; a host's name has at most 253, and no method is called anything near that.
const MAX_NAME: usize = 256;

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
