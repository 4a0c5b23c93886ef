//! What a server does with the requests of one connection: bytes in, calls begun, answers in the outbox.
//!
//! No bytes are read or written here. A call is begun where it was read: its argument is decoded in place
//! and its handler polled once. Most are done then, and cost neither a task nor a waker; the others get a
//! task each.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use locum_wire::rpc::{CallId, Failure, Fatal, Protocol, Request, Requests, Shape};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::core::Core;
use super::limits::WhenFull;
use super::outbox::{Outbox, Standing};
use crate::Cx;
use crate::cx::Peer;
use crate::pace;

mod call;

/// The calls of one connection.
pub(super) struct Session {
    core: Arc<Core>,
    requests: Requests,
    calls: Calls,
    /// Whether bytes have come that were not looked at.
    stopped: bool,
}

/// What calls are begun with.
struct Calls {
    outbox: Arc<Outbox>,
    peer: Arc<Peer>,
    /// Who the connection has proved to be, before any token.
    proved: bool,
    /// The time, as of the last reading.
    now: Instant,
    /// When handlers polled in place have had their time, until the next batch.
    in_place_until: Instant,
    standing: Standing,
    /// That of the last call that was done in place, whose memory the next may have.
    idle_cx: Option<Cx>,
    /// Room for the next call that does not end in place.
    room: Option<OwnedSemaphorePermit>,
    /// Room that is waited for.
    awaited: Option<Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send>>>,
    /// The highest number of a call that was begun.
    last: Option<u64>,
    away: bool,
    /// Whether the client said that it makes no more calls.
    is_left: bool,
}

impl Session {
    pub(super) fn new(
        core: &Arc<Core>,
        protocol: Protocol,
        requests: Requests,
        peer: Peer,
        now: Instant,
    ) -> Self {
        let calls = Calls {
            outbox: Arc::new(Outbox::new(Arc::clone(core), protocol)),
            proved: peer.identity.is_some(),
            peer: Arc::new(peer),
            now,
            in_place_until: now,
            standing: Standing::default(),
            idle_cx: None,
            room: None,
            awaited: None,
            last: None,
            away: false,
            is_left: false,
        };
        Self { core: Arc::clone(core), requests, calls, stopped: true }
    }

    pub(super) fn outbox(&self) -> &Arc<Outbox> {
        &self.calls.outbox
    }

    /// Begins the calls that `input` has, the bytes not taken so far, as far as there is room; tells how many
    /// bytes are done with.
    ///
    /// # Errors
    ///
    /// Nothing more can be read from this connection.
    pub(super) fn take(&mut self, input: &[u8], now: Instant) -> Result<usize, Fatal> {
        let Self { core, requests, calls, stopped } = self;
        calls.now = now;
        calls.in_place_until = now + IN_PLACE;
        *stopped = true;
        let (mut taken, mut came) = (0, 0);
        let ended = loop {
            if !calls.may_begin(core) {
                break Ok(None);
            }
            let rest = input.get(taken..).unwrap_or_default();
            match requests.next(rest, &mut taken) {
                Ok(Some(request)) => {
                    came += 1;
                    calls.handle(core, request);
                }
                ended => {
                    *stopped = false;
                    break ended;
                }
            }
        };
        pace::came(came);
        ended.map(|_| taken)
    }

    /// How many bytes it takes to go on, as far as is known.
    pub(super) fn needs(&self) -> usize {
        self.requests.needs()
    }

    /// Whether there are bytes that were not looked at: at the beginning, or for want of room.
    pub(super) fn has_stopped(&self) -> bool {
        self.stopped
    }

    /// Ready if there is room for the next call. Room is held only while the next call may be begun: what
    /// this connection cannot use is for others.
    pub(super) fn poll_ready(&mut self, standing: Standing, task: &mut Context<'_>) -> Poll<()> {
        let Self { core, calls, .. } = self;
        calls.standing = standing;
        if calls.may_begin(core) {
            // Whoever waits for room may have been given some that nobody would look at again.
            calls.awaited = None;
            return Poll::Ready(());
        }
        let Some(awaited) = &mut calls.awaited else {
            calls.room = None;
            return Poll::Pending;
        };
        let Poll::Ready(room) = awaited.as_mut().poll(task) else { return Poll::Pending };
        calls.awaited = None;
        calls.room = Some(room);
        if calls.may_begin(core) {
            return Poll::Ready(());
        }
        calls.room = None;
        Poll::Pending
    }

