//! Streams of the calls of a connection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};

use locum_wire::rpc::{Body, Failure};
use serde::Serialize;

use super::{Key, Outbox, State, Woken, call_of};
use crate::stream::{Flow, TooMuch};

/// What became of an item.
#[derive(Debug)]
pub(in super::super) enum Item {
    /// It is about to leave; its value has so many bytes.
    Written(usize),
    /// It cannot be written.
    Unwritable(String),
    /// Its call is over.
    Over,
}

impl Outbox {
    /// An item of a client's stream came.
    pub(in super::super) fn arrive(&self, number: u64, item: &Body<'_>) {
        let Some((key, flow)) = self.flow(number) else { return };
        match flow.arrive(item) {
            Ok(Some(reader)) => reader.wake(),
            Ok(None) => {}
            Err(TooMuch) => self.reject(key, "more items than there was credit for"),
        }
    }

    /// A client's stream is over.
    pub(in super::super) fn end(&self, number: u64) {
        if let Some(reader) = self.flow(number).and_then(|(_, flow)| flow.end()) {
            reader.wake();
        }
    }

    /// A client takes so many bytes more of the stream that a call returns.
    pub(in super::super) fn add_credit(&self, number: u64, bytes: u32) {
        if let Some(writer) = self.flow(number).and_then(|(_, flow)| flow.add(bytes)) {
            writer.wake();
        }
    }

    /// Answers a call whose stream cannot be read, and stops its handler.
    pub(in super::super) fn reject(&self, key: Key, reason: &str) {
        let mut state = self.state();
        let Some(call) = state.take(key) else { return };
        let failure = Failure::bad_arguments(reason);
        self.write_failure(&mut state, &call, &failure);
        let sleeper = state.wake(Woken::Answered);
        drop(state);
        self.give_up(call, Err(failure.class));
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// Tells a client that it can send so many bytes more with a call.
    pub(in super::super) fn give_credit(&self, key: Key, bytes: u32) {
        let number = |state: &mut State| super::number(&call_of(&mut state.calls, key)?.id);
        let mut state = self.state();
        let Some(number) = number(&mut state) else { return };
        let State { replies, out, .. } = &mut *state;
        replies.credit(out, number, bytes);
        let sleeper = state.wake(Woken::Answered);
        drop(state);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// Tells a client that its call returns a stream. `false`: the call is over.
    pub(in super::super) fn open_stream(&self, key: Key) -> bool {
        let mut state = self.state();
        let State { calls, replies, out, .. } = &mut *state;
        let Some(call) = call_of(calls, key) else { return false };
        if replies.open(out, &call.id).is_err() {
            return false;
        }
        let sleeper = state.wake(Woken::Answered);
        drop(state);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
        true
    }

    /// Waits until there is room for an item: a client that takes nothing has no more kept for it than
    /// one that calls.
    pub(in super::super) fn poll_room(&self, task: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.out.len() <= self.core.limits.reply_bytes {
            return Poll::Ready(());
        }
        state.crowd.push(task.waker().clone());
        Poll::Pending
    }

    /// Sends an item of the stream that a call returns.
    pub(in super::super) fn item<T: Serialize>(&self, key: Key, item: &T) -> Item {
        let mut state = self.state();
        let State { calls, replies, out, .. } = &mut *state;
        let Some(call) = call_of(calls, key) else { return Item::Over };
        let before = out.len();
        let written = catch_unwind(AssertUnwindSafe(|| replies.item(out, &call.id, item)));
        let length = match written {
            Ok(Ok(length)) => length,
            Ok(Err(error)) => return Item::Unwritable(error.0),
            // Nothing of an item is known to the encoder once its frame is gone.
            Err(_) => {
                out.truncate(before);
                return Item::Unwritable("an item panicked when it was written".to_owned());
            }
        };
        let sleeper = state.wake(Woken::Answered);
        drop(state);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
        Item::Written(length)
    }

    /// The streams of the call with that number.
    fn flow(&self, number: u64) -> Option<(Key, Arc<Flow>)> {
        let state = self.state();
        let slot = *state.numbers.get(&number)?;
        let call = state.calls.get(slot)?;
        let flow = Arc::clone(call.flow.as_ref()?);
        Some((Key { slot, serial: call.serial }, flow))
    }
}
