//! Streams of the calls of a channel.

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_core::Stream;
use locum_policy::Cause;
use locum_wire::rpc::{Calls, EncodeError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::{AbortHandle, coop};
use tokio::time::Instant;

use super::answer::{Answered, Lost, Outcome};
use super::connection::{Connection, Pending, State, wake};
use super::outgoing::Typed;
use super::policy::Open;
use super::{Channel, conclude, metrics};
use crate::service::Method;
use crate::stream::{Flow, Received};
use crate::{AppError, CallError, Cx};

/// The streams of a call that is to be made.
#[derive(Clone, Copy)]
pub(super) struct Streams<'a> {
    /// What goes with it.
    pub(super) feed: Option<&'a dyn Feed>,
    /// Whether it returns one.
    pub(super) returns: bool,
    /// When it is over, if its caller said so. Streams last as long as they like otherwise: what time
    /// there is for calls is there for a stream to open.
    pub(super) deadline: Option<Instant>,
}

/// The streams of a call in flight.
pub(super) struct Streaming {
    pub(super) flow: Arc<Flow>,
    pub(super) returns: bool,
    /// Whether the peer said that the call returns a stream.
    pub(super) opened: bool,
    pub(super) deadline: Option<Instant>,
}

impl Streaming {
    pub(super) fn new(streams: &Streams<'_>) -> Self {
        let Streams { returns, deadline, .. } = *streams;
        Self { flow: Arc::new(Flow::new(returns)), returns, opened: false, deadline }
    }
}

/// A call that has returned a stream. Dropped, it is given up.
pub(crate) struct Opened {
    flow: Arc<Flow>,
    pending: Pending,
    /// Sends what goes with the call.
    pub(super) feeder: Option<Feeder>,
}

impl Opened {
    pub(super) const fn new(flow: Arc<Flow>, pending: Pending) -> Self {
        Self { flow, pending, feeder: None }
    }

    pub(crate) fn flow(&self) -> &Flow {
        &self.flow
    }

    /// Tells the peer that it can send so many bytes more.
    pub(crate) fn give_credit(&self, bytes: u32) {
        let (connection, id) = self.pending.place();
        connection.write(id, |calls, out| calls.credit(out, id, bytes));
    }

    /// How the call ended after all, to a policy and to its caller.
    pub(crate) fn poll_result<E: AppError>(
        &mut self,
        task: &mut Context<'_>,
    ) -> Poll<(Cause, Result<(), CallError<E>>)> {
        let answered = Pin::new(&mut self.pending).poll(task);
        answered.map(|answered| (answered.cause(), answered.read_by(|_| Ok(()))))
    }
}

/// Who wants to know how a stream ended.
pub(crate) struct Closing {
    open: Option<Open>,
    counted: Arc<metrics::Method>,
}

impl Closing {
    /// It ended so, to a policy and to its caller.
    pub(crate) fn end<R, E>(self, cause: Cause, result: &Result<R, CallError<E>>) {
        if let Some(open) = self.open {
            open.end(cause);
        }
        self.counted.ended(result);
    }
}

/// A stream that goes with a call.
pub(super) trait Feed: Sync {
    /// Sends it in a task of its own, unless that was done before.
    fn start(&self, sink: Sink) -> Option<Feeder>;
}

/// A stream that nobody has begun to send.
struct Waiting<S>(Mutex<Option<S>>);

impl<S> Waiting<S> {
    const fn new(items: S) -> Self {
        Self(Mutex::new(Some(items)))
    }
}

impl<S: Stream<Item: Serialize + Send> + Send + 'static> Feed for Waiting<S> {
    fn start(&self, sink: Sink) -> Option<Feeder> {
        let items = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(Feeder(tokio::spawn(sink.feed(items)).abort_handle()))
    }
}

/// The task that sends a stream, which ends with this.
pub(super) struct Feeder(AbortHandle);

