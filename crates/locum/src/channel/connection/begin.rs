//! How a call begins.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, MutexGuard};
use std::task::Waker;
use std::time::Duration;

use locum_wire::rpc::CallHead;
use tokio::time::Instant;

use super::pending::Pending;
use super::{Connection, Phase, State, wake};
use crate::channel::outgoing::Outgoing;
use crate::channel::slots::NEVER;
use crate::channel::streams::Streaming;

/// When a call is given up.
#[derive(Clone, Copy, Debug)]
pub(in crate::channel) enum Until {
    /// So long after now, give or take the length of a batch.
    After(Duration),
    At(Instant),
    /// Then too, but somebody else sees to that.
    Told(Instant),
}

impl Until {
    /// Whether it is past.
    pub(in crate::channel) fn is_over(&self) -> bool {
        match self {
            Self::After(_) => false,
            Self::At(at) | Self::Told(at) => *at <= Instant::now(),
        }
    }

    /// The moment, from now on the same.
    pub(in crate::channel) fn settle(&mut self) -> Option<Instant> {
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
pub(in crate::channel) enum NotBegun {
    /// The connection takes no more calls.
    Closed,
    /// There is no room now on this connection.
    Full(Arc<Connection>),
    /// The argument cannot be sent.
    Unsendable(String),
    /// Its time was over before.
    Late,
}

impl Connection {
    /// Begins a call: its bytes are in the buffer when this returns, and `waker` is woken when there is
    /// an answer.
    pub(in crate::channel) fn begin(
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
        Ok(Pending::new(self, id, place, deadline))
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
