//! The task of a link: it writes what calls have said, and hands out what comes back.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::link::{Link, Outfit, Phase};
use super::outlet::Outlet;
use super::streams::{News, Streams};
use crate::buffer::Buffer;
use crate::clock::Alarm;
use crate::stream::Stream;

/// A link's connection.
pub(super) struct Driver<'a> {
    link: &'a Link,
    streams: &'a Rc<Streams>,
    stream: Stream,
    buffer: Buffer,
    alarm: Alarm,
    outfit: &'a Outfit,
    outlet: Outlet,
    /// What the alarm is armed for.
    waits: Option<Waits>,
    /// Whether the peer brought something since it was armed.
    brought: bool,
    /// Whether the peer was asked if it is there, since it said anything else.
    asked: Asked,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Not,
    /// It owes an answer.
    Owing,
    /// It has answered.
    Answered,
}

/// What a link waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// The peer to take what is sent.
    ToSend,
    /// The peer to say anything.
    ForAnswers,
    /// The peer to answer a PING.
    ForPong,
    /// Anybody to call.
    ForCalls,
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        link: &'a Link,
        streams: &'a Rc<Streams>,
        stream: Stream,
        outfit: &'a Outfit,
    ) -> Self {
        Self {
            link,
            streams,
            stream,
            buffer: Buffer::new(&outfit.buffers),
            alarm: outfit.alarms.alarm(),
            outfit,
            outlet: Outlet::default(),
            waits: None,
            brought: false,
            asked: Asked::Not,
        }
    }

    /// Ready when it has ended, with why, unless that is how it should be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        for _ in 0..ROUNDS {
            if let Err(error) = self.write(cx) {
                return Poll::Ready(Err(error.to_string()));
            }
            match self.read(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(why)) => return Poll::Ready(Err(why)),
                Poll::Pending => return self.watch(cx),
            }
        }
        // A peer that always has something to say leaves others their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Says that the close which is coming is meant.
    pub(super) fn part(&mut self) {
        self.stream.part();
    }

    /// Sends what there is, as far as the peer takes it.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut state = self.streams.state.borrow_mut();
        let frees = self.outlet.write(cx, &mut self.stream, &mut state)?;
        drop(state);
        if frees {
            self.outfit.crowd.wake_all();
        }
        Ok(())
    }

    /// Reads once, and hands out what came.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        match ready!(self.buffer.poll_fill(cx, &mut self.stream)) {
            Ok(0) => return Poll::Ready(Err("the endpoint closed the connection".to_owned())),
            Ok(_) => self.brought = true,
            Err(error) => return Poll::Ready(Err(error.to_string())),
        }
        let mut state = self.streams.state.borrow_mut();
        let before = state.codec.capacity();
        let done = loop {
            let (used, news) = match state.receive(self.buffer.filled()) {
                Ok(received) => received,
                Err(error) => break Err(format!("the endpoint broke the protocol: {error}")),
            };
            self.buffer.consume(used);
            self.asked = match (news, self.asked) {
                (Some(News::Pong), Asked::Owing) if used == PONG_BYTES => Asked::Answered,
                (None, asked) if used == 0 => asked,
                _ => Asked::Not,
            };
            match news {
                None => break Ok(()),
                Some(News::GoesAway) => *self.link.phase.borrow_mut() = Phase::Retired,
                Some(News::Opened(_) | News::Reset(_) | News::Pong) => {}
            }
        };
        let changed = state.codec.capacity() != before || !self.link.may_take();
        drop(state);
        if changed {
            // Its settings may let more in, or it goes away, and another is made.
            self.outfit.crowd.wake_all();
        }
        Poll::Ready(done)
    }

    /// Waits, but not for ever. Ready: it is over.
    fn watch(&mut self, cx: &Context<'_>) -> Poll<Result<(), String>> {
        let mut state = self.streams.state.borrow_mut();
        let is_clear = state.codec.output().is_empty();
        let idle = state.slots.is_empty();
        if idle && is_clear && !self.link.may_take() {
            return Poll::Ready(Ok(()));
        }
        self.buffer.shrink();
        let took = self.outlet.took();
        let (waits, goes_on) = match (is_clear, idle) {
            (false, _) => (Waits::ToSend, took),
            (true, true) => (Waits::ForCalls, false),
            (true, false) if self.asked == Asked::Owing => (Waits::ForPong, false),
            (true, false) => (Waits::ForAnswers, self.brought),
        };
        if self.waits != Some(waits) || goes_on {
            self.waits = Some(waits);
            self.alarm.arm_in(match waits {
                Waits::ToSend => STALL,
                Waits::ForAnswers if self.asked == Asked::Answered => LONG_SILENCE,
                Waits::ForAnswers => SILENCE,
                Waits::ForPong => PONG,
                Waits::ForCalls => self.outfit.pool.idle,
            });
        }
        self.brought = false;
        state.watch(cx);
        ready!(self.alarm.poll(cx));
        match waits {
            Waits::ToSend => Poll::Ready(Err("the endpoint takes nothing more".to_owned())),
            Waits::ForPong => Poll::Ready(Err("the endpoint is silent".to_owned())),
            Waits::ForCalls => {
                // Whoever comes now finds another.
                *self.link.phase.borrow_mut() = Phase::Retired;
                Poll::Ready(Ok(()))
            }
            Waits::ForAnswers => {
                state.codec.ping([0; 8]);
                self.asked = Asked::Owing;
                self.alarm.disarm();
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

/// Reads of one turn.
const ROUNDS: usize = 16;
/// How long an endpoint may take nothing of what is sent to it.
const STALL: Duration = Duration::from_secs(30);
/// How long it may say nothing while calls wait before it is asked whether it is there, and how long it may take to
/// say that it is.
const SILENCE: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(5);
/// How long it may go on saying nothing but that. Servers of gRPC take who asks more often than every five minutes
/// for a flood.
const LONG_SILENCE: Duration = Duration::from_secs(310);
/// The bytes of a frame that answers a PING.
const PONG_BYTES: usize = 17;
