//! What a client is waited for, and for how long.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use locum_wire::http2::ErrorCode;

use super::{Front, Going, State, go_away};
use crate::client::Client;
use crate::clock::Alarm;
use crate::worker::{GRACE, Worker};

/// What a connection waits for.
pub(super) struct Patience {
    /// What the client's alarm is armed for.
    waits: Option<Waits>,
    /// Whether the client brought a frame since it was armed.
    brought: bool,
    /// Whether nothing was asked for so long that no room is held for more.
    rests: bool,
    /// Goes off when our settings should have been acknowledged; gone, once they were.
    settling: Option<Alarm>,
}

/// What a connection waits for, that it will not wait for for ever.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// The client to take what was written.
    ToSend,
    /// The rest of a frame, or of a head.
    ForRest,
    /// A stream, before room for many is given back.
    ForMore,
    /// A stream.
    ForStreams,
}

/// What came of waiting.
pub(super) enum Rang {
    /// The connection is over.
    Over,
    /// Nothing was asked for a while.
    Quiet,
}

impl Patience {
    /// For a client that has `time` to acknowledge our settings.
    pub(super) fn new(time: Duration, worker: &Worker) -> Self {
        let settling = worker.alarms.alarm();
        settling.arm_in(time);
        Self { waits: None, brought: false, rests: false, settling: Some(settling) }
    }

    /// The client has brought a frame, if so.
    pub(super) fn brought(&mut self, any: bool) {
        self.brought |= any;
    }
}

impl Front<'_> {
    /// Waits, but not for ever.
    pub(super) fn watch(&mut self, cx: &Context<'_>, calls: usize) -> Poll<Rang> {
        let mut state = self.streams.state.borrow_mut();
        if self.is_to_end() {
            go_away(&mut state, &mut self.going);
            cx.waker().wake_by_ref();
        }
        let patience = &mut self.patience;
        let Client { alarm, buffer, listener, .. } = &mut *self.client;
        let limits = &listener.settings.limits;
        buffer.shrink();
        let waits = if !state.codec.output().is_empty() {
            Some(Waits::ToSend)
        } else if !buffer.is_empty() || state.codec.is_in_head() {
            Some(Waits::ForRest)
        } else if calls > 0 {
            None
        } else if patience.rests || self.going != Going::On {
            Some(Waits::ForStreams)
        } else {
            Some(Waits::ForMore)
        };
        let took = self.outlet.took();
        let goes_on = match waits {
            Some(Waits::ToSend) => took,
            // A head has one time for all of its frames.
            Some(Waits::ForRest) => patience.brought && !state.codec.is_in_head(),
            Some(Waits::ForMore | Waits::ForStreams) | None => false,
        };
        patience.brought = false;
        patience.rests &= waits == Some(Waits::ForStreams);
        if waits != patience.waits || goes_on {
            patience.waits = waits;
            match waits {
                Some(Waits::ToSend) => alarm.arm_in(limits.write_stall),
                Some(Waits::ForRest) => alarm.arm_in(limits.header_timeout),
                Some(Waits::ForMore) => alarm.arm_in(limits.idle.min(MOMENT)),
                Some(Waits::ForStreams) if self.going == Going::On => {
                    alarm.arm_in(limits.idle.saturating_sub(MOMENT));
                }
                Some(Waits::ForStreams) => alarm.arm_in(GRACE),
                None => alarm.disarm(),
            }
        }
        if self.going != Going::Failed && patience.is_unsettled(&state, cx) {
            drop(state);
            self.give_up(cx, "settings_timeout", ErrorCode::SETTINGS_TIMEOUT);
            return Poll::Pending;
        }
        ready!(alarm.poll(cx));
        drop(state);
        match waits {
            Some(Waits::ForMore) => {
                self.patience.rests = true;
                self.streams.state.borrow_mut().shrink();
                return Poll::Ready(Rang::Quiet);
            }
            Some(Waits::ForStreams) => {
                // It is told, and then nobody is left.
                self.streams.state.borrow_mut().codec.abort(ErrorCode::NO_ERROR);
                self.going = Going::Away;
            }
            Some(Waits::ForRest) => self.give_up(cx, "timeout", ErrorCode::ENHANCE_YOUR_CALM),
            Some(Waits::ToSend) | None => {
                self.worker.shard.count_refused(self.client.listener.label, "timeout");
                self.going = Going::Gone;
                return Poll::Ready(Rang::Over);
            }
        }
        self.patience.waits = None;
        self.client.alarm.disarm();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Tells the client that it took too long, and nothing more.
    fn give_up(&mut self, cx: &Context<'_>, reason: &'static str, code: ErrorCode) {
        self.worker.shard.count_refused(self.client.listener.label, reason);
        self.streams.state.borrow_mut().codec.abort(code);
        self.going = Going::Failed;
        cx.waker().wake_by_ref();
    }
}

impl Patience {
    /// Whether the client should have acknowledged our settings by now (RFC 9113 §6.5.3).
    fn is_unsettled(&mut self, state: &State, cx: &Context<'_>) -> bool {
        if state.codec.is_acknowledged() {
            self.settling = None;
        }
        let is_late = self.settling.as_ref().is_some_and(|it| it.poll(cx).is_ready());
        if is_late {
            self.settling = None;
        }
        is_late
    }
}

/// How long after its last stream a connection keeps the room for many.
const MOMENT: Duration = Duration::from_secs(1);
