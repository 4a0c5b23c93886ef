//! The calls of one connection that are to be answered, and the answers that are to be written.
//!
//! Whoever has a result writes it here, under a lock that is hardly ever waited for; the connection takes
//! what has gathered and writes it at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use locum_wire::rpc::{CallId, Failure, Protocol, Replies};
use rustc_hash::FxHashMap;
use serde::Serialize;
use slab::Slab;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::core::Core;
use crate::Cx;
use crate::metrics::Outcome;
use crate::service::Method;
use crate::stream::Flow;

mod streams;

pub(super) use streams::Item;

/// What a connection shares with those who answer its calls.
pub(super) struct Outbox {
    core: Arc<Core>,
    protocol: Protocol,
    state: Mutex<State>,
    /// The serial of the call whose argument is being read; 0: none is.
    beginning: AtomicU64,
}

struct State {
    replies: Replies,
    out: Vec<u8>,
    calls: Slab<Call>,
    /// Where calls stand that can be cancelled, by their number.
    numbers: FxHashMap<u64, usize>,
    /// Bytes of their arguments.
    argument_bytes: usize,
    /// How many of them have streams.
    streams: usize,
    /// Those who wait until what is to be written is less.
    crowd: Vec<Waker>,
    /// No deadline of a call being handled is before.
    earliest: Option<Instant>,
    /// The last serial.
    serial: u64,
    /// The connection's, while it sleeps.
    sleeper: Option<Waker>,
    /// Whether it was woken, or is not to fall asleep, and why.
    woken: Option<Woken>,
    /// Writing an answer panicked: what its encoder knows of the stream is in doubt.
    broken: bool,
}

/// Why a connection does not sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// There is an answer.
    Answered,
    /// The server is in another phase.
    Nudged,
}

/// A call that is to be answered.
struct Call {
    serial: u64,
    id: CallId,
    /// Its place in the directory.
    entry: usize,
    /// Of its argument.
    bytes: usize,
    /// The streams that go with it, if its method has any.
    flow: Option<Arc<Flow>>,
    /// What there is of a call that has a task. Most have none, and are moved about the faster for the box.
    task: Option<Box<Task>>,
}

/// A call that was not done when it was first polled.
struct Task {
    started: Instant,
    deadline: Option<Instant>,
    cx: Cx,
    abort: Option<AbortHandle>,
    /// Of the server's room.
    _room: OwnedSemaphorePermit,
}

/// Names a call, for as long as it is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    slot: usize,
    /// Slots are used again, serials are not.
    serial: u64,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    /// Bytes that are to be written.
    pub(super) unsent: usize,
    /// Bytes of answers that wait for others of their batch.
    pub(super) held: usize,
    /// Calls that are to be answered.
    pub(super) calls: usize,
    /// Bytes of their arguments.
    pub(super) argument_bytes: usize,
    /// How many of the calls have streams.
    pub(super) streams: usize,
    /// When to look for calls whose time is over.
    pub(super) earliest: Option<Instant>,
    /// Why the connection was woken, if by somebody who has to do with this.
    pub(super) woken: Option<Woken>,
    /// Whether nothing more can be written.
    pub(super) broken: bool,
}

impl Outbox {
    pub(super) fn new(core: Arc<Core>, protocol: Protocol) -> Self {
        let state = State {
            replies: Replies::new(protocol),
            out: Vec::new(),
            calls: Slab::new(),
            numbers: FxHashMap::default(),
            argument_bytes: 0,
            streams: 0,
            crowd: Vec::new(),
            earliest: None,
            serial: 0,
            sleeper: None,
            woken: None,
            broken: false,
        };
        Self { core, protocol, state: Mutex::new(state), beginning: AtomicU64::new(0) }
    }

    /// Takes in a call that is to be answered, and tells how much there is now.
    pub(super) fn open(
        &self,
        id: CallId,
        entry: usize,
        bytes: usize,
        flow: Option<Arc<Flow>>,
    ) -> (Key, Standing) {
        let mut state = self.state();
        state.serial += 1;
        let serial = state.serial;
        state.argument_bytes += bytes;
        state.streams += usize::from(flow.is_some());
        let slot = state.calls.insert(Call { serial, id, entry, bytes, flow, task: None });
        (Key { slot, serial }, state.standing())
    }

    /// The argument of the call is being read until [`begun`](Self::begun): whoever is dropped meanwhile
    /// does not answer for it.
    pub(super) fn beginning(&self, key: Key) {
        self.beginning.store(key.serial, Ordering::Relaxed);
    }

    pub(super) fn begun(&self) {
        self.beginning.store(0, Ordering::Relaxed);
    }

    pub(super) fn is_beginning(&self, key: Key) -> bool {
        self.beginning.load(Ordering::Relaxed) == key.serial
    }

