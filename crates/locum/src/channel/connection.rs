//! One connection, as the calls on it see it.
//!
//! Calls put their bytes into one buffer, under one lock that is held for as long as that takes, and
//! wait in their slots. The connection's task ([`drive`](super::drive)) sends what is in the buffer and
//! hands out what comes back.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use locum_wire::rpc::{CallHead, Calls, Protocol};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::answer::{Answered, Lost, Outcome};
use super::outgoing::Outgoing;
use super::slots::{NEVER, Slots};
use super::streams::{Opened, Sink, Streaming};

/// What both sides of a connection share.
pub(super) struct Connection {
    state: Mutex<State>,
    settings: Settings,
    /// What deadlines count from.
    start: Instant,
    /// Whether calls may begin. Read without the lock; what the lock guards decides.
    open: AtomicBool,
    in_flight: AtomicU32,
    /// Told when a call that found no room may try again.
    room: Notify,
    /// Told when the connection is closed.
    gone: Notify,
}

/// What calls on a connection go by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) protocol: Protocol,
    /// Whether the peer is told of calls that are given up.
    pub(super) cancel: bool,
    /// Calls in flight at once.
    pub(super) max_in_flight: usize,
    /// Bytes of one message that is sent.
    pub(super) max_message: usize,
}

/// Invariant: `queued` is where, of all that was ever put into `out`, its end is.
pub(super) struct State {
    pub(super) calls: Calls,
    /// What is to be sent next.
    pub(super) out: Vec<u8>,
    queued: u64,
    pub(super) slots: Slots<Waiting>,
    /// The connection's task, while it sleeps.
    pub(super) driver: Option<Waker>,
    /// A reading of the clock that holds for all calls of one batch.
    now: Instant,
    /// Nothing can be sent: then batches last long, and every call reads the clock.
    pub(super) blocked: bool,
    pub(super) phase: Phase,
    /// It ends because a call could not be written to its end.
    pub(super) abandoned: bool,
    /// How many calls wait for room.
    crowd: usize,
}

/// How far a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// No call begins any more; those in flight are answered.
    Retired,
    Closed,
}

/// A call in flight.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) outcome: Option<Outcome>,
    /// The bytes of a reply.
    pub(super) body: Vec<u8>,
    waker: Option<Waker>,
    /// Where, in all that was ever sent, its bytes begin.
    pub(super) start: u64,
    /// When it began, and when its answer came, by the clocks of their batches.
    begun: u64,
    pub(super) ended: u64,
    /// Its streams, if it has any.
    pub(super) stream: Option<Box<Streaming>>,
}

/// When a call is given up.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    /// So long after now, give or take the length of a batch.
    After(Duration),
    At(Instant),
    /// Then too, but somebody else sees to that.
    Told(Instant),
}

impl Until {
    /// Whether it is past.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::After(_) => false,
            Self::At(at) | Self::Told(at) => *at <= Instant::now(),
        }
    }

    /// The moment, from now on the same.
    pub(super) fn settle(&mut self) -> Option<Instant> {
        match *self {
            Self::After(timeout) => {
                let at = Instant::now().checked_add(timeout)?;
                *self = Self::At(at);
                Some(at)
            }
            Self::At(at) | Self::Told(at) => Some(at),
        }
    }
}

/// Why a call was not begun on this connection.
#[derive(Debug)]
pub(super) enum NotBegun {
    /// The connection takes no more calls.
    Closed,
    /// There is no room now on this connection.
    Full(Arc<Connection>),
    /// The argument cannot be sent.
    Unsendable(String),
    /// Its time was over before.
    Late,
}

/// Bytes that may wait to be sent before calls wait for room.
pub(super) const QUEUE: usize = 4 << 20;
/// Buffers larger than this are given back after their use.
pub(super) const KEPT_OUT: usize = 256 << 10;
const KEPT_BODY: usize = 4 << 10;

