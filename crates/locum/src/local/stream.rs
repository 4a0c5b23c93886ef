//! A stream that a service in the same program returns.

use std::pin::Pin;
use std::task::{Context, Poll};

use locum_policy::{Cause, Clock as _, Held};

use crate::{CallError, Clock, Stream};

/// What a call that has ended holds of its policy.
pub(super) struct Open {
    pub(super) held: Held,
    /// How its last attempt ended, as far as is known.
    pub(super) cause: Cause,
    pub(super) clock: Clock,
    /// Whether the caller is told the policy's fallback instead.
    pub(super) fallback: bool,
}

impl Open {
    /// Tells the policy that the call is over, and the caller whether there is a fallback.
    pub(super) fn settle(self) -> bool {
        self.held.settle(self.cause, self.clock.now(), &());
        self.fallback
    }
}

/// A stream, and what it holds of a policy until it ends. Dropped before, it says nothing about the
/// service.
pub struct Streaming<S> {
    stream: Pin<Box<S>>,
    open: Option<Open>,
}

impl<S> Streaming<S> {
    /// Of a call without a policy.
    pub fn free(stream: S) -> Self {
        Self::under(stream, None)
    }

    pub(super) fn under(stream: S, open: Option<Open>) -> Self {
        Self { stream: Box::pin(stream), open }
    }
}

impl<S, T, E> Stream for Streaming<S>
where
    S: Stream<Item = Result<T, CallError<E>>>,
{
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let polled = self.stream.as_mut().poll_next(task);
        match &polled {
            Poll::Ready(Some(Err(error))) => {
                if let Some(mut open) = self.open.take() {
                    open.cause = error.cause();
                    open.settle();
                }
            }
            Poll::Ready(None) => {
                self.open.take().map(Open::settle);
            }
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }
}
