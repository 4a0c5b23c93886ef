//! Places of something of which a worker has only so many at a time.

use std::cell::Cell;
use std::rc::Rc;

/// How many places are taken.
#[derive(Clone, Default)]
pub(crate) struct Places(Rc<Cell<usize>>);

impl Places {
    /// A place, if fewer than `most` are taken.
    pub(crate) fn take(&self, most: usize) -> Option<Place> {
        let taken = self.0.get();
        (taken < most).then(|| {
            self.0.set(taken + 1);
            Place(Rc::clone(&self.0))
        })
    }
}

/// A place, until it is dropped.
pub(crate) struct Place(Rc<Cell<usize>>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_once_it_is_dropped() {
        let places = Places::default();
        let first = places.take(2);
        let second = places.take(2);
        assert!(first.is_some() && second.is_some() && places.take(2).is_none());
        drop(first);
        assert!(places.take(2).is_some());
    }
}
