//! How one call is begun.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Waker};

use locum_wire::rpc::{self, CallId, Failure, Metadata, Protocol, Refusal};
use tokio::time::Instant;

use super::Calls;
use crate::Cx;
use crate::cx::{Arrived, Peer};
use crate::server::bearer;
use crate::server::core::Core;
use crate::server::directory::Entry;
use crate::server::guard::Guarded;
use crate::server::handling;
use crate::server::limits::WhenFull;
use crate::server::line::Line;
use crate::server::outbox::Key;
use crate::server::responder::{PANICKED, Responder, Told};
use crate::service::{Handler, Incoming};
use crate::stream::{self, Flow, Inlet};

/// A call that may be begun.
struct Admitted {
    /// Its place in the directory.
    at: usize,
    deadline: Option<Instant>,
    /// The streams that go with it.
    flow: Option<Arc<Flow>>,
}

/// A call that has begun.
struct Begun {
    key: Key,
    cx: Cx,
    deadline: Option<Instant>,
    handler: Handler,
}

impl Calls {
    /// Begins a call, and sees it through if it is done at once.
    pub(super) fn call(&mut self, core: &Arc<Core>, read: rpc::Call<'_>) {
        let Admitted { at, deadline, flow } = match self.admit(core, &read) {
            Ok(admitted) => admitted,
            Err(failure) => return self.refuse(&read.id, read.method, &failure),
        };
        let rpc::Call { id, attempt, trace, metadata, args, .. } = read;
        let entry = core.directory.entry(at);
        let arrived = Arrived { deadline, peer: &self.peer, metadata, trace };
        let cx = Cx::of_call(self.idle_cx.take(), arrived);
        let bytes = args.bytes.len();
        let (key, standing) = self.outbox.open(id, at, bytes, flow.clone());
        self.standing = standing;

        let items = Inlet::new(flow.clone().map(|flow| Line::new(&self.outbox, key, flow)));
        let told = core.guard.as_ref().map(|_| Arc::<Told>::default());
        let responder = Responder::new(Arc::clone(&self.outbox), key, told.clone(), flow);
        let incoming = Incoming { cx: &cx, args, items, responder };
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
                handling::panicked(core, panic.as_ref());
                return self.outbox.fail(key, &Failure::internal(PANICKED));
            }
        };

        let mut call = Begun { key, cx, deadline, handler };
        if let Some(told) = told {
            call = self.guard(core, entry, call, attempt, told);
        }
        if entry.method.heavy || entry.method.streams() || self.now >= self.in_place_until {
            self.entrust(core, call);
        } else if let Some(call) = self.handle_in_place(core, entry, call) {
            self.entrust(core, call);
        } else {
            self.answered(bytes);
        }
    }

    /// Whether a call may be begun.
    ///
    /// # Errors
    ///
    /// What its caller is told.
    fn admit(
        &mut self,
        core: &Core,
        read: &rpc::Call<'_>,
    ) -> Result<Admitted, Box<Failure<'static>>> {
        let method = read.method;
        let Some(at) = core.directory.find(method) else {
            return Err(core.directory.unknown(method).into());
        };
        if let CallId::Number(number) | CallId::NumberInJson(number) = read.id {
            if self.away {
                return Err(Failure::unavailable("the server drains").into());
            }
            self.last = self.last.max(Some(number));
        }
        if self.is_over(core) {
            return Err(Failure::unavailable("too many calls").into());
        }
        // Reading cannot stop for these: the rest of the batch is what they wait for.
        if self.standing.held > core.limits.message.decoded {
            return Err(Failure::unavailable("the answers of the batch are too large").into());
        }
        self.identify(core, read.metadata).map_err(Failure::refused)?;
        let streams = core.directory.entry(at).method.streams();
        if streams && self.outbox.protocol() != Protocol::Native {
            return Err(Failure::bad_arguments(stream::unsupported(method)).into());
        }
        let flow = streams.then(|| Arc::new(Flow::new(read.streams)));
        // A stream lasts as long as it likes, unless its caller says how long.
        let deadline = match read.timeout {
            None if streams => None,
            timeout => core.deadlines.of_call(timeout, self.now),
        };
        if deadline.is_some_and(|deadline| deadline <= self.now) {
            return Err(Failure::deadline().into());
        }
        Ok(Admitted { at, deadline, flow })
    }

    /// Puts the server's policy around a handler.
    fn guard(
        &self,
        core: &Arc<Core>,
        entry: &Entry,
        call: Begun,
        attempt: u32,
        told: Arc<Told>,
    ) -> Begun {
        let Begun { key, cx, deadline, handler } = call;
        let outbox = Arc::clone(&self.outbox);
        let method = entry.method.path;
        let guarded = Guarded { outbox, key, method, cx: cx.clone(), attempt, told, handler };
        let core = Arc::clone(core);
        let handler = Box::pin(async move {
            if let Some(guard) = &core.guard {
                guard.handle(guarded).await;
            }
        });
        Begun { key, cx, deadline, handler }
    }

    /// Polls a handler once, and gives it back if that was not enough.
    fn handle_in_place(&mut self, core: &Core, entry: &Entry, mut call: Begun) -> Option<Begun> {
        let polled = {
            let _entered = call.cx.enter();
            // Nobody has to be woken: a handler that is not done is polled again by its task.
            let mut task = Context::from_waker(Waker::noop());
            handling::poll(&mut call.handler, &mut task, core)
        };
        if polled.is_pending() {
            return Some(call);
        }
        handling::dispose(call.handler, core);
        self.idle_cx = Some(call.cx);
        let before = std::mem::replace(&mut self.now, Instant::now());
        entry.calls.time(self.now.saturating_duration_since(before));
        None
    }

    /// Gives a handler a task.
    fn entrust(&mut self, core: &Arc<Core>, call: Begun) {
        let Begun { key, cx, deadline, handler } = call;
        let Some(room) = self.room.take() else {
            return self.outbox.fail(key, &Failure::unavailable("too many calls"));
        };
        if !self.outbox.entrust(key, self.now, deadline, cx.clone(), room) {
            return handling::dispose(handler, core);
        }
        let core = Arc::clone(core);
        let task = tokio::spawn(cx.scope(async move {
            // Its responder has said what there is to say of a panic.
            let _ = handling::contained(handler, &core).await;
        }));
        self.outbox.stop_with(key, task.abort_handle());
    }

    /// Whether there is no room for a call, where it would be refused for that.
    fn is_over(&mut self, core: &Core) -> bool {
        let limits = &core.limits;
        let beyond = self.standing.argument_bytes > limits.argument_bytes;
        (limits.when_full == WhenFull::Refuse || self.standing.streams > 0)
            && (self.standing.calls >= limits.calls_per_connection
                || beyond
                || !self.has_room(core))
    }

    /// Finds out who calls, if the server wants to know.
    fn identify(&mut self, core: &Core, metadata: Metadata<'_>) -> Result<(), Refusal> {
        let Some(known) = core.bearer.as_ref().filter(|_| !self.proved) else {
            return Ok(());
        };
        let token = metadata.get("authorization").and_then(bearer::token);
        let identity = known.identify(token)?;
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
}
