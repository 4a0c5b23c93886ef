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

pub(super) async fn scope<F: Future>(cx: Cx, future: F) -> F::Output {
    let mut future = pin!(future);
    // Set for the time of each poll: between them the thread is others'.
    poll_fn(|task| {
        let _entered = cx.enter();
        future.as_mut().poll(task)
    })
    .await
}

/// While it is there a context is the current one of its thread; then what was before is again, also
/// when a panic passes.
pub(crate) struct Entered {
    before: Cx,
}

impl Entered {
    pub(super) fn new(cx: Cx) -> Self {
        Self { before: CURRENT.replace(cx) }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(std::mem::replace(&mut self.before, Cx::background()));
    }
}