    /// The call is about to have a task, and can be given up. Tells whether it still is to be answered.
    pub(super) fn entrust(
        &self,
        key: Key,
        started: Instant,
        deadline: Option<Instant>,
        cx: Cx,
        room: OwnedSemaphorePermit,
    ) -> bool {
        let mut state = self.state();
        let State { calls, numbers, earliest, .. } = &mut *state;
        let Some(call) = call_of(calls, key) else { return false };
        call.task = Some(Box::new(Task { started, deadline, cx, abort: None, _room: room }));
        if let Some(number) = number(&call.id) {
            numbers.insert(number, key.slot);
        }
        *earliest = [*earliest, deadline].into_iter().flatten().min();
        true
    }

    /// How to stop its task.
    pub(super) fn stop_with(&self, key: Key, abort: AbortHandle) {
        if let Some(task) = call_of(&mut self.state().calls, key).and_then(|it| it.task.as_mut()) {
            task.abort = Some(abort);
        }
    }

    /// Answers a call with what it returned.
    pub(super) fn ok<R: Serialize>(&self, key: Key, value: &R) {
        let mut state = self.state();
        let Some(call) = state.take(key) else { return };
        let Method { path, reply, .. } = self.core.directory.entry(call.entry).method;
        let State { replies, out, .. } = &mut *state;
        let before = out.len();
        let written =
            catch_unwind(AssertUnwindSafe(|| replies.ok(out, &call.id, path, reply, value)));
        let outcome = match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let failure = Failure::internal(&error.to_string());
                replies.failure(out, &call.id, path, &failure);
                Err(failure.class)
            }
            Err(_) => {
                out.truncate(before);
                state.broken = true;
                Err(locum_wire::rpc::Class::Internal)
            }
        };
        let sleeper = state.wake(Woken::Answered);
        drop(state);
        self.settle(&call, outcome);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// Answers a call with how it failed.
    pub(super) fn fail(&self, key: Key, failure: &Failure<'_>) {
        let mut state = self.state();
        let Some(call) = state.take(key) else { return };
        self.write_failure(&mut state, &call, failure);
        let sleeper = state.wake(Woken::Answered);
        drop(state);
        self.settle(&call, Err(failure.class));
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// Answers a call that was not taken in.
    pub(super) fn refuse(&self, id: &CallId, method: &str, failure: &Failure<'_>) -> Standing {
        let calls = match self.core.directory.find(method) {
            Some(at) => &self.core.directory.entry(at).calls,
            None => &self.core.counts.unknown,
        };
        calls.count(self.protocol, Err(failure.class));
        let mut state = self.state();
        let State { replies, out, .. } = &mut *state;
        replies.failure(out, id, method, failure);
        state.standing()
    }

    /// Gives up the call with that number.
    pub(super) fn cancel(&self, number: u64) {
        let mut state = self.state();
        let Some(&slot) = state.numbers.get(&number) else { return };
        let Some(key) = state.calls.get(slot).map(|call| Key { slot, serial: call.serial }) else {
            return;
        };
        let Some(call) = state.take(key) else { return };
        let failure = Failure::cancelled();
        self.write_failure(&mut state, &call, &failure);
        drop(state);
        self.give_up(call, Err(failure.class));
    }

    /// Gives up the calls whose time is over.
    pub(super) fn sweep(&self, now: Instant) {
        let mut state = self.state();
        if state.earliest.is_none_or(|earliest| now < earliest) {
            return;
        }
        let (mut late, mut earliest) = (Vec::new(), None::<Instant>);
        for (slot, call) in &state.calls {
            match call.task.as_ref().and_then(|task| task.deadline) {
                Some(deadline) if deadline <= now => late.push(Key { slot, serial: call.serial }),
                Some(deadline) => earliest = Some(earliest.map_or(deadline, |it| it.min(deadline))),
                None => {}
            }
        }
        state.earliest = earliest;
        let failure = Failure::deadline();
        let mut given_up = Vec::new();
        for key in late {
            if let Some(call) = state.take(key) {
                self.write_failure(&mut state, &call, &failure);
                given_up.push(call);
            }
        }
        drop(state);
        given_up.into_iter().for_each(|call| self.give_up(call, Err(failure.class)));
    }

    /// Has calls that could take as long as they like be given up `at` that time.
    pub(super) fn bound(&self, at: Option<Instant>) {
        let mut state = self.state();
        let State { calls, earliest, .. } = &mut *state;
        for task in calls.iter_mut().filter_map(|(_, call)| call.task.as_mut()) {
            if task.deadline.is_none() {
                task.deadline = at;
                *earliest = [*earliest, at].into_iter().flatten().min();
            }
        }
        // Whoever sleeps knows of another time.
        let sleeper = state.wake(Woken::Nudged);
        drop(state);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// Gives up all calls; nobody hears of it.
    pub(super) fn abandon(&self) {
        let calls = {
            let mut state = self.state();
            state.numbers.clear();
            (state.argument_bytes, state.streams) = (0, 0);
            std::mem::take(&mut state.calls)
        };
        for (_, call) in calls {
            self.give_up(call, Err(locum_wire::rpc::Class::Cancelled));
        }
    }

    /// Has the encoder of replies write something that answers no call.
    pub(super) fn write(&self, write: impl FnOnce(&mut Replies, &mut Vec<u8>)) {
        let mut state = self.state();
        let State { replies, out, .. } = &mut *state;
        write(replies, out);
    }

    /// Swaps what is to be written for `empty`.
    pub(super) fn swap(&self, empty: &mut Vec<u8>) {
        let mut state = self.state();
        std::mem::swap(&mut state.out, empty);
        if !state.crowd.is_empty() {
            let crowd = std::mem::take(&mut state.crowd);
            drop(state);
            crowd.into_iter().for_each(Waker::wake);
        }
    }

    /// What the connection was woken for. It is awake from here on.
    pub(super) fn awake(&self) -> Standing {
        let mut state = self.state();
        state.sleeper = None;
        let standing = state.standing();
        state.woken = None;
        standing
    }

    /// Has `waker` woken by the next answer, unless there is something already that could be done: unsent
    /// bytes, if `can_write`, or a nudge.
    pub(super) fn sleep(&self, waker: &Waker, can_write: bool) -> Option<Standing> {
        let mut state = self.state();
        if state.woken.is_some() || state.broken || (can_write && !state.out.is_empty()) {
            return None;
        }
        state.sleeper = Some(waker.clone());
        Some(state.standing())
    }

    /// Wakes the connection, or keeps it awake.
    pub(super) fn nudge(&self) {
        let mut state = self.state();
        state.woken = Some(Woken::Nudged);
        let sleeper = state.sleeper.take();
        drop(state);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.protocol
    }

    fn write_failure(&self, state: &mut State, call: &Call, failure: &Failure<'_>) {
        let path = self.core.directory.entry(call.entry).method.path;
        let State { replies, out, .. } = state;
        // An error as a value is by postcard, which only these calls expect.
        let native = self.protocol == Protocol::Native && matches!(call.id, CallId::Number(_));
        if failure.detail.is_none() || native {
            replies.failure(out, &call.id, path, failure);
        } else {
            replies.failure(out, &call.id, path, &Failure { detail: None, ..failure.clone() });
        }
    }

    /// Stops the task of a call that was taken out.
    fn give_up(&self, call: Call, outcome: Outcome) {
        self.settle(&call, outcome);
        if let Some(task) = call.task {
            task.cx.cancel();
            task.abort.inspect(AbortHandle::abort);
        }
    }

    /// Counts a call that is over. How long it took is known to whoever polled it in place.
    fn settle(&self, call: &Call, outcome: Outcome) {
        let calls = &self.core.directory.entry(call.entry).calls;
        calls.count(self.protocol, outcome);
        if let Some(task) = &call.task {
            calls.time(task.started.elapsed());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes out a call that was not answered.
    fn take(&mut self, key: Key) -> Option<Call> {
        call_of(&mut self.calls, key)?;
        let call = self.calls.remove(key.slot);
        self.argument_bytes -= call.bytes;
        self.streams -= usize::from(call.flow.is_some());
        if call.task.is_some()
            && let Some(number) = number(&call.id)
            // A client may have used the number twice.
            && self.numbers.get(&number) == Some(&key.slot)
        {
            self.numbers.remove(&number);
        }
        Some(call)
    }

    fn standing(&self) -> Standing {
        Standing {
            unsent: self.out.len(),
            held: self.replies.held(),
            calls: self.calls.len(),
            argument_bytes: self.argument_bytes,
            streams: self.streams,
            earliest: self.earliest,
            woken: self.woken,
            broken: self.broken,
        }
    }

    /// Whom to wake for an answer.
    fn wake(&mut self, woken: Woken) -> Option<Waker> {
        let sleeper = self.sleeper.take()?;
        self.woken = Some(woken);
        Some(sleeper)
    }
}

fn call_of(calls: &mut Slab<Call>, key: Key) -> Option<&mut Call> {
    calls.get_mut(key.slot).filter(|call| call.serial == key.serial)
}

fn number(id: &CallId) -> Option<u64> {
    match id {
        CallId::Number(number) | CallId::NumberInJson(number) => Some(*number),
        CallId::Json { .. } => None,
    }
}