    /// Whether a client that says nothing more may still wait for answers. On the native protocol it says
    /// so before.
    pub(super) fn may_be_waited_for(&self) -> bool {
        self.calls.is_left || self.calls.outbox.protocol() != Protocol::Native
    }

    /// Gives back what was kept for a next call, and waits for no room.
    pub(super) fn rest(&mut self) {
        self.calls.idle_cx = None;
        self.calls.room = None;
        self.calls.awaited = None;
    }

    /// Tells the client that no more calls are begun, where that can be said.
    pub(super) fn go_away(&mut self) {
        let Calls { outbox, last, away, .. } = &mut self.calls;
        if outbox.protocol() == Protocol::Native {
            *away = true;
            outbox.write(|replies, out| replies.go_away(out, *last));
        }
    }
}

/// Whoever waits for an answer has gone.
impl Drop for Session {
    fn drop(&mut self) {
        self.calls.outbox.abandon();
    }
}

impl Calls {
    /// Whether the next request may be looked at.
    fn may_begin(&mut self, core: &Core) -> bool {
        let limits = &core.limits;
        if self.standing.unsent > limits.reply_bytes {
            return false;
        }
        // What streams wait for is behind the next call; so they cannot wait for it.
        if self.standing.streams > 0 {
            return true;
        }
        if self.standing.argument_bytes > limits.argument_bytes {
            return false;
        }
        match limits.when_full {
            WhenFull::Wait => {
                self.standing.calls < limits.calls_per_connection && self.has_room_or_waits(core)
            }
            WhenFull::Refuse => true,
        }
    }

    fn has_room_or_waits(&mut self, core: &Core) -> bool {
        if self.has_room(core) {
            return true;
        }
        if self.awaited.is_none() {
            let room = Arc::clone(&core.room);
            let acquired = async move { room.acquire_owned().await.expect("it is never closed") };
            self.awaited = Some(Box::pin(acquired));
        }
        false
    }

    fn has_room(&mut self, core: &Core) -> bool {
        if self.room.is_none() {
            self.room = Arc::clone(&core.room).try_acquire_owned().ok();
        }
        self.room.is_some()
    }

    fn handle(&mut self, core: &Arc<Core>, request: Request<'_>) {
        match request {
            Request::Call(call) => self.call(core, call),
            Request::Malformed { id, method, failure }
            | Request::TooLarge { id, method, failure } => self.refuse(&id, method, &failure),
            Request::Batch { calls } => self.outbox.write(|replies, _| replies.batch(calls)),
            Request::Cancel { id, answer } => {
                self.outbox.cancel(id);
                if let Some(answer) = answer {
                    self.outbox.write(|replies, out| {
                        let written = replies.ok(out, &answer, CANCEL, &TRUE, &true);
                        written.expect("every wire has truth values");
                    });
                }
            }
            Request::Ping(token) => self.outbox.write(|replies, out| replies.pong(out, token)),
            Request::GoAway => self.is_left = true,
            Request::Item { id, item } => self.outbox.arrive(id, &item),
            Request::End { id } => self.outbox.end(id),
            Request::Credit { id, bytes } => self.outbox.add_credit(id, bytes),
            // Nobody was asked.
            Request::Pong(_) => {}
        }
    }

    fn refuse(&mut self, id: &CallId, method: &str, failure: &Failure<'_>) {
        self.standing = self.outbox.refuse(id, method, failure);
    }
}

/// The call that cancels another, in Go (keegancsmith/rpc), and the shape of its answer.
const CANCEL: &str = "_goRPC_.Cancel";
static TRUE: Shape = Shape::of::<bool>();

/// How long the handlers of one batch may take in place; then the next get tasks, so that none of them waits
/// for those before it.
const IN_PLACE: Duration = Duration::from_millis(1);
