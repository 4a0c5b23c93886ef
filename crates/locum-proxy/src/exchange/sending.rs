//! A request on its way out, and the head of its answer on the way in.

use std::mem;
use std::task::{Context, Poll, ready};

use locum_policy::Attempt;
use locum_wire::http1::{self, Framing, Head, Version};

use super::{Exchange, Failure};
use crate::stream::Stream;
use crate::upstream::pool::Connection;

/// An attempt on its way.
pub(super) struct Sending {
    pub(super) connection: Box<Connection>,
    /// Taken when an answer begins: what is parsed into is the head that was used last.
    head: Option<Box<Head>>,
    pub(super) outgoing: Outgoing,
    interim: u32,
    /// An interim answer was of a kind after which the connection cannot be trusted.
    pub(super) tainted: bool,
}

impl Sending {
    pub(super) fn new(
        exchange: &Exchange<'_, '_>,
        attempt: &Attempt<'_>,
        connection: Box<Connection>,
    ) -> Self {
        let mut out = exchange.worker.scratch();
        let left = attempt.deadline.map(|deadline| attempt.started.until(deadline));
        let host = connection.endpoint.host();
        exchange.prepared.write(&mut out, host, attempt.number, left);
        exchange.caller.upload.borrow().replay_into(&mut out);
        let outgoing = Outgoing { out, sent: 0, wrote: false, deaf: false };
        Self { connection, head: None, outgoing, interim: 0, tainted: false }
    }

    /// Ready with the answer's head, status and framing once the head is there.
    pub(super) fn poll(
        &mut self,
        exchange: &Exchange<'_, '_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Box<Head>, u16, Framing), Failure>> {
        let uploaded = self.outgoing.poll(&mut self.connection.stream, exchange, cx)?;
        // Even a request that is still going out may have been answered.
        if let Poll::Ready(answer) = self.poll_head(exchange, cx)? {
            return Poll::Ready(Ok(answer));
        }
        if uploaded.is_ready() && exchange.caller.has_left(cx) {
            return Poll::Ready(Err(Failure::Gone));
        }
        Poll::Pending
    }

    fn poll_head(
        &mut self,
        exchange: &Exchange<'_, '_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Box<Head>, u16, Framing), Failure>> {
        loop {
            if let Some(answer) = self.read_heads(exchange, cx)? {
                return Poll::Ready(Ok(answer));
            }
            let Connection { stream, buffer, .. } = &mut *self.connection;
            let most = exchange.caller.stream.borrow().appetite();
            match ready!(buffer.poll_fill_up_to(most, cx, stream)) {
                Ok(0) | Err(_) if buffer.is_empty() => {
                    return Poll::Ready(Err(match stream {
                        Stream::Http2(stream) if stream.was_refused() => Failure::Refused,
                        _ => Failure::Closed,
                    }));
                }
                Ok(0) | Err(_) => {
                    return Poll::Ready(Err(Failure::Unexpected("closed within its head")));
                }
                Ok(_) => {}
            }
        }
    }

    /// Reads what has arrived: interim answers are dealt with, the head of the answer is handed on.
    fn read_heads(
        &mut self,
        exchange: &Exchange<'_, '_>,
        cx: &mut Context<'_>,
    ) -> Result<Option<(Box<Head>, u16, Framing)>, Failure> {
        let buffer = &mut self.connection.buffer;
        while !buffer.is_empty() {
            let mut head = self.head.take().unwrap_or_else(|| exchange.worker.head());
            let whole = head.parse_response(buffer.filled(), &ANSWER_LIMITS);
            if !whole.map_err(Failure::Protocol)? {
                self.head = Some(head);
                return Ok(None);
            }
            let response = head.response(buffer.filled());
            let status = response.status();
            if status >= 200 || (status == 101 && exchange.caller.websocket) {
                let framing = response.framing(exchange.caller.head_only);
                return Ok(Some((head, status, framing)));
            }
            self.interim += 1;
            self.tainted |= !response.reusable();
            if status == 101 || self.interim > INTERIM {
                let what = if status == 101 { "unasked 101" } else { "interim answers only" };
                return Err(Failure::Unexpected(what));
            }
            // 100 is between us and the upstream; the others are for the client, unless there are
            // two attempts and it is not known yet whose answer it will get.
            let alone = exchange.under_way.get() == 1;
            if status != 100 && alone && exchange.caller.version == Version::Http11 {
                exchange.pass_on(&response, cx)?;
            }
            buffer.consume(head.len());
            exchange.worker.give_head(head);
        }
        Ok(None)
    }
}

/// The way out of a request: what is ready to go, and more of its body behind.
pub(super) struct Outgoing {
    pub(super) out: Vec<u8>,
    sent: usize,
    /// Any byte has left.
    pub(super) wrote: bool,
    /// The upstream stopped listening; the rest of the request goes nowhere.
    deaf: bool,
}

impl Outgoing {
    /// Ready when all of the request has left, or the upstream listens no more.
    pub(super) fn poll(
        &mut self,
        upstream: &mut Stream,
        exchange: &Exchange<'_, '_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        let mut upload = exchange.caller.upload.borrow_mut();
        while !self.deaf {
            if self.sent < self.out.len() {
                match ready!(upstream.poll_send(cx, &self.out[self.sent..])) {
                    Ok(count) => {
                        self.sent += count;
                        self.wrote = true;
                    }
                    // It may have answered before it closed: reading will tell.
                    Err(_) => self.deaf = true,
                }
                continue;
            }
            self.sent = 0;
            if upload.is_done() {
                // Nothing is kept for those who come next but what is still in the cache.
                exchange.worker.give_scratch(mem::take(&mut self.out));
                return Poll::Ready(Ok(()));
            }
            self.out.clear();
            let mut client = exchange.caller.stream.borrow_mut();
            ready!(upload.poll_read(cx, &mut client, exchange.caller.alarm, &mut self.out))
                .map_err(Failure::Body)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the upstream has taken all that there was so far.
    pub(super) fn is_clear(&self) -> bool {
        !self.deaf && self.sent == self.out.len()
    }
}

/// Interim answers of one attempt; more is abuse.
const INTERIM: u32 = 32;
/// Heads of answers may be larger than heads of requests: cookies and policies are set here.
const ANSWER_LIMITS: http1::Limits =
    http1::Limits { head_bytes: 64 * 1024, fields: 200, target_bytes: 0 };
