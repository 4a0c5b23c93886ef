//! Handlers that panic harm their own call alone.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use super::core::Core;
use crate::service::Handler;

/// A handler panicked. It has been told of.
pub(super) struct Panicked;

/// Polls a handler. One that panics is over; its responder has said so while the panic passed.
pub(super) fn poll(
    handler: &mut Handler,
    task: &mut Context<'_>,
    core: &Core,
) -> Poll<Result<(), Panicked>> {
    // A handler is not looked at again after it panicked, so nobody sees what it left half done.
    match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(task))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => {
            panicked(core, panic.as_ref());
            Poll::Ready(Err(Panicked))
        }
    }
}

/// A handler that is over once it panics.
///
/// # Cancel safety
///
/// Dropping the future drops the handler.
pub(super) async fn contained(mut handler: Handler, core: &Core) -> Result<(), Panicked> {
    let ended = poll_fn(|task| poll(&mut handler, task, core)).await;
    dispose(handler, core);
    ended
}

/// Drops a handler that is over; what it left may panic as well.
pub(super) fn dispose(handler: Handler, core: &Core) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(handler))) {
        panicked(core, panic.as_ref());
    }
}

/// Tells of a panic.
pub(super) fn panicked(core: &Core, panic: &(dyn Any + Send)) {
    core.counts.panics.fetch_add(1, Ordering::Relaxed);
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("of another kind"), "a handler panicked");
}
