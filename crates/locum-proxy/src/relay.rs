//! The answer on its way to the client, streamed as it arrives.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use locum_policy::Cause;
use locum_wire::http1::{Framing, Response};

use crate::clock::Alarm;
use crate::compress::{Coder, Treatment};
use crate::conduit::Conduit;
use crate::exchange::{Answered, Exchange, Failure, grpc_status};
use crate::forward::{self, Delivery, Persistence};
use crate::grpc::Status;
use crate::route::Edits;
use crate::stream::Stream;
use crate::upstream::pool::Connection;

mod body;
mod carry;

use body::{Body, append_end};

/// How an answer was delivered.
pub(crate) struct Relayed {
    pub(crate) end: RelayEnd,
    /// Bytes written to the client.
    pub(crate) bytes: u64,
    /// What the answer said of how the call went, where it is one of gRPC.
    pub(crate) grpc: Option<Status>,
}

/// How the delivery of an answer ended.
pub(crate) enum RelayEnd {
    /// The client has all of it.
    Whole,
    /// The upstream's answer broke off or went wrong; what the client got cannot be taken for whole.
    Broken,
    /// The same, before the client got anything: it can still be told.
    NotBegun(Failure),
    /// The client went away or did not read.
    Gone,
}

impl RelayEnd {
    /// What this makes of the attempt whose answer said `said`.
    pub(crate) fn cause(&self, said: Cause) -> Cause {
        match self {
            Self::Whole => said,
            Self::Broken => Cause::Truncated,
            Self::NotBegun(failure) => failure.cause(),
            Self::Gone => Cause::Cancelled,
        }
    }
}

/// Writes the answer to the client as it arrives, and meanwhile sends what is left of the request.
pub(crate) async fn relay(
    exchange: &Exchange<'_, '_>,
    answered: Answered,
    (delivery, persistence): (Delivery, Persistence),
    treatment: Treatment,
    edits: &Edits,
) -> Relayed {
    let mut relay = Relay::new(exchange, answered, (delivery, persistence), treatment, edits);
    let end = poll_fn(|cx| relay.poll(exchange, cx)).await;
    let end = end.map_or_else(|end| end, |()| RelayEnd::Whole);
    if matches!(end, RelayEnd::Broken) && relay.delivery == Delivery::UntilClose {
        exchange.caller.stream.borrow().reset_on_close();
    }
    let reusable = matches!(end, RelayEnd::Whole) && relay.reusable;
    relay.conduit.into_iter().for_each(|conduit| exchange.worker.conduits.give(conduit));
    exchange.worker.give_scratch(relay.out);
    relay.answered.finish(exchange, reusable);
    Relayed { end, bytes: relay.written, grpc: relay.grpc }
}

struct Relay {
    answered: Answered,
    delivery: Delivery,
    body: Body,
    /// What the content goes through on its way.
    coder: Option<Box<Coder>>,
    /// The upstream's connection can carry another call after this answer.
    reusable: bool,
    out: Vec<u8>,
    sent: usize,
    /// What a long body goes through.
    conduit: Option<Conduit>,
    written: u64,
    /// Armed while we wait for either side.
    alarm: Option<Alarm>,
    waiting: Option<Side>,
    stall: Duration,
    read_idle: Duration,
    /// UNKNOWN until the answer of a gRPC call says better.
    grpc: Option<Status>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Upstream,
}

impl Relay {
    fn new(
        exchange: &Exchange<'_, '_>,
        mut answered: Answered,
        (delivery, persistence): (Delivery, Persistence),
        treatment: Treatment,
        edits: &Edits,
    ) -> Self {
        let mut out = exchange.worker.scratch();
        let connection = &mut answered.connection;
        let response = answered.head.response(connection.buffer.filled());
        if let (Stream::Http2(client), Stream::Http2(upstream)) =
            (&**exchange.caller.stream.borrow(), &connection.stream)
        {
            client.keep_secrets_of(upstream);
        }
        let cookie = exchange.upstream.cookie(answered.endpoint, &exchange.caller.request);
        let stays = treatment.is_untold()
            && edits.are_none()
            && cookie.is_none()
            && exchange.caller.told_pages.get().is_none();
        let said = if stays { say(exchange, &response, answered.framing) } else { None };
        if said.is_none() {
            forward::answer_head(
                &mut out,
                connection.buffer.filled(),
                &response,
                delivery,
                persistence,
                cookie,
                edits,
            );
            treatment.relabel(&mut out);
            exchange.caller.tell_pages(&mut out);
        }
        let grpc = match exchange.caller.grpc && answered.status == 200 {
            true => Some(grpc_status(&response).unwrap_or(Status::UNKNOWN)),
            false => None,
        };
        let reusable = response.reusable() && answered.framing != Framing::UntilClose;
        connection.buffer.consume(answered.head.len());
        let body = Body::framed(answered.framing, treatment.coder.is_some());
        Self {
            answered,
            delivery,
            body,
            coder: treatment.coder,
            reusable,
            out,
            sent: 0,
            conduit: None,
            written: said.unwrap_or(0) as u64,
            alarm: None,
            waiting: None,
            stall: exchange.caller.listener.settings.limits.write_stall,
            read_idle: exchange.upstream.settings.pool.read_idle,
            grpc,
        }
    }

