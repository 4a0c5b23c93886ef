//! Bytes both ways between two connections.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::buffer::Buffer;
use crate::clock::Alarm;
use crate::stream::Stream;
use crate::upstream::pool::Connection;

/// Two connections whose bytes go from each to the other. What waits for bytes holds no buffer; what waits for
/// somebody to take them reads no more.
pub(crate) struct Pipe<'a> {
    client: &'a mut Stream,
    upstream: &'a mut Stream,
    inbound: Half<'a>,
    outbound: Half<'a>,
}

/// One direction.
struct Half<'a> {
    buffer: &'a mut Buffer,
    bytes: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Its sender has ended it, which its taker is not told yet.
    Ending,
    Done,
}

/// Why bytes were cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Torn {
    /// Nothing went either way for too long.
    Idle,
    ByClient,
    ByUpstream,
}

/// Which end of a direction failed.
enum Failed {
    Sender,
    Taker,
}

impl<'a> Pipe<'a> {
    /// What was read of either connection comes first.
    pub(crate) fn between(
        client: &'a mut Stream,
        said: &'a mut Buffer,
        connection: &'a mut Connection,
    ) -> Self {
        let Connection { stream: upstream, buffer, .. } = connection;
        Self { client, upstream, inbound: Half::new(said), outbound: Half::new(buffer) }
    }

    /// Bytes that the client's side has sent, and taken.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.inbound.bytes, self.outbound.bytes)
    }

    /// As [`run`](Self::run), however long nothing goes either way.
    pub(crate) async fn run_on(&mut self) -> Result<(), Torn> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Carries bytes until both sides have ended. Each may end its own direction and stay to read.
    pub(crate) async fn run(&mut self, alarm: &Alarm, idle: Duration) -> Result<(), Torn> {
        alarm.arm_in(idle);
        poll_fn(|cx| {
            let before = self.bytes();
            let ended = self.poll(cx);
            if ended.is_ready() {
                return ended;
            }
            if self.bytes() != before {
                alarm.arm_in(idle);
            }
            alarm.poll(cx).map(|()| Err(Torn::Idle))
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Torn>> {
        let Self { client, upstream, inbound, outbound } = self;
        let sent = inbound.poll(cx, client, upstream);
        let taken = outbound.poll(cx, upstream, client);
        match (sent, taken) {
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
            // Whoever has said all that it had to may leave without hearing the rest.
            (Poll::Ready(Err(Failed::Taker)), _) if outbound.state == State::Done => {
                Poll::Ready(Ok(()))
            }
            (Poll::Ready(Err(Failed::Sender)), _) | (_, Poll::Ready(Err(Failed::Taker))) => {
                Poll::Ready(Err(Torn::ByClient))
            }
            (Poll::Ready(Err(Failed::Taker)), _) | (_, Poll::Ready(Err(Failed::Sender))) => {
                Poll::Ready(Err(Torn::ByUpstream))
            }
            _ => Poll::Pending,
        }
    }
}

impl<'a> Half<'a> {
    fn new(buffer: &'a mut Buffer) -> Self {
        Self { buffer, bytes: 0, state: State::Open }
    }

    /// Carries what there is to carry. Ready once the direction has ended.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
    ) -> Poll<Result<(), Failed>> {
        loop {
            if !self.buffer.is_empty() {
                match to.poll_send(cx, self.buffer.filled()) {
                    Poll::Ready(Ok(count)) => {
                        self.buffer.consume(count);
                        self.bytes += count as u64;
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Failed::Taker)),
                    Poll::Pending => return Poll::Pending,
                }
                continue;
            }
            match self.state {
                State::Done => return Poll::Ready(Ok(())),
                State::Ending => match to.poll_finish(cx) {
                    // One that is closed already needs not be told.
                    Poll::Ready(_) => self.state = State::Done,
                    Poll::Pending => return Poll::Pending,
                },
                State::Open => match self.buffer.poll_fill(cx, from) {
                    Poll::Ready(Ok(0)) => self.state = State::Ending,
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Failed::Sender)),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }
}
