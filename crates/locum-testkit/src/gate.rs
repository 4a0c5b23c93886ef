//! A gate between a script and the test that plays it.

use std::sync::{Arc, Condvar, Mutex};

use crate::upstream::lock;

/// Holds a script back until the test lets it go on. Clones are the same gate.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<usize>, Condvar)>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets so many through, now or when they come.
    pub fn open(&self, count: usize) {
        let (passes, opened) = &*self.0;
        *lock(passes) += count;
        opened.notify_all();
    }

    /// Waits for a pass and takes it.
    pub fn wait(&self) {
        let (passes, opened) = &*self.0;
        let passes = opened.wait_while(lock(passes), |passes| *passes == 0);
        *passes.expect("nobody panics in the gate") -= 1;
    }
}