    fn poll(
        &mut self,
        exchange: &Exchange<'_, '_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), RelayEnd>> {
        if let Poll::Ready(Err(_)) = self.answered.poll_upload(exchange, cx) {
            // The client broke its own request; it has no use for the answer's rest either.
            return Poll::Ready(Err(RelayEnd::Gone));
        }
        if let Some(coder) = &mut self.coder {
            coder.begin_turn();
        }
        loop {
            if let Err(error) = self.decode() {
                return Poll::Ready(Err(if self.written == 0 {
                    RelayEnd::NotBegun(Failure::Protocol(error))
                } else {
                    RelayEnd::Broken
                }));
            }
            if self.sent < self.out.len() || self.has_passing_bytes() {
                match self.poll_write(exchange, cx) {
                    Poll::Ready(Ok(())) => self.waiting = None,
                    Poll::Ready(Err(())) => return Poll::Ready(Err(RelayEnd::Gone)),
                    Poll::Pending => {
                        self.answered.connection.buffer.shrink_if_low();
                        ready!(self.poll_patience(exchange, cx, Side::Client));
                        return Poll::Ready(Err(RelayEnd::Gone));
                    }
                }
                continue;
            }
            if matches!(self.body, Body::Done) {
                return Poll::Ready(Ok(()));
            }
            if self.coder.as_ref().is_some_and(|coder| coder.has_had_its_turn()) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Some(mut conduit) = self.take_conduit(exchange) {
                let carried = self.poll_carry(&mut conduit, exchange, cx);
                self.conduit = Some(conduit);
                ready!(carried)?;
                continue;
            }
            match self.poll_read(exchange, cx) {
                Poll::Ready(Ok(())) => self.waiting = None,
                Poll::Ready(Err(())) => return Poll::Ready(Err(RelayEnd::Broken)),
                // Nobody waits for more of it to see what there is.
                Poll::Pending if self.flush() => {}
                Poll::Pending => {
                    if exchange.caller.has_left(cx) {
                        return Poll::Ready(Err(RelayEnd::Gone));
                    }
                    ready!(self.poll_patience(exchange, cx, Side::Upstream));
                    return Poll::Ready(Err(RelayEnd::Broken));
                }
            }
        }
    }

    fn poll_write(
        &mut self,
        exchange: &Exchange<'_, '_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ()>> {
        let mut client = exchange.caller.stream.borrow_mut();
        let own = &self.out[self.sent..];
        let buffer = &mut self.answered.connection.buffer;
        let passing: &[u8] = match &self.body {
            Body::Length(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                &buffer.filled()[..buffer.filled().len().min(most)]
            }
            _ => &[],
        };
        let own_length = own.len();
        let sent = match (own, passing) {
            (own, []) => client.poll_send(cx, own),
            ([], passing) => client.poll_send(cx, passing),
            (own, passing) => client.poll_send_both(cx, own, passing),
        };
        let count = ready!(sent).map_err(|_| ())?;
        self.written += count as u64;
        self.sent += count.min(own_length);
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
        let passed = count.saturating_sub(own_length);
        if let Body::Length(left) = &mut self.body {
            buffer.consume(passed);
            *left -= passed as u64;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(
        &mut self,
        exchange: &Exchange<'_, '_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ()>> {
        let Connection { stream, buffer, .. } = &mut *self.answered.connection;
        let most = exchange.caller.stream.borrow().appetite();
        match ready!(buffer.poll_fill_up_to(most, cx, stream)) {
            Ok(0) => match self.body {
                // RFC 9112 §6.3 rule 8: the close is the end.
                Body::UntilClose => {
                    append_end(&mut self.out, self.delivery, &mut self.coder, std::iter::empty());
                    self.body = Body::Done;
                    Poll::Ready(Ok(()))
                }
                _ => Poll::Ready(Err(())),
            },
            Ok(_) => Poll::Ready(Ok(())),
            Err(_) => Poll::Ready(Err(())),
        }
    }

    /// Ready when `side` has kept us waiting for too long.
    fn poll_patience(
        &mut self,
        exchange: &Exchange<'_, '_>,
        cx: &Context<'_>,
        side: Side,
    ) -> Poll<()> {
        let alarm = self.alarm.get_or_insert_with(|| exchange.worker.alarms.alarm());
        if self.waiting != Some(side) {
            self.waiting = Some(side);
            alarm.arm_in(if side == Side::Client { self.stall } else { self.read_idle });
        }
        alarm.poll(cx)
    }
}

/// Says the head of an answer whose fields go as they came by these, where the client speaks HTTP/2. `None`: it has to
/// be said in text; so has what may turn out to be broken before any of it is sent.
fn say(exchange: &Exchange<'_, '_>, response: &Response<'_>, framing: Framing) -> Option<usize> {
    let client = exchange.caller.stream.borrow();
    match (&**client, framing) {
        (Stream::Http2(client), Framing::None | Framing::Length(_)) => {
            let fields = response.fields().filter(|field| !field.hop);
            client.answer(response.status(), framing, fields)
        }
        _ => None,
    }
}
