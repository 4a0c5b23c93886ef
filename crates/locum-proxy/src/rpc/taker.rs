//! Whether a client takes its answers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use locum_policy::Time;

/// A client that answers are brought to.
///
/// A link that carries calls of nobody else reads no further answers while there are many that the client has not
/// taken: so the server feels what the client does, and nothing is held here. That lasts a moment, unless the
/// client takes something, since calls must not be late, and count against their server, because of their client.
#[derive(Debug)]
pub(crate) struct Taker {
    /// Since when it has enough.
    full: Cell<Option<Time>>,
    /// The links that wait until it takes more.
    waiting: RefCell<Vec<Waker>>,
    /// How many of the worker's clients have enough.
    all_full: Rc<Cell<usize>>,
}

impl Taker {
    /// One that takes all.
    pub(super) fn new(all_full: &Rc<Cell<usize>>) -> Rc<Self> {
        let all_full = Rc::clone(all_full);
        Rc::new(Self { full: Cell::default(), waiting: RefCell::default(), all_full })
    }

    /// Says whether it has enough for now.
    pub(super) fn set(&self, full: bool, now: impl FnOnce() -> Time) {
        match (self.full.get(), full) {
            (None, true) => {
                self.full.set(Some(now()));
                self.all_full.set(self.all_full.get() + 1);
            }
            (Some(_), false) => {
                self.full.set(None);
                self.all_full.set(self.all_full.get() - 1);
                self.waiting.take().into_iter().for_each(Waker::wake);
            }
            _ => {}
        }
    }

    /// Whether a link is to wait for it.
    pub(super) fn holds(&self, now: Time) -> bool {
        self.full.get().is_some_and(|since| now.since(since) < LONGEST)
    }

    /// Wakes a link once it takes more.
    pub(super) fn wakes(&self, cx: &Context<'_>) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.set(false, || Time::ZERO);
    }
}

/// How long a link waits for a client that takes nothing.
pub(super) const LONGEST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_wait_a_moment_for_who_has_enough() {
        let all_full = Rc::default();
        let taker = Taker::new(&all_full);
        let at = Time::from_millis;
        assert!(!taker.holds(at(0)));
        taker.set(true, || at(500));
        taker.set(true, || at(900));
        assert!(taker.holds(at(500)) && taker.holds(at(1499)) && !taker.holds(at(1500)));
        let other = Taker::new(&all_full);
        other.set(true, || at(0));
        assert_eq!(all_full.get(), 2);
        taker.set(false, || at(2000));
        assert!(!taker.holds(at(600)));
        taker.set(true, || at(2000));
        assert!(taker.holds(at(2999)));
        drop((taker, other));
        assert_eq!(all_full.get(), 0);
    }
}
