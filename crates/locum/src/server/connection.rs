//! One connection: reads a batch, has its calls begun, writes what they answered.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use locum_wire::rpc::{Fatal, Protocol, Requests};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::alarm::Alarm;
use super::core::{Core, GRACE, Phase, QUIET, Registered};
use super::input::Input;
use super::outbox::{Standing, Woken};
use super::output::Output;
use super::session::Session;
use crate::cx::Peer;
use crate::transport::Io;

/// A connection that carries calls.
///
/// It is polled by hand: one task reads, writes and waits for answers, so that what a batch of requests led
/// to leaves as one write, and without another task being woken for it.
pub(super) struct Connection {
    core: Arc<Core>,
    io: Io,
    session: Session,
    input: Input,
    output: Output,
    /// Whether nothing more is read.
    deaf: bool,
    phase: watch::Receiver<Phase>,
    /// Since when the server drains, once this connection knows.
    draining: Option<Instant>,
    /// When the last bytes came.
    heard: Instant,
    alarm: Alarm,
    _registered: Registered,
}

/// A connection has come to its end, and its client has been told all there was.
struct Over;

impl Connection {
    /// One whose first bytes were read already.
    pub(super) fn new(
        core: &Arc<Core>,
        io: Io,
        protocol: Protocol,
        peer: Peer,
        first: Vec<u8>,
    ) -> Self {
        let now = Instant::now();
        let requests = Requests::new(protocol, &core.limits.message);
        let session = Session::new(core, protocol, requests, peer, now);
        let registered = core.register(session.outbox());
        let mut phase = core.phases();
        // The server may drain already, which a receiver that is new takes for known.
        phase.mark_changed();
        Self {
            core: Arc::clone(core),
            io,
            session,
            input: Input::new(first),
            output: Output::new(now),
            deaf: false,
            phase,
            draining: None,
            heard: now,
            alarm: Alarm::default(),
            _registered: registered,
        }
    }

    /// Serves it to its end.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection and gives its calls up.
    pub(super) async fn serve(mut self) {
        let ended = poll_fn(|task| self.poll(task)).await;
        // What is still under way is given up.
        drop(self.session);
        if let Ok(Over) = ended {
            // Nobody is left to be told of what goes wrong now.
            let _ = linger(&mut self.io).await;
        }
    }