impl Drop for Feeder {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Where the items go that go with a call.
pub(super) struct Sink {
    connection: Arc<Connection>,
    id: u64,
    flow: Arc<Flow>,
    ended: bool,
}

impl Sink {
    pub(super) const fn new(connection: Arc<Connection>, id: u64, flow: Arc<Flow>) -> Self {
        Self { connection, id, flow, ended: false }
    }

    /// Sends what `items` gives, as it is taken.
    async fn feed<S: Stream<Item: Serialize>>(mut self, items: S) {
        let mut items = pin!(items);
        // Nothing is asked for that could not be sent.
        while poll_fn(|task| self.flow.poll_credit(task)).await {
            let Some(item) = poll_fn(|task| items.as_mut().poll_next(task)).await else {
                self.ended = true;
                let id = self.id;
                self.connection.write(id, |calls, out| calls.end(out, id));
                return;
            };
            match self.connection.send_item(self.id, &item) {
                Some(Ok(length)) => self.flow.spend(length),
                Some(Err(reason)) => {
                    self.ended = true;
                    self.connection.break_off(self.id, &reason);
                    return;
                }
                None => break,
            }
            // A stream that always has another item lets others run.
            coop::consume_budget().await;
        }
        self.ended = true;
    }
}

/// A stream without its end is not to be taken for a whole one.
impl Drop for Sink {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.break_off(self.id, "the stream that goes with the call broke off");
        }
    }
}

impl Connection {
    /// Has something said of the call `id`, if it is in flight.
    fn write(&self, id: u64, write: impl FnOnce(&mut Calls, &mut Vec<u8>)) {
        let mut state = self.lock();
        if state.slots.find(id).is_none() {
            return;
        }
        let begin = state.out.len();
        let State { calls, out, .. } = &mut *state;
        write(calls, out);
        Self::queued(&mut state, begin);
        let driver = state.driver.take();
        drop(state);
        wake(driver);
    }

    /// Sends one item of the stream that goes with the call `id`; gives how many bytes its value has, or
    /// why it cannot be sent. `None`: the call is over.
    fn send_item<T: Serialize>(&self, id: u64, item: &T) -> Option<Result<usize, String>> {
        let mut state = self.lock();
        state.slots.find(id)?;
        let begin = state.out.len();
        let State { calls, out, .. } = &mut *state;
        let written = catch_unwind(AssertUnwindSafe(|| calls.item(out, id, item)));
        let max = self.settings().max_message;
        let written = match written {
            Ok(Ok(length)) if state.out.len() - begin > max => {
                Err(format!("an item has {length} bytes, more than max_message = {max}"))
            }
            Ok(Err(EncodeError(reason))) => Err(reason),
            Ok(Ok(length)) => Ok(length),
            Err(_) => Err("an item panicked when it was written".to_owned()),
        };
        if written.is_err() {
            // Nothing of an item is known to the encoder once its frame is gone.
            state.out.truncate(begin);
            return Some(written);
        }
        Self::queued(&mut state, begin);
        let driver = state.driver.take();
        drop(state);
        wake(driver);
        Some(written)
    }

    /// Gives the call `id` up, because what goes with it cannot be sent.
    fn break_off(&self, id: u64, reason: &str) {
        let mut state = self.lock();
        let Some(waiting) = state.slots.settle(id) else { return };
        let woken = waiting.finish(Outcome::Lost(Lost::Unsendable(reason.into())));
        let woken: Vec<_> = woken.collect();
        self.cancel(&mut state, id);
        self.count(&state);
        self.make_room(&state);
        let driver = state.driver.take();
        drop(state);
        woken.into_iter().chain(driver).for_each(std::task::Waker::wake);
    }
}

