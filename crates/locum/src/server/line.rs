//! The streams of one call, as its handler has them.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use serde::Serialize;
use tokio::task::coop;

use super::outbox::{Item, Key, Outbox};
use crate::CallError;
use crate::stream::{Flow, Stream};

/// The streams of one call.
pub(crate) struct Line {
    outbox: Arc<Outbox>,
    key: Key,
    flow: Arc<Flow>,
}

/// Why a stream ended before its end.
pub(super) enum Stopped<E> {
    /// It failed.
    Failed(CallError<E>),
    /// An item cannot be written.
    Unwritable(String),
    /// Its call is over.
    Over,
}

impl Line {
    pub(super) fn new(outbox: &Arc<Outbox>, key: Key, flow: Arc<Flow>) -> Self {
        Self { outbox: Arc::clone(outbox), key, flow }
    }

    pub(crate) fn flow(&self) -> &Flow {
        &self.flow
    }

    /// Tells the client that it can send so many bytes more.
    pub(crate) fn give_credit(&self, bytes: u32) {
        self.outbox.give_credit(self.key, bytes);
    }

    /// Answers the call, whose stream cannot be read, and stops its handler.
    pub(crate) fn reject(&self, reason: &str) {
        self.outbox.reject(self.key, reason);
    }

    /// Sends what `stream` gives, as it is taken.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub(super) async fn send<S, T, E>(&self, stream: S) -> Result<(), Stopped<E>>
    where
        S: Stream<Item = Result<T, CallError<E>>>,
        T: Serialize,
    {
        if !self.outbox.open_stream(self.key) {
            return Err(Stopped::Over);
        }
        let mut stream = pin!(stream);
        loop {
            // Nothing is asked for that could not be sent.
            if !poll_fn(|task| self.flow.poll_credit(task)).await {
                return Err(Stopped::Over);
            }
            let Some(item) = poll_fn(|task| stream.as_mut().poll_next(task)).await else {
                return Ok(());
            };
            let item = item.map_err(Stopped::Failed)?;
            poll_fn(|task| self.outbox.poll_room(task)).await;
            match self.outbox.item(self.key, &item) {
                Item::Written(length) => self.flow.spend(length),
                Item::Unwritable(text) => return Err(Stopped::Unwritable(text)),
                Item::Over => return Err(Stopped::Over),
            }
            // A stream that always has another item lets others run.
            coop::consume_budget().await;
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("call", &self.key).finish_non_exhaustive()
    }
}