impl Connection {
    pub(super) fn new(settings: Settings) -> Self {
        let start = Instant::now();
        Self {
            state: Mutex::new(State {
                calls: Calls::new(settings.protocol),
                out: Vec::new(),
                queued: 0,
                slots: Slots::new(),
                driver: None,
                now: start,
                blocked: false,
                phase: Phase::Open,
                abandoned: false,
                crowd: 0,
            }),
            settings,
            start,
            open: AtomicBool::new(true),
            in_flight: AtomicU32::new(0),
            room: Notify::new(),
            gone: Notify::new(),
        }
    }

    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// How many calls wait for their answers.
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics under the lock but an argument's `Serialize`, and that is caught.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call: its bytes are in the buffer when this returns, and `waker` is woken when there is
    /// an answer.
    pub(super) fn begin(
        self: Arc<Self>,
        call: &Outgoing<'_>,
        attempt: u32,
        until: Until,
        waker: Waker,
    ) -> Result<Pending, NotBegun> {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Err(NotBegun::Closed);
        }
        if self.is_full(&state) {
            drop(state);
            return Err(NotBegun::Full(self));
        }
        let (deadline, timeout) = match until {
            Until::After(timeout) => {
                let deadline = state.batch_time().checked_add(timeout);
                // Beyond what the clock can say, there is none.
                (deadline, deadline.map(|_| timeout))
            }
            Until::At(at) | Until::Told(at) => {
                state.now = Instant::now();
                let left = at.saturating_duration_since(state.now);
                if left.is_zero() {
                    return Err(NotBegun::Late);
                }
                (Some(at).filter(|_| matches!(until, Until::At(_))), Some(left))
            }
        };
        let (deadline, timeout) = match &call.streams {
            None => (deadline, timeout),
            Some(streams) => {
                let left = |at: Instant| at.saturating_duration_since(Instant::now());
                let local = if streams.returns { deadline } else { streams.deadline };
                (local, streams.deadline.map(left))
            }
        };
        let id = state.slots.next_id();
        let head = CallHead {
            id,
            method: call.path,
            timeout,
            attempt,
            trace: call.trace,
            metadata: call.metadata,
            streams: call.feeds(),
        };
        let State { calls, out, .. } = &mut *state;
        let begin = out.len();
        let encode = AssertUnwindSafe(|| call.argument.encode(calls, out, &head));
        match catch_unwind(encode) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(NotBegun::Unsendable(error.0)),
            // The argument's own `Serialize` panicked, in the middle of a message.
            Err(panic) => {
                self.abandon(state, begin);
                resume_unwind(panic);
            }
        }
        let length = state.out.len() - begin;
        if length > self.settings.max_message {
            self.abandon(state, begin);
            let max = self.settings.max_message;
            return Err(NotBegun::Unsendable(format!(
                "the message has {length} bytes, more than max_message = {max}"
            )));
        }
        let start = state.queued;
        state.queued += length as u64;
        let place = state.slots.insert(deadline.map_or(NEVER, |at| self.nanos(at)));
        let begun = self.nanos(state.now);
        let waiting = state.slots.at(place);
        waiting.start = start;
        (waiting.begun, waiting.ended) = (begun, NEVER);
        waiting.waker = Some(waker);
        waiting.stream = call.streams.as_ref().map(|streams| Box::new(Streaming::new(streams)));
        self.count(&state);
        let driver = state.driver.take();
        drop(state);
        wake(driver);
        Ok(Pending {
            connection: self,
            id,
            place,
            deadline,
            opened: false,
            fresh: true,
            over: false,
        })
    }

    /// Takes back what was written from `begin` on. What the call defined on the stream (types, names) is
    /// gone with it and the encoder does not know, so nothing can follow.
    fn abandon(&self, mut state: MutexGuard<'_, State>, begin: usize) {
        state.out.truncate(begin);
        state.abandoned = true;
        let driver = self.retire_locked(&mut state);
        drop(state);
        wake(driver);
    }

    /// Waits until a call that found no room may try again.
    pub(super) async fn room(&self) {
        let mut room = pin!(self.room.notified());
        room.as_mut().enable();
        {
            let mut state = self.lock();
            if state.phase != Phase::Open || !self.is_full(&state) {
                return;
            }
            state.crowd += 1;
        }
        let _crowd = Crowd(self);
        room.await;
    }

    fn is_full(&self, state: &State) -> bool {
        state.slots.waiting() >= self.settings.max_in_flight || state.out.len() >= QUEUE
    }

    /// If there is room for one more, somebody who waits for it is told.
    pub(super) fn make_room(&self, state: &State) {
        if state.crowd > 0 && !self.is_full(state) {
            self.room.notify_one();
        }
    }

    /// No call begins any more; once those in flight are answered, the connection is closed.
    pub(super) fn retire(&self) {
        let mut state = self.lock();
        let driver = self.retire_locked(&mut state);
        drop(state);
        wake(driver);
    }

    pub(super) fn retire_locked(&self, state: &mut State) -> Option<Waker> {
        if state.phase == Phase::Open {
            state.phase = Phase::Retired;
        }
        self.open.store(false, Ordering::Relaxed);
        self.room.notify_waiters();
        state.driver.take()
    }

    /// It is over: of all that was ever put into the buffer, `sent` bytes were sent.
    pub(super) fn close(&self, sent: u64, why: &str) {
        let mut woken = Vec::new();
        let mut state = self.lock();
        self.open.store(false, Ordering::Relaxed);
        state.phase = Phase::Closed;
        state.out = Vec::new();
        let detail: Arc<str> = why.into();
        state.slots.settle_those(
            |_, _| true,
            |_, waiting| {
                let detail = Arc::clone(&detail);
                let lost = match waiting.start >= sent {
                    true => Lost::NotSent(detail),
                    false => Lost::MaybeProcessed(detail),
                };
                woken.extend(waiting.finish(Outcome::Lost(lost)));
            },
        );
        self.count(&state);
        drop(state);
        self.room.notify_waiters();
        self.gone.notify_waiters();
        woken.into_iter().for_each(Waker::wake);
    }

    /// Waits until the connection is closed.
    pub(super) async fn gone(&self) {
        let mut gone = pin!(self.gone.notified());
        gone.as_mut().enable();
        if self.lock().phase != Phase::Closed {
            gone.await;
        }
    }

    /// Tells the peer that nobody waits for the call `id` any more, if it wants to know.
    pub(super) fn cancel(&self, state: &mut State, id: u64) {
        if state.phase == Phase::Closed || !self.settings.cancel {
            return;
        }
        let State { calls, out, slots, .. } = state;
        let own = match self.settings.protocol {
            Protocol::Gob => slots.skip_id(),
            _ => id,
        };
        let begin = out.len();
        calls.cancel(out, id, own);
        let length = out.len() - begin;
        state.queued += length as u64;
    }

    /// Something was put into the buffer that is no call.
    pub(super) fn queued(state: &mut State, begin: usize) {
        state.queued += (state.out.len() - begin) as u64;
    }

    /// Mirrors the number of calls in flight for those who do not hold the lock.
    pub(super) fn count(&self, state: &State) {
        self.in_flight.store(state.slots.waiting() as u32, Ordering::Relaxed);
    }

    /// Nanoseconds from the start of the connection.
    pub(super) fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start).as_nanos();
        u64::try_from(since).unwrap_or(NEVER).min(NEVER - 1)
    }

    /// The moment of so many [`nanos`](Self::nanos).
    pub(super) fn at(&self, nanos: u64) -> Option<Instant> {
        self.start.checked_add(Duration::from_nanos(nanos))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("settings", &self.settings)
            .field("open", &self.is_open())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

impl State {
    /// The present, read anew only if this call begins a batch.
    fn batch_time(&mut self) -> Instant {
        if self.out.is_empty() || self.blocked {
            self.now = Instant::now();
        }
        self.now
    }
}

impl Waiting {
    /// The call ended so; who is to be woken.
    pub(super) fn finish(&mut self, outcome: Outcome) -> impl Iterator<Item = Waker> + use<> {
        self.outcome = Some(outcome);
        let wakers = self.stream.as_ref().map(|stream| stream.flow.close());
        self.waker.take().into_iter().chain(wakers.into_iter().flatten().flatten())
    }

    /// The call returned a stream; who is to be woken.
    pub(super) fn open(&mut self) -> Option<Waker> {
        let stream = self.stream.as_mut().filter(|stream| stream.returns)?;
        stream.opened = true;
        self.waker.take()
    }

    fn took(&self) -> Option<Duration> {
        let nanos = self.ended.saturating_sub(self.begun);
        (self.ended != NEVER).then(|| Duration::from_nanos(nanos))
    }
}

/// A call that has been begun; resolves to how it ended.
///
/// # Cancel safety
///
/// Dropped, the call is given up, here at once and at the peer as soon as it is told.
pub(super) struct Pending {
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
    /// What its stream is told by.
    pub(super) const fn place(&self) -> (&Arc<Connection>, u64) {
        (&self.connection, self.id)
    }

    /// Where the items go that go with it.
    pub(super) fn sink(&self) -> Option<Sink> {
        let mut state = self.connection.lock();
        let stream = state.slots.at(self.place).stream.as_ref()?;
        Some(Sink::new(Arc::clone(&self.connection), self.id, Arc::clone(&stream.flow)))
    }

    /// When it is given up.
    pub(super) const fn deadline(&self) -> Option<Instant> {
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
pub(super) fn keep_spare(mut body: Vec<u8>) {
    if body.capacity() <= KEPT_BODY {
        body.clear();
        SPARE.set(body);
    }
}

pub(super) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// One who waits for room.
struct Crowd<'a>(&'a Connection);

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.crowd -= 1;
        // Whoever was told may not have used the room, or not all there is.
        self.0.make_room(&state);
    }
}
