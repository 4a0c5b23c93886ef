//! The client's side.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use locum_policy::Cause;
use serde::de::DeserializeOwned;

use super::reader::Reader;
use crate::channel::{Closing, Opened};
use crate::{AppError, CallError, Cx, Delivery, ProtocolError, ProtocolKind, TransportKind};

/// The stream that a call returns.
///
/// It ends after the last item, or after the first error. Dropping it before cancels the call.
pub struct Received<T, E> {
    /// `None`: nothing more comes.
    opened: Option<Opened>,
    reader: Reader,
    /// What a policy gave the call, for as long as its stream lasts, and who counts how it ends.
    closing: Option<Closing>,
    /// Ready once the caller gives the call up.
    given_up: Pin<Box<dyn Future<Output = ()> + Send>>,
    items: PhantomData<fn() -> (T, E)>,
}

impl<T, E> Received<T, E> {
    pub(crate) fn new(opened: Opened, closing: Closing, cx: &Cx) -> Self {
        let cx = cx.clone();
        let given_up = Box::pin(async move { cx.given_up().await });
        Self { opened: Some(opened), closing: Some(closing), given_up, ..Self::empty() }
    }

    pub(crate) fn empty() -> Self {
        let given_up = Box::pin(std::future::pending());
        let reader = Reader::default();
        Self { opened: None, reader, closing: None, given_up, items: PhantomData }
    }

    /// The call ended so, to a policy and to its caller.
    fn end(&mut self, cause: Cause, result: Result<(), CallError<E>>) -> Option<CallError<E>> {
        self.opened = None;
        if let Some(closing) = self.closing.take() {
            closing.end(cause, &result);
        }
        result.err()
    }
}

impl<T: DeserializeOwned, E: AppError> Stream for Received<T, E> {
    type Item = Result<T, CallError<E>>;

    fn poll_next(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(opened) = &mut this.opened else { return Poll::Ready(None) };
        if this.given_up.as_mut().poll(task).is_ready() {
            let (kind, delivery) = (TransportKind::Cancelled, Delivery::MaybeProcessed);
            let error = CallError::transport(kind, delivery, "the caller gave it up");
            return Poll::Ready(this.end(Cause::Cancelled, Err(error)).map(Err));
        }
        let flow = opened.flow();
        match ready!(this.reader.poll_next(flow, task, |credit| opened.give_credit(credit))) {
            Some(Ok(item)) => Poll::Ready(Some(Ok(item))),
            Some(Err(error)) => {
                let (kind, detail) = (ProtocolKind::BadReply, error.0);
                let error = CallError::Protocol(ProtocolError { kind, detail });
                Poll::Ready(this.end(Cause::Protocol, Err(error)).map(Err))
            }
            None => {
                let (cause, result) = ready!(opened.poll_result(task));
                Poll::Ready(this.end(cause, result).map(Err))
            }
        }
    }
}

impl<T, E> fmt::Debug for Received<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("ended", &self.opened.is_none()).finish_non_exhaustive()
    }
}
