//! How much of the bodies of requests a worker holds at a time.

use std::cell::Cell;

/// Bytes of all bodies that a worker holds as arguments of calls. A body has to be there as a whole before it
/// is a call that a policy can refuse, so this is what bounds them.
#[derive(Default)]
pub(crate) struct Room {
    held: Cell<usize>,
}

/// What one body takes of it, until it is dropped.
pub(crate) struct Share<'a> {
    room: &'a Room,
    bytes: usize,
}

/// Bytes of all bodies of a worker.
const MOST: usize = 64 * 1024 * 1024;

impl Room {
    pub(crate) fn share(&self) -> Share<'_> {
        Share { room: self, bytes: 0 }
    }
}

impl Share<'_> {
    /// Takes what there is of a body that has `bytes` by now. Tells whether there is room for it: a body that is
    /// alone may be as large as its route allows.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> bool {
        let others = self.room.held.get() - self.bytes;
        let fits = others == 0 || others.saturating_add(bytes) <= MOST;
        if fits {
            self.room.held.set(others + bytes);
            self.bytes = bytes;
        }
        fits
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.room.held.set(self.room.held.get() - self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_share_the_room_and_give_it_back() {
        let room = Room::default();
        let (mut one, mut other) = (room.share(), room.share());
        assert!(one.grow_to(MOST - 10));
        assert!(other.grow_to(10));
        assert!(!other.grow_to(11));
        assert!(!one.grow_to(MOST));
        drop(one);
        assert!(other.grow_to(MOST));
        drop(other);
        assert_eq!(room.held.get(), 0);
    }

    #[test]
    fn one_that_is_alone_has_all_the_room_that_it_needs() {
        let room = Room::default();
        let (mut alone, mut late) = (room.share(), room.share());
        assert!(alone.grow_to(2 * MOST));
        assert!(!late.grow_to(1));
    }
}
