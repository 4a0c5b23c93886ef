//! One connection, as the calls on it see it.
//!
//! Calls put their bytes into one buffer, under one lock that is held for as long as that takes, and
//! wait in their slots. The connection's task ([`drive`](super::drive)) sends what is in the buffer and
//! hands out what comes back.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use locum_wire::rpc::{Calls, Protocol};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::answer::{Lost, Outcome};
use super::slots::{NEVER, Slots};
use super::streams::Streaming;

mod begin;
mod pending;

pub(super) use begin::{NotBegun, Until};
pub(super) use pending::{Pending, keep_spare};

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

/// Bytes that may wait to be sent before calls wait for room.
pub(super) const QUEUE: usize = 4 << 20;
/// Buffers larger than this are given back after their use.
pub(super) const KEPT_OUT: usize = 256 << 10;

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
