//! The context that a task has without being given one.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;

use super::Cx;

thread_local! {
    static CURRENT: RefCell<Cx> = const { RefCell::new(Cx::background()) };
}

pub(super) fn current() -> Cx {
    CURRENT.with_borrow(Cx::clone)
}

pub(super) async fn scope<F: Future>(mut cx: Cx, future: F) -> F::Output {
    let mut future = pin!(future);
    // Set for the time of each poll: between them the thread is others'.
    poll_fn(|task| {
        let _entered = cx.enter();
        future.as_mut().poll(task)
    })
    .await
}

/// While it is there a context is the current one of its thread, and what was before has its place; then
/// they change back, also when a panic passes.
pub(crate) struct Entered<'a> {
    place: &'a mut Cx,
}

impl<'a> Entered<'a> {
    pub(super) fn new(place: &'a mut Cx) -> Self {
        CURRENT.with_borrow_mut(|current| std::mem::swap(current, place));
        Self { place }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        CURRENT.with_borrow_mut(|current| std::mem::swap(current, self.place));
    }
}
