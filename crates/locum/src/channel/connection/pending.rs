//! A call that was begun, as its caller waits for it.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::{Connection, Waiting, wake};
use crate::channel::answer::{Answered, Outcome};
use crate::channel::slots::NEVER;
use crate::channel::streams::{Opened, Sink};

/// A call that has been begun; resolves to how it ended.
///
/// # Cancel safety
///
/// Dropped, the call is given up, here at once and at the peer as soon as it is told.
pub(in crate::channel) struct Pending {
    connection: Arc<Connection>,
    id: u64,
    place: u32,
    deadline: Option<Instant>,
    /// Whether somebody reads the stream that it returned.
    opened: bool,
    /// Its waker was handed over when it began; nothing has changed until it is woken.
    fresh: bool,
    over: bool,
}

impl Pending {
    /// One that has just begun, and whose waker was handed over.
    pub(super) const fn new(
        connection: Arc<Connection>,
        id: u64,
        place: u32,
        deadline: Option<Instant>,
    ) -> Self {
        Self { connection, id, place, deadline, opened: false, fresh: true, over: false }
    }

    /// What its stream is told by.
    pub(in crate::channel) const fn place(&self) -> (&Arc<Connection>, u64) {
        (&self.connection, self.id)
    }

    /// Where the items go that go with it.
    pub(in crate::channel) fn sink(&self) -> Option<Sink> {
        let mut state = self.connection.lock();
        let stream = state.slots.at(self.place).stream.as_ref()?;
        Some(Sink::new(Arc::clone(&self.connection), self.id, Arc::clone(&stream.flow)))
    }

    /// When it is given up.
    pub(in crate::channel) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

impl Future for Pending {
    type Output = Answered;

    /// By hand, because it is the way of every call: at most one lock for each time it is woken.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answered> {
        let this = &mut *self;
        if std::mem::take(&mut this.fresh) {
            return Poll::Pending;
        }
        let mut state = this.connection.lock();
        let waiting = state.slots.at(this.place);
        if !this.opened
            && let Some(stream) = waiting.stream.as_ref().filter(|stream| stream.opened)
        {
            let (flow, deadline) = (Arc::clone(&stream.flow), stream.deadline);
            let until = deadline.map_or(NEVER, |at| this.connection.nanos(at));
            state.slots.postpone(this.id, this.place, until);
            // Nobody else sees to the time that the stream has from now on.
            let driver = state.driver.take();
            drop(state);
            wake(driver);
            this.over = true;
            let connection = Arc::clone(&this.connection);
            let (id, place) = (this.id, this.place);
            let pending =
                Self { connection, id, place, deadline, opened: true, fresh: false, over: false };
            let outcome = Outcome::Opened(Box::new(Opened::new(flow, pending)));
            return Poll::Ready(Answered { outcome, body: Vec::new(), took: None });
        }
        let Some(outcome) = waiting.outcome.take() else {
            if !waiting.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                let previous = waiting.waker.replace(cx.waker().clone());
                // Outside the lock: a waker may own the last of a task.
                drop(state);
                drop(previous);
            }
            return Poll::Pending;
        };
        let body = match &outcome {
            Outcome::Reply(_) => std::mem::replace(&mut waiting.body, SPARE.take()),
            _ => Vec::new(),
        };
        let took = waiting.took();
        this.over = true;
        let stream = waiting.stream.take();
        state.slots.leave(this.id, this.place);
        this.connection.make_room(&state);
        drop(state);
        drop(stream);
        Poll::Ready(Answered { outcome, body, took })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut state = self.connection.lock();
        let waiting = state.slots.at(self.place);
        waiting.outcome = None;
        let (waker, stream) = (waiting.waker.take(), waiting.stream.take());
        // Of a reply that nobody reads no more is kept than of others.
        let body = (waiting.body.capacity() > KEPT_BODY).then(|| std::mem::take(&mut waiting.body));
        let driver = match state.slots.leave(self.id, self.place) {
            true => {
                self.connection.cancel(&mut state, self.id);
                state.driver.take()
            }
            false => None,
        };
        self.connection.count(&state);
        self.connection.make_room(&state);
        drop(state);
        // A waker may own the last of a task, so it is dropped outside the lock.
        drop((waker, stream, body));
        wake(driver);
    }
}

thread_local! {
    /// The buffer of a reply that was read, for the next one: buffers go round between slots and
    /// threads.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Keeps the buffer of a reply that has been read.
pub(in crate::channel) fn keep_spare(mut body: Vec<u8>) {
    if body.capacity() <= KEPT_BODY {
        body.clear();
        SPARE.set(body);
    }
}

impl Waiting {
    /// From its beginning to its answer, if one came.
    fn took(&self) -> Option<Duration> {
        let nanos = self.ended.saturating_sub(self.begun);
        (self.ended != NEVER).then(|| Duration::from_nanos(nanos))
    }
}

/// Buffers of replies larger than this are given back after their use.
const KEPT_BODY: usize = 4 << 10;