impl Channel {
    /// Makes one call that takes a stream.
    ///
    /// Such a call has as much time as `cx` says: the channel's own timeout bounds only how long it waits
    /// for a connection. It is sent once: what was taken of a stream cannot be taken again.
    ///
    /// # Errors
    ///
    /// Those of [`call`](Self::call). [`Unsupported`](crate::TransportKind::Unsupported): the protocol has
    /// no streams, or an item cannot be written.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the call at the peer, and drops `items`.
    ///
    /// # Panics
    ///
    /// When polled outside a Tokio runtime.
    pub async fn call_sending<A, S, R, E>(
        &self,
        cx: &Cx,
        method: &'static Method,
        args: A,
        items: S,
    ) -> Result<R, CallError<E>>
    where
        A: Serialize + Send + Sync,
        S: Stream + Send + 'static,
        S::Item: Serialize + Send,
        R: DeserializeOwned,
        E: AppError,
    {
        let argument = Typed { shape: &method.args, args: &args };
        let feed = Waiting::new(items);
        let streams = Streams { feed: Some(&feed), returns: false, deadline: cx.deadline() };
        let counted = self.0.metrics.of(method.path);
        let ended = self.exchange(cx, method.path, false, &argument, Some(streams)).await;
        conclude(ended, &counted, |answered| answered.read())
    }

    /// Makes one call that returns a stream.
    ///
    /// The channel's own timeout, and a policy, bound how long the stream takes to open. From then on it
    /// has as much time as `cx` says.
    ///
    /// # Errors
    ///
    /// Those of [`call`](Self::call). [`Unsupported`](crate::TransportKind::Unsupported): the protocol has
    /// no streams.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future, or the stream, cancels the call at the peer.
    ///
    /// # Panics
    ///
    /// When polled outside a Tokio runtime.
    pub async fn call_receiving<A, T, E>(
        &self,
        cx: &Cx,
        method: &'static Method,
        args: A,
    ) -> Result<Received<T, E>, CallError<E>>
    where
        A: Serialize + Send + Sync,
        T: DeserializeOwned,
        E: AppError,
    {
        let streams = Streams { feed: None, returns: true, deadline: cx.deadline() };
        self.receive(cx, method, &args, streams).await
    }

    /// Makes one call that takes a stream and returns one. It is sent once, as in
    /// [`call_sending`](Self::call_sending), and has the time of [`call_receiving`](Self::call_receiving).
    ///
    /// # Errors
    ///
    /// Those of both.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future, or the stream, cancels the call at the peer, and drops `items`.
    ///
    /// # Panics
    ///
    /// When polled outside a Tokio runtime.
    pub async fn call_exchanging<A, S, T, E>(
        &self,
        cx: &Cx,
        method: &'static Method,
        args: A,
        items: S,
    ) -> Result<Received<T, E>, CallError<E>>
    where
        A: Serialize + Send + Sync,
        S: Stream + Send + 'static,
        S::Item: Serialize + Send,
        T: DeserializeOwned,
        E: AppError,
    {
        let feed = Waiting::new(items);
        let streams = Streams { feed: Some(&feed), returns: true, deadline: cx.deadline() };
        self.receive(cx, method, &args, streams).await
    }

    async fn receive<A, T, E>(
        &self,
        cx: &Cx,
        method: &'static Method,
        args: &A,
        streams: Streams<'_>,
    ) -> Result<Received<T, E>, CallError<E>>
    where
        A: Serialize + Send + Sync,
        T: DeserializeOwned,
        E: AppError,
    {
        let argument = Typed { shape: &method.args, args };
        let idempotent = method.idempotent && streams.feed.is_none();
        let counted = self.0.metrics.of(method.path);
        match self.exchange(cx, method.path, idempotent, &argument, Some(streams)).await {
            Ok((Answered { outcome: Outcome::Opened(opened), .. }, open)) => {
                Ok(Received::new(*opened, Closing { open, counted }, cx))
            }
            // A call that ends without a stream has one without items, if it ends well.
            ended => conclude(ended, &counted, |answered| {
                answered.read_by(|_| Ok(())).map(|()| Received::empty())
            }),
        }
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}
