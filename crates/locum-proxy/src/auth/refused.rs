//! How often a check has refused, and why.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Counts by reason. Only refusals are counted, so that whoever is let in waits for nobody here.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<&'static str, u64>>);

impl Refusals {
    pub(crate) fn count(&self, reason: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
    }

    /// Every reason there was, with its count.
    pub(crate) fn all(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
