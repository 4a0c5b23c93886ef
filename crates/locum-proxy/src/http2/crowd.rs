//! Those who wait for something that there may be more of later.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

/// Those who wait.
#[derive(Default)]
pub(super) struct Crowd(RefCell<Slab<Waker>>);

impl Crowd {
    /// Lets one of them look again.
    pub(super) fn wake_one(&self) {
        let mut waiting = self.0.borrow_mut();
        let first = waiting.iter().next().map(|(place, _)| place);
        if let Some(place) = first {
            waiting.remove(place).wake();
        }
    }

    /// Lets all of them look again.
    pub(super) fn wake_all(&self) {
        self.0.borrow_mut().drain().for_each(Waker::wake);
    }

    /// Waits until `look` finds something.
    pub(super) async fn wait_for<T>(self: &Rc<Self>, mut look: impl FnMut() -> Option<T>) -> T {
        let mut place = Place { crowd: self, place: None, found: false };
        poll_fn(|cx| {
            if let Some(found) = look() {
                place.found = true;
                return Poll::Ready(found);
            }
            place.stand(cx);
            Poll::Pending
        })
        .await
    }
}

/// Where somebody waits. Whoever was woken and leaves with nothing lets another look.
struct Place<'a> {
    crowd: &'a Crowd,
    place: Option<usize>,
    found: bool,
}

impl Place<'_> {
    fn stand(&mut self, cx: &Context<'_>) {
        let mut waiting = self.crowd.0.borrow_mut();
        if let Some(waker) = self.place.and_then(|place| waiting.try_remove(place))
            && !waker.will_wake(cx.waker())
        {
            // The place was another's, who looks once for nothing.
            waker.wake();
        }
        self.place = Some(waiting.insert(cx.waker().clone()));
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let left = self.crowd.0.borrow_mut().try_remove(place);
        match left {
            Some(waker) => waker.wake(),
            None if self.found => {}
            None => self.crowd.wake_one(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;

    use super::*;

    #[test]
    fn whoever_is_woken_and_leaves_lets_another_look() {
        let crowd = Rc::new(Crowd::default());
        let there = Cell::new(0u32);
        let look = || there.get().checked_sub(1).map(|left| there.set(left));
        let cx = &mut Context::from_waker(Waker::noop());
        let mut first = Box::pin(crowd.wait_for(look));
        let mut second = pin!(crowd.wait_for(look));
        assert!(first.as_mut().poll(cx).is_pending());
        assert!(second.as_mut().poll(cx).is_pending());
        assert_eq!(crowd.0.borrow().len(), 2);

        there.set(1);
        crowd.wake_one();
        assert_eq!(crowd.0.borrow().len(), 1);
        drop(first);
        assert_eq!(crowd.0.borrow().len(), 0, "the second was woken in its place");
        assert!(second.as_mut().poll(cx).is_ready());
    }

    #[test]
    fn nobody_who_has_left_is_kept() {
        let crowd = Rc::new(Crowd::default());
        let cx = &mut Context::from_waker(Waker::noop());
        for _ in 0..3 {
            let mut waiting = Box::pin(crowd.wait_for(|| None::<()>));
            assert!(waiting.as_mut().poll(cx).is_pending());
            assert!(waiting.as_mut().poll(cx).is_pending());
            assert_eq!(crowd.0.borrow().len(), 1);
        }
        assert!(crowd.0.borrow().is_empty());
    }
}