    /// # Errors
    ///
    /// There is nobody to say anything to any more.
    fn poll(&mut self, task: &mut Context<'_>) -> Poll<io::Result<Over>> {
        let mut standing = self.session.outbox().awake();
        if standing.woken == Some(Woken::Answered) {
            // Other handlers may be about to answer. They have a turn, and all answers leave as one.
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut now = Instant::now();
        for _ in 0..BATCHES {
            self.hear_of_phase(now)?;
            // Looked at here, since a client that never pauses never lets the connection sleep.
            if self.has_had_grace(now) && self.may_go_deaf(standing.calls) {
                self.go_deaf(now);
            }
            if standing.earliest.is_some_and(|earliest| earliest <= now) {
                self.session.outbox().sweep(now);
            }
            let was_full = standing.unsent + self.output.left() > self.core.limits.reply_bytes;
            let read = self.poll_read(standing, now, task)?;
            let outbox = self.session.outbox();
            let written = self.output.poll_write(&mut self.io, outbox, now, task)?;
            // Reading that waits for the room which has just been made is told by nobody else.
            let has_room = was_full && written.is_ready();
            if standing.broken {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            if read.is_pending()
                && !has_room
                && let Some(asleep) = outbox.sleep(task.waker(), written.is_ready())
                // A call that was answered after `standing` was taken made room, of which reading knows
                // nothing: its answer found nobody asleep, and may have been written already.
                && asleep.calls >= standing.calls
            {
                if let Some(ended) = self.ended(&asleep, now) {
                    return Poll::Ready(ended);
                }
                let next = self.next_alarm(&asleep);
                if self.alarm.poll(next, task).is_pending() {
                    return Poll::Pending;
                }
                now = Instant::now();
            }
            standing = self.session.outbox().awake();
        }
        // Others have a turn.
        task.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads once and begins calls, if there is room for them. Ready: something may have come of it.
    fn poll_read(
        &mut self,
        mut standing: Standing,
        now: Instant,
        task: &mut Context<'_>,
    ) -> io::Result<Poll<()>> {
        let Self { session, input, io, .. } = self;
        standing.unsent += self.output.left();
        if self.deaf {
            session.rest();
            return Ok(Poll::Pending);
        }
        if session.poll_ready(standing, task).is_pending() {
            return Ok(Poll::Pending);
        }
        let read = if session.has_stopped() {
            input.take(|bytes| session.take(bytes, now))
        } else {
            let needs = session.needs();
            match input.poll_read(io, needs, task, |bytes| session.take(bytes, now)) {
                Poll::Pending => {
                    // Room is for those who have something to do.
                    session.rest();
                    return Ok(Poll::Pending);
                }
                Poll::Ready(read) => match read? {
                    Ok(0) => return self.hear_the_end(now).map(Poll::Ready),
                    read => {
                        self.heard = now;
                        read.map(|_| ())
                    }
                },
            }
        };
        if let Err(Fatal(reason)) = read {
            tracing::debug!(reason, "what a client says cannot be read");
            self.go_deaf(now);
            // It may be in another version: the hello that goes before says so.
            self.session.go_away();
        }
        Ok(Poll::Ready(()))
    }

    /// The client says no more. It may wait for answers all the same, as a client of Go may.
    fn hear_the_end(&mut self, now: Instant) -> io::Result<()> {
        self.go_deaf(now);
        if self.session.may_be_waited_for() {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Reads nothing more.
    fn go_deaf(&mut self, now: Instant) {
        self.deaf = true;
        // A stream may take as long as it likes only while its client can say that it has enough.
        self.session.outbox().bound(now.checked_add(self.core.deadlines.max));
    }

    fn hear_of_phase(&mut self, now: Instant) -> io::Result<()> {
        // The core has the other end, and is here.
        if !self.phase.has_changed().unwrap_or_default() {
            return Ok(());
        }
        match *self.phase.borrow_and_update() {
            Phase::Serving => {}
            Phase::Draining => {
                self.draining = Some(now);
                self.session.go_away();
            }
            Phase::Over => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
        Ok(())
    }

    /// Whether a server that drains has read from this for long enough.
    fn has_had_grace(&self, now: Instant) -> bool {
        self.draining.is_some_and(|since| now.saturating_duration_since(since) >= GRACE)
    }

    /// Whether the client's next word cannot be about one of these `calls`. On the native protocol it may: an
    /// item, credit, a cancellation; new calls it is refused there anyway.
    fn may_go_deaf(&self, calls: usize) -> bool {
        calls == 0 || self.session.outbox().protocol() != Protocol::Native
    }

    /// Whether the time has come to end, and how.
    fn ended(&mut self, standing: &Standing, now: Instant) -> Option<io::Result<Over>> {
        let limits = self.core.limits;
        let is_past = |since: Instant, time| now.saturating_duration_since(since) >= time;
        let writing = self.output.is_busy() || standing.unsent > 0;
        if writing && is_past(self.output.since(), limits.write_stall) {
            return Some(Err(io::ErrorKind::TimedOut.into()));
        }
        if self.has_half_a_message() && is_past(self.heard, limits.message_timeout) {
            self.go_deaf(now);
        }
        if writing || standing.calls > 0 {
            return None;
        }
        let quiet = self.heard.max(self.output.since());
        let over = self.deaf
            || self.draining.is_some_and(|since| is_past(since.max(quiet), QUIET))
            || limits.idle.is_some_and(|idle| is_past(quiet, idle));
        over.then_some(Ok(Over))
    }

    /// When to look again whether it [has ended](Self::ended), or a call's time is over.
    fn next_alarm(&self, standing: &Standing) -> Option<Instant> {
        let limits = &self.core.limits;
        let writing = self.output.is_busy() || standing.unsent > 0;
        let resting = !writing && standing.calls == 0;
        let quiet = self.heard.max(self.output.since());
        let draining = self.draining.map(|since| {
            let may_go_deaf = !self.deaf && self.may_go_deaf(standing.calls);
            let grace = since.checked_add(GRACE).filter(|_| may_go_deaf);
            let rest = since.max(quiet).checked_add(QUIET).filter(|_| resting);
            [grace, rest].into_iter().flatten().min()
        });
        [
            standing.earliest,
            self.output.since().checked_add(limits.write_stall).filter(|_| writing),
            self.heard.checked_add(limits.message_timeout).filter(|_| self.has_half_a_message()),
            limits.idle.and_then(|idle| quiet.checked_add(idle)).filter(|_| resting),
            draining.flatten(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Whether a message has begun whose rest is to come.
    fn has_half_a_message(&self) -> bool {
        !self.deaf && !self.input.is_empty() && !self.session.has_stopped()
    }
}

/// Closes a connection so that what was written last arrives: a system that closes with bytes unread takes
/// back what it has not delivered.
pub(super) async fn linger(io: &mut Io) -> io::Result<()> {
    let read_to_the_end = async {
        io.shutdown().await?;
        let mut left = LINGER_BYTES;
        let mut scrap = [0; 1 << 10];
        loop {
            let read = io.read(&mut scrap).await?;
            left = left.saturating_sub(read);
            if read == 0 || left == 0 {
                return Ok(());
            }
        }
    };
    timeout(LINGER, read_to_the_end).await.unwrap_or(Ok(()))
}

/// How many batches are read before others have a turn.
const BATCHES: usize = 32;

/// How long a client that was told all is waited for to close.
const LINGER: Duration = Duration::from_secs(1);

/// How much of what it says meanwhile is passed over.
const LINGER_BYTES: usize = 1 << 20;
