//! What a server does with the requests of one connection: bytes in, calls begun, answers in the outbox.
//!
//! No bytes are read or written here. A call is begun where it was read: its argument is decoded in place
//! and its handler polled once. Most are done then, and cost neither a task nor a waker; the others get a
//! task each.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use locum_wire::rpc::{
    Body, CallId, Failure, Fatal, Metadata, Protocol, Refusal, Request, Requests, Shape,
    TraceParent,
};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::core::Core;
use super::guard::Guarded;
use super::handling;
use super::limits::WhenFull;
use super::line::Line;
use super::outbox::{Key, Outbox, Standing};
use super::responder::{PANICKED, Responder, Told};
use crate::Cx;
use crate::cx::{Arrived, Peer};
use crate::service::{Handler, Incoming};
use crate::stream::{self, Flow, Inlet};

/// The calls of one connection.
pub(super) struct Session {
    requests: Requests,
    calls: Calls,
    /// Whether bytes have come that were not looked at.
    stopped: bool,
}

/// What calls are begun with.
struct Calls {
    core: Arc<Core>,
    outbox: Arc<Outbox>,
    peer: Arc<Peer>,
    /// Who the connection has proved to be, before any token.
    proved: bool,
    /// The time, as of the last reading.
    now: Instant,
    /// When handlers polled in place have had their time, until the next batch.
    in_place_until: Instant,
    standing: Standing,
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
            core: Arc::clone(core),
            outbox: Arc::new(Outbox::new(Arc::clone(core), protocol)),
            proved: peer.identity.is_some(),
            peer: Arc::new(peer),
            now,
            in_place_until: now,
            standing: Standing::default(),
            room: None,
            awaited: None,
            last: None,
            away: false,
            is_left: false,
        };
        Self { requests, calls, stopped: true }
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
        let Self { requests, calls, stopped } = self;
        calls.now = now;
        calls.in_place_until = now + IN_PLACE;
        *stopped = true;
        let mut taken = 0;
        while calls.may_begin() {
            let rest = input.get(taken..).unwrap_or_default();
            match requests.next(rest, &mut taken) {
                Ok(Some(request)) => calls.handle(request),
                ended => {
                    *stopped = false;
                    return ended.map(|_| taken);
                }
            }
        }
        Ok(taken)
    }

    /// How many bytes it takes to go on, as far as is known.
    pub(super) fn needs(&self) -> usize {
        self.requests.needs()
    }

    /// Whether there are bytes that were not looked at: at the beginning, or for want of room.
    pub(super) fn has_stopped(&self) -> bool {
        self.stopped
    }

    /// Ready if there is room for the next call.
    pub(super) fn poll_ready(&mut self, standing: Standing, task: &mut Context<'_>) -> Poll<()> {
        let calls = &mut self.calls;
        calls.standing = standing;
        if calls.may_begin() {
            return Poll::Ready(());
        }
        let Some(awaited) = &mut calls.awaited else { return Poll::Pending };
        let Poll::Ready(room) = awaited.as_mut().poll(task) else { return Poll::Pending };
        calls.awaited = None;
        calls.room = Some(room);
        if calls.may_begin() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether a client that says nothing more may still wait for answers. On the native protocol it says
    /// so before.
    pub(super) fn may_be_waited_for(&self) -> bool {
        self.calls.is_left || self.calls.outbox.protocol() != Protocol::Native
    }

    /// Gives back room that was taken for a next call.
    pub(super) fn rest(&mut self) {
        self.calls.room = None;
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

/// A call as it was read.
struct Read<'a> {
    id: CallId,
    method: &'a str,
    timeout: Option<Duration>,
    attempt: u32,
    trace: Option<TraceParent>,
    metadata: Metadata<'a>,
    args: Body<'a>,
    streams: bool,
}

impl Calls {
    /// Whether the next request may be looked at.
    fn may_begin(&mut self) -> bool {
        let limits = &self.core.limits;
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
                self.standing.calls < limits.calls_per_connection && self.has_room_or_waits()
            }
            WhenFull::Refuse => true,
        }
    }

    fn has_room_or_waits(&mut self) -> bool {
        if self.has_room() {
            return true;
        }
        if self.awaited.is_none() {
            let room = Arc::clone(&self.core.room);
            let acquired = async move { room.acquire_owned().await.expect("it is never closed") };
            self.awaited = Some(Box::pin(acquired));
        }
        false
    }

    fn has_room(&mut self) -> bool {
        if self.room.is_none() {
            self.room = Arc::clone(&self.core.room).try_acquire_owned().ok();
        }
        self.room.is_some()
    }

    fn handle(&mut self, request: Request<'_>) {
        match request {
            Request::Call { id, method, timeout, attempt, trace, metadata, args, streams } => {
                self.call(Read { id, method, timeout, attempt, trace, metadata, args, streams });
            }
            Request::Malformed { id, method, failure } => self.refuse(&id, method, &failure),
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

    /// Begins a call.
    fn call(&mut self, read: Read<'_>) {
        let Read { id, method, timeout, attempt, trace, metadata, args, streams } = read;
        let core = Arc::clone(&self.core);
        let Some(at) = core.directory.find(method) else {
            return self.refuse(&id, method, &core.directory.unknown(method));
        };
        if let CallId::Number(number) | CallId::NumberInJson(number) = id {
            if self.away {
                return self.refuse(&id, method, &Failure::unavailable("the server drains"));
            }
            self.last = self.last.max(Some(number));
        }
        if self.is_over() {
            return self.refuse(&id, method, &Failure::unavailable("too many calls"));
        }
        if let Err(refusal) = self.identify(metadata) {
            return self.refuse(&id, method, &Failure::refused(refusal));
        }
        let entry = core.directory.entry(at);
        let flow = if entry.method.streams() {
            if self.outbox.protocol() != Protocol::Native {
                return self.refuse(
                    &id,
                    method,
                    &Failure::bad_arguments(stream::unsupported(method)),
                );
            }
            Some(Arc::new(Flow::new(streams)))
        } else {
            None
        };
        // A stream lasts as long as it likes, unless its caller says how long.
        let deadline = match (timeout, &flow) {
            (None, Some(_)) => None,
            _ => core.deadlines.of_call(timeout, self.now),
        };
        if deadline.is_some_and(|deadline| deadline <= self.now) {
            return self.refuse(&id, method, &Failure::deadline());
        }
        let cx = Cx::of_call(Arrived { deadline, peer: &self.peer, metadata, trace });
        let bytes = args.bytes.len();
        let (key, standing) = self.outbox.open(id, at, bytes, flow.clone());
        self.standing = standing;
        let items = Inlet::new(flow.clone().map(|flow| Line::new(&self.outbox, key, flow)));
        let told = core.guard.as_ref().map(|_| Arc::<Told>::default());
        let responder = Responder::new(Arc::clone(&self.outbox), key, told.clone(), flow);
        let incoming = Incoming { cx: cx.clone(), args, items, responder };
        self.outbox.beginning(key);
        let begun = catch_unwind(AssertUnwindSafe(|| entry.service.call(entry.index, incoming)));
        self.outbox.begun();
        let handler = match begun {
            Ok(Ok(handler)) => handler,
            Ok(Err(error)) => {
                self.answered(bytes);
                return self.outbox.fail(key, &Failure::bad_arguments(error.0));
            }
            Err(panic) => {
                self.answered(bytes);
                handling::panicked(&core, panic.as_ref());
                return self.outbox.fail(key, &Failure::internal(PANICKED));
            }
        };
        let handler = match told {
            None => handler,
            Some(told) => {
                let (core, outbox) = (Arc::clone(&core), Arc::clone(&self.outbox));
                let method = entry.method.path;
                let guarded =
                    Guarded { outbox, key, method, cx: cx.clone(), attempt, told, handler };
                Box::pin(async move {
                    if let Some(guard) = &core.guard {
                        guard.handle(guarded).await;
                    }
                })
            }
        };
        if entry.method.heavy || entry.method.streams() || self.now >= self.in_place_until {
            self.entrust(key, self.now, deadline, cx, handler);
        } else if let Some(handler) = self.handle_in_place(at, &cx, handler) {
            self.entrust(key, self.now, deadline, cx, handler);
        } else {
            self.answered(bytes);
        }
    }

    /// Polls a handler once, and gives it back if that was not enough.
    fn handle_in_place(&mut self, at: usize, cx: &Cx, mut handler: Handler) -> Option<Handler> {
        let polled = {
            let _entered = cx.enter();
            // Nobody has to be woken: a handler that is not done is polled again by its task.
            handling::poll(&mut handler, &mut Context::from_waker(Waker::noop()), &self.core)
        };
        if polled.is_pending() {
            return Some(handler);
        }
        handling::dispose(handler, &self.core);
        let before = std::mem::replace(&mut self.now, Instant::now());
        self.core.directory.entry(at).calls.time(self.now.saturating_duration_since(before));
        None
    }

    /// Gives a handler a task.
    fn entrust(
        &mut self,
        key: Key,
        started: Instant,
        deadline: Option<Instant>,
        cx: Cx,
        handler: Handler,
    ) {
        let Some(room) = self.room.take() else {
            return self.outbox.fail(key, &Failure::unavailable("too many calls"));
        };
        if !self.outbox.entrust(key, started, deadline, cx.clone(), room) {
            return handling::dispose(handler, &self.core);
        }
        let core = Arc::clone(&self.core);
        let task = tokio::spawn(cx.scope(async move {
            // Its responder has said what there is to say of a panic.
            let _ = handling::contained(handler, &core).await;
        }));
        self.outbox.stop_with(key, task.abort_handle());
    }

    /// Whether there is no room for a call, where it would be refused for that.
    fn is_over(&mut self) -> bool {
        let limits = &self.core.limits;
        let beyond = self.standing.argument_bytes > limits.argument_bytes;
        (limits.when_full == WhenFull::Refuse || self.standing.streams > 0)
            && (self.standing.calls >= limits.calls_per_connection || beyond || !self.has_room())
    }

    /// Finds out who calls, if the server wants to know.
    fn identify(&mut self, metadata: Metadata<'_>) -> Result<(), Refusal> {
        let Some(bearer) = self.core.bearer.as_ref().filter(|_| !self.proved) else {
            return Ok(());
        };
        let token = metadata.get("authorization").and_then(super::bearer::token);
        let identity = bearer.identify(token)?;
        if self.peer.identity.as_ref() != Some(&identity) {
            self.peer = Arc::new(Peer { address: self.peer.address, identity: Some(identity) });
        }
        Ok(())
    }

    /// A call was answered as soon as it was read.
    fn answered(&mut self, bytes: usize) {
        self.standing.calls = self.standing.calls.saturating_sub(1);
        self.standing.argument_bytes = self.standing.argument_bytes.saturating_sub(bytes);
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
