//! A stream that owns what it borrows from.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_core::Stream;

use super::BoxStream;
use crate::CallError;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs `work`, which owns what a stream borrows from and passes it on; returns once
/// that stream has begun, or failed to.
///
/// The stream that a service returns may borrow from the service, and then it has no type that a
/// `dyn` trait could name. The future that holds both is moved into what this returns.
///
/// # Cancel safety
///
/// Dropping the future, or the stream, drops `work`.
pub async fn relay<T, E, W>(
    work: impl FnOnce(Relay<T, E>) -> W,
) -> Result<BoxStream<T>, CallError<E>>
where
    T: Send + 'static,
    E: Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let hatch = Hatch::default();
    let mut work: Work = Box::pin(work(Relay(hatch.clone())));
    let begun = poll_fn(|task| {
        let polled = work.as_mut().poll(task);
        match (hatch.take(), polled) {
            (Some(Passed::Begun), _) => Poll::Ready(Ok(())),
            (Some(Passed::Failed(error)), _) => Poll::Ready(Err(error)),
            (_, Poll::Ready(())) => {
                Poll::Ready(Err(CallError::Internal("the stream never began".to_owned())))
            }
            (_, Poll::Pending) => Poll::Pending,
        }
    });
    begun.await?;
    Ok(Box::pin(Relayed { work: Some(work), hatch }))
}

/// Where a stream is passed through.
pub struct Relay<T, E>(Hatch<T, E>);

impl<T, E> Relay<T, E> {
    /// Passes on how a call ended, and its stream item by item: the next is asked for only once the one
    /// before was taken.
    pub async fn pass<S: Stream<Item = T>>(self, result: Result<S, CallError<E>>) {
        match result {
            Err(error) => self.0.give(Passed::Failed(error)).await,
            Ok(stream) => {
                self.0.give(Passed::Begun).await;
                let mut stream = pin!(stream);
                while let Some(item) = poll_fn(|task| stream.as_mut().poll_next(task)).await {
                    self.0.give(Passed::Item(item)).await;
                }
            }
        }
    }
}

enum Passed<T, E> {
    Begun,
    Failed(CallError<E>),
    Item(T),
}

/// Holds one thing at a time. Both sides are polled by one task, so nobody has to be woken.
struct Hatch<T, E>(Arc<Mutex<Option<Passed<T, E>>>>);

impl<T, E> Clone for Hatch<T, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T, E> Default for Hatch<T, E> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T, E> Hatch<T, E> {
    fn take(&self) -> Option<Passed<T, E>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Puts `passed` in, and waits until it was taken.
    async fn give(&self, passed: Passed<T, E>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(passed);
        poll_fn(|_| {
            let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if held.is_some() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }
}

/// The stream, with the future that it comes from.
struct Relayed<T, E> {
    work: Option<Work>,
    hatch: Hatch<T, E>,
}

impl<T, E> Stream for Relayed<T, E> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<T>> {
        let Some(work) = &mut self.work else { return Poll::Ready(None) };
        if work.as_mut().poll(task).is_ready() {
            self.work = None;
        }
        match self.hatch.take() {
            Some(Passed::Item(item)) => Poll::Ready(Some(item)),
            _ if self.work.is_none() => Poll::Ready(None),
            _ => Poll::Pending,
        }
    }
}
