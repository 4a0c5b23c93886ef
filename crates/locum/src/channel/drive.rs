//! The task of a connection: sends what calls put into the buffer, hands out what comes back.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use locum_wire::rpc::{Answer, Answers, Limits};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::pace;
use crate::transport::Io;

use super::answer::{Lost, Outcome};
use super::connection::{Connection, KEPT_OUT, Phase, State};
use super::input::Input;
use super::slots::NEVER;

mod deliver;
mod keepalive;

use deliver::deliver;
use keepalive::Keepalive;
pub(super) use keepalive::KeepaliveSettings;

/// Drives a connection for as long as it is there. Dropped, it closes the connection.
///
/// A future by hand: reading, writing and the one timer are polled from one task, so that a connection
/// wakes nobody but itself and its callers.
pub(super) struct Driver {
    connection: Arc<Connection>,
    io: Io,
    answers: Answers,
    input: Input,
    /// What is being sent, and how much of it was.
    writing: Vec<u8>,
    written: usize,
    /// Whether what was sent may still be held back by a layer below.
    unflushed: bool,
    /// All bytes that were sent.
    sent: u64,
    /// Whether callers had their turn to add to the batch that is sent next.
    yielded: bool,
    /// Whether callers run beside this task, on other threads.
    parallel: bool,
    timer: Pin<Box<Sleep>>,
    /// What the timer is set to.
    armed: Instant,
    /// What it is set to if nothing is due.
    far: Instant,
    keepalive: Option<Keepalive>,
    /// Whether the peer ever answered a call.
    answered: bool,
    /// Those who have an answer, until the lock is released.
    woken: Vec<Waker>,
    /// Calls whose time was over, until their peer is told.
    expired: Vec<u64>,
}

/// How a connection ended.
pub(super) struct Ended {
    /// Whether the peer ever answered a call.
    pub(super) answered: bool,
    /// Whether that was for what a call of this side is, and no fault of the peer's.
    pub(super) abandoned: bool,
}

impl Driver {
    /// For a connection over `io`, on which the peer has `said` something already.
    pub(super) fn new(
        connection: Arc<Connection>,
        io: Io,
        said: &[u8],
        limits: &Limits,
        keepalive: Option<KeepaliveSettings>,
    ) -> Self {
        let answers = Answers::new(connection.settings().protocol, limits);
        let parallel = Handle::try_current()
            .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
        let now = Instant::now();
        let far = now + FAR;
        Self {
            connection,
            io,
            answers,
            input: Input::holding(said),
            writing: Vec::new(),
            written: 0,
            unflushed: false,
            sent: 0,
            yielded: false,
            parallel,
            timer: Box::pin(sleep_until(far)),
            armed: far,
            far,
            keepalive: keepalive.map(|settings| Keepalive::new(settings, now)),
            answered: false,
            woken: Vec::new(),
            expired: Vec::new(),
        }
    }

    /// Tells the peer that the connection is over, in the words of what is below (TLS has some).
    pub(super) async fn hang_up(mut self) {
        // Nobody waits for that, and a peer that is gone needs not be told.
        let _ = timeout(Duration::from_secs(1), self.io.shutdown()).await;
    }

