//! A connection of HTTP/2 to an endpoint, and its task: it connects, writes what calls have said, and hands out what
//! comes back.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use locum_wire::http2::{Connection, Limits, Scheme};

use super::crowd::Crowd;
use super::streams::{End, News, Streams};
use crate::buffer::{Buffer, Buffers, SIZE};
use crate::clock::{Alarm, Alarms};
use crate::stream::{self, tls::HandshakeError};
use crate::upstream::pool::{self, ConnectError};
use crate::upstream::{Endpoint, PoolSettings, Protocol};

/// A connection that carries many calls, made or about to be.
pub(super) struct Link {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) phase: RefCell<Phase>,
}

/// How far a link is.
pub(super) enum Phase {
    /// It is about to be made.
    Connecting,
    /// It takes calls; whether it has had one.
    Open(Rc<Streams>, bool),
    /// It takes no more, and ends with the last that it has.
    Retired,
    /// It could not be made.
    Failed(ConnectError),
    /// The endpoint has chosen HTTP/1.1.
    Http1,
    /// It is over.
    Closed,
}

/// What a link is made with.
pub(super) struct Outfit {
    pub(super) protocol: Protocol,
    pub(super) pool: PoolSettings,
    /// Those who wait for a stream of the endpoint's.
    pub(super) crowd: Rc<Crowd>,
    pub(super) buffers: Rc<Buffers>,
    pub(super) alarms: Rc<Alarms>,
}

impl Link {
    /// Whether a call may come to it, now or later.
    pub(super) fn may_take(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Connecting | Phase::Open(..))
    }

    /// Whether it is not over.
    pub(super) fn is_there(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Connecting | Phase::Open(..) | Phase::Retired)
    }

    /// Takes no more calls, and ends with the last that it has.
    pub(super) fn retire(&self) {
        let mut phase = self.phase.borrow_mut();
        if let Phase::Open(streams, _) = &*phase {
            let streams = Rc::clone(streams);
            *phase = Phase::Retired;
            streams.state.borrow_mut().wake_driver();
        }
    }

    fn enter(&self, phase: Phase, crowd: &Crowd) {
        *self.phase.borrow_mut() = phase;
        crowd.wake_all();
    }
}

/// Drives `link` until it ends.
pub(super) async fn drive(link: Rc<Link>, outfit: Outfit) {
    // Whatever happens here, nobody waits for a link that nobody drives.
    let closing = Closing { link: &link, crowd: &outfit.crowd };
    let Outfit { protocol, pool, crowd, buffers, alarms } = &outfit;
    let endpoint = &link.endpoint;
    let stream = match pool::dial(endpoint, pool.connect_timeout, buffers, alarms).await {
        Ok(stream) => stream,
        Err(error) => return link.enter(Phase::Failed(error), crowd),
    };
    let secure = stream.is_secure();
    if secure && !stream.carries_http2() {
        let phase = if *protocol == Protocol::Auto {
            endpoint.http1.store(true, Ordering::Relaxed);
            Phase::Http1
        } else {
            let what = "the endpoint does not agree on HTTP/2";
            let error = rustls::Error::General(what.to_owned());
            Phase::Failed(ConnectError::Handshake(HandshakeError::Refused(error)))
        };
        return link.enter(phase, crowd);
    }
    let scheme = if secure { Scheme::Https } else { Scheme::Http };
    let streams = Streams::new(Connection::client(&LIMITS, scheme), secure, End::Client);
    streams.freed_to(crowd);
    link.enter(Phase::Open(Rc::clone(&streams), false), crowd);
    endpoint.open.fetch_add(1, Ordering::Relaxed);
    let mut driver = Driver {
        link: &link,
        streams: &streams,
        stream,
        buffer: Buffer::new(buffers),
        alarm: alarms.alarm(),
        settings: pool,
        sent: 0,
        waits: None,
        took: false,
        brought: false,
        asked: Asked::Not,
    };
    let ended = poll_fn(|cx| driver.poll(cx, crowd)).await;
    driver.stream.part();
    endpoint.open.fetch_sub(1, Ordering::Relaxed);
    if let Err(why) = ended {
        tracing::debug!(endpoint = endpoint.name, why, "a connection of HTTP/2 has ended");
    }
    streams.state.borrow_mut().close();
    drop(closing);
}

/// Closes a link when its task is over, however that ended.
struct Closing<'a> {
    link: &'a Link,
    crowd: &'a Crowd,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        if self.link.is_there() {
            self.link.enter(Phase::Closed, self.crowd);
        }
    }
}

/// A link's connection.
struct Driver<'a> {
    link: &'a Link,
    streams: &'a Rc<Streams>,
    stream: stream::Stream,
    buffer: Buffer,
    alarm: Alarm,
    settings: &'a PoolSettings,
    /// How much of what is to be sent was.
    sent: usize,
    /// What the alarm is armed for.
    waits: Option<Waits>,
    /// Whether the peer took something since it was armed, and whether it brought something.
    took: bool,
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

impl Driver<'_> {
    /// Ready when it has ended, with why, unless that is how it should be.
    fn poll(&mut self, cx: &mut Context<'_>, crowd: &Crowd) -> Poll<Result<(), String>> {
        for _ in 0..ROUNDS {
            if let Err(error) = self.write(cx) {
                return Poll::Ready(Err(error.to_string()));
            }
            match self.read(cx, crowd) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(why)) => return Poll::Ready(Err(why)),
                Poll::Pending => return self.watch(cx),
            }
        }
        // A peer that always has something to say leaves others their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sends what there is, as far as the peer takes it.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut state = self.streams.state.borrow_mut();
        let output = state.codec.output();
        let was_full = output.len() >= CROWDED;
        while self.sent < output.len() {
            match self.stream.poll_send(cx, &output[self.sent..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.sent += count;
                    self.took = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        if self.sent == output.len() || self.sent >= CROWDED {
            output.drain(..self.sent);
            self.sent = 0;
            if output.is_empty() {
                output.shrink_to(KEPT_OUT);
            }
            if was_full {
                state.wake_writers();
            }
        }
        Ok(())
    }

    /// Reads once, and hands out what came.
    fn read(&mut self, cx: &mut Context<'_>, crowd: &Crowd) -> Poll<Result<(), String>> {
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
            crowd.wake_all();
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
        let (waits, goes_on) = match (is_clear, idle) {
            (false, _) => (Waits::ToSend, self.took),
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
                Waits::ForCalls => self.settings.idle,
            });
        }
        (self.took, self.brought) = (false, false);
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

/// What an endpoint is held to: its answers may be larger than requests are, and it is ours.
const LIMITS: Limits = Limits {
    streams: 0,
    stream_window: 256 << 10,
    connection_window: 4 << 20,
    head_bytes: 64 << 10,
    fields: 200,
    header_frames: 16,
    frame_bytes: 16 << 10,
    table_bytes: 4 << 10,
    queued_control: 1000,
    memory: 16 << 20,
    empty_data: 100,
    mistakes: 100,
};
/// Reads of one turn.
const ROUNDS: usize = 16;
/// With so much unsent, streams were told to wait.
const CROWDED: usize = 64 << 10;
/// Room for what is sent that is kept from one turn to the next.
const KEPT_OUT: usize = 4 * SIZE;
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