    /// Reads and hands out what has come. Ready: the connection is over.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        for _ in 0..READS {
            let mut room = ReadBuf::new(self.input.room(self.answers.needs()));
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut room)) {
                Ok(()) => {}
                Err(error) => return Poll::Ready(error.to_string()),
            }
            let count = room.filled().len();
            if count == 0 {
                return Poll::Ready("the peer closed the connection".to_owned());
            }
            self.input.filled(count);
            let now = Instant::now();
            if let Some(keepalive) = &mut self.keepalive {
                keepalive.hears(now);
            }
            if self.input.bytes().len() >= self.answers.needs()
                && let Err(reason) = self.hand_out(self.connection.nanos(now))
            {
                return Poll::Ready(reason);
            }
        }
        // A peer that always has something to say does not keep deadlines and calls from their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Hands out the answers that are whole: all under one lock, and their callers are woken after it.
    fn hand_out(&mut self, now: u64) -> Result<(), String> {
        let (mut taken, mut came) = (0, 0);
        let mut state = self.connection.lock();
        let result = loop {
            let rest = self.input.bytes().get(taken..).unwrap_or_default();
            match self.answers.next(rest, &mut taken) {
                Ok(Some(answer)) => {
                    came += 1;
                    self.answered |= !matches!(
                        answer,
                        Answer::Ping(_) | Answer::Pong(_) | Answer::GoAway { .. }
                    );
                    deliver(&mut state, answer, now, &self.connection, &mut self.woken);
                }
                Ok(None) => break Ok(()),
                Err(fatal) => break Err(fatal.0),
            }
        };
        self.connection.count(&state);
        self.connection.make_room(&state);
        drop(state);
        pace::came(came);
        self.input.take(taken);
        self.woken.drain(..).for_each(Waker::wake);
        result
    }

    /// Sends what is in the buffer, one batch after the other. Ready: the connection is over.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        let mut batches = 0;
        loop {
            while let Some(rest) = self.writing.get(self.written..).filter(|rest| !rest.is_empty())
            {
                match Pin::new(&mut self.io).poll_write(cx, rest) {
                    Poll::Ready(Ok(0)) => return Poll::Ready("nothing can be sent".to_owned()),
                    Poll::Ready(Ok(count)) => {
                        self.written += count;
                        self.sent += count as u64;
                        self.unflushed = true;
                    }
                    Poll::Ready(Err(error)) => {
                        // What is above the system's sockets may have sent part of what it was given
                        // before it failed, and does not tell how much.
                        if !matches!(self.io, Io::Tcp(_) | Io::Unix(_) | Io::Memory(_)) {
                            self.sent += rest.len() as u64;
                        }
                        return Poll::Ready(error.to_string());
                    }
                    Poll::Pending => return self.blocked(cx),
                }
            }
            if self.unflushed {
                match Pin::new(&mut self.io).poll_flush(cx) {
                    Poll::Ready(Ok(())) => self.unflushed = false,
                    Poll::Ready(Err(error)) => return Poll::Ready(error.to_string()),
                    Poll::Pending => return self.blocked(cx),
                }
            }
            let mut state = self.connection.lock();
            if state.out.is_empty() {
                self.yielded = false;
                return self.sleep(&mut state, cx);
            }
            // Let callers that are about to call, because they were just answered, add to the batch.
            // Without this, on several threads, calls leave one by one: 130,000 a second instead of
            // 550,000. And one batch a turn, so that answers are read and deadlines seen to in between.
            if batches > 0 || (self.parallel && !self.yielded) {
                drop(state);
                self.yielded = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            batches += 1;
            self.yielded = false;
            self.written = 0;
            self.writing.clear();
            self.writing.shrink_to(KEPT_OUT);
            std::mem::swap(&mut state.out, &mut self.writing);
            state.blocked = false;
            self.connection.make_room(&state);
        }
    }

    /// Nothing more can be sent now. Ready: the connection is over.
    fn blocked(&self, cx: &Context<'_>) -> Poll<String> {
        let mut state = self.connection.lock();
        state.blocked = true;
        self.sleep(&mut state, cx)
    }

    /// Has callers wake this task: also while nothing can be sent, because their deadlines are to be seen
    /// to all the same. Ready: nobody will call, and nobody waits.
    fn sleep(&self, state: &mut State, cx: &Context<'_>) -> Poll<String> {
        if state.phase != Phase::Open && state.slots.waiting() == 0 {
            return Poll::Ready("there are no more calls".to_owned());
        }
        // On another thread a call may have begun since the timer was set, and have woken nobody.
        if state.slots.earliest() < self.connection.nanos(self.armed) {
            cx.waker().wake_by_ref();
        }
        if !state.driver.as_ref().is_some_and(|driver| driver.will_wake(cx.waker())) {
            state.driver = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Does what is due by now, and sets the timer to what is due next. Ready: the connection is over.
    fn tick(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        loop {
            let due = self.due();
            if due < self.armed || self.timer.is_elapsed() {
                self.armed = due;
                self.timer.as_mut().reset(due);
            }
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            self.far = now + FAR;
            self.expire(now);
            if let Some(reason) = self.keep_alive(now) {
                return Poll::Ready(reason);
            }
        }
    }

    fn due(&self) -> Instant {
        let earliest = self.connection.lock().slots.earliest();
        let deadline = (earliest != NEVER).then(|| self.connection.at(earliest)).flatten();
        let alive = self.keepalive.as_ref().map(Keepalive::due);
        let far = self.far;
        deadline.into_iter().chain(alive).chain([far]).min().unwrap_or(far)
    }

    /// Gives up the calls whose time is over.
    fn expire(&mut self, now: Instant) {
        let nanos = self.connection.nanos(now);
        let mut state = self.connection.lock();
        if state.slots.earliest() > nanos {
            return;
        }
        let (expired, woken) = (&mut self.expired, &mut self.woken);
        state.slots.expire(nanos, |id, waiting| {
            expired.push(id);
            woken.extend(waiting.finish(Outcome::Lost(Lost::TimedOut)));
        });
        for id in self.expired.drain(..) {
            self.connection.cancel(&mut state, id);
        }
        self.connection.count(&state);
        self.connection.make_room(&state);
        drop(state);
        self.woken.drain(..).for_each(Waker::wake);
    }
}

impl Future for Driver {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let this = &mut *self;
        // What was due comes before what is sent, so that it is sent as well; and the timer is set last,
        // to what calls of this batch wait for.
        let mut over = this.read(cx);
        if over.is_pending() {
            over = this.tick(cx);
        }
        if over.is_pending() {
            over = this.write(cx);
        }
        let reason = ready!(over);
        this.connection.close(this.sent, &reason);
        let abandoned = this.connection.lock().abandoned;
        Poll::Ready(Ended { answered: this.answered, abandoned })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.connection.lock().phase != Phase::Closed {
            self.connection.close(self.sent, "its runtime was shut down");
        }
    }
}

/// How often a connection is read from in one turn.
const READS: usize = 32;
/// About as far as timers reach.
const FAR: Duration = Duration::from_secs(365 * 86400);
