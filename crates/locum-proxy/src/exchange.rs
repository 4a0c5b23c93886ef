//! One attempt at an endpoint: the request goes out, the head of the answer comes in.

use std::cell::Cell;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use locum_policy::balance::{Ask, Balance, Seen};
use locum_policy::gates::breaker::Watch;
use locum_policy::run;
use locum_policy::seed::of_pick;
use locum_policy::{Attempt, Cause, Ended, Endpoint, Keys as _, Time};
use locum_wire::http1::{self, Framing, Head, Response};
use locum_wire::proxy_protocol::Header;

use crate::attempt::{Tally, UnderWay};
use crate::body::BodyError;
use crate::caller::{CallKeys, Caller};
use crate::forward::{self, Prepared};
use crate::grpc;
use crate::http2::{self, Way};
use crate::record::Record;
use crate::stream::Stream;
use crate::timeout;
use crate::upstream::pool::{self, ConnectError, Connection};
use crate::upstream::{Upstream, sticky};
use crate::worker::Worker;

mod sending;

use sending::{Outgoing, Sending};

/// Everything that the attempts of one call share.
pub(crate) struct Exchange<'a, 'c> {
    pub(crate) caller: &'a Caller<'c>,
    pub(crate) worker: &'a Worker,
    pub(crate) upstream: &'a Arc<Upstream>,
    /// The breakers that the route's policy has of the upstream's endpoints.
    pub(crate) watches: &'a [Watch],
    pub(crate) keys: &'a CallKeys<'a>,
    pub(crate) prepared: &'a Prepared<'a, 'c>,
    pub(crate) record: &'a Record,
    /// Of the call.
    pub(crate) seed: u64,
    /// How often an endpoint was chosen.
    pub(crate) picks: Cell<u64>,
    /// Attempts whose answers have not begun: with hedges there are several.
    pub(crate) under_way: Cell<u32>,
}

/// An attempt whose answer has begun: what is left to send and to read.
pub(crate) struct Answered {
    pub(crate) connection: Box<Connection>,
    /// The answer's head; its bytes are the first of the connection's buffer.
    pub(crate) head: Box<Head>,
    pub(crate) framing: Framing,
    pub(crate) status: u16,
    /// Which attempt of the call it answers.
    pub(crate) number: u32,
    /// Whose it is, by its place among the upstream's endpoints.
    pub(crate) endpoint: u32,
    /// An interim answer before it was of a kind after which the connection cannot be trusted.
    tainted: bool,
    /// Its body may still be coming.
    outgoing: Outgoing,
    _in_flight: crate::upstream::InFlight,
}

/// Why an attempt brought no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    Connect(ConnectError),
    /// The upstream closed or reset the connection before it answered.
    Closed,
    /// The upstream has said that it did not begin the call, so anybody may be asked instead.
    Refused,
    /// The upstream did not speak HTTP/1.1.
    Protocol(http1::Error),
    /// The upstream switched protocols unasked, or never came to the point.
    Unexpected(&'static str),
    /// It was not sent: the policy wanted it to end with this status.
    Injected(u16),
    /// The client's own fault.
    Body(BodyError),
    /// The client went away.
    Gone,
}

/// How often one attempt is refused by connections that go away before it looks no further.
const REFUSED: u32 = 3;
impl run::Exchange for Exchange<'_, '_> {
    type Reply = Result<Answered, Failure>;

    fn pick(&self, tried: &[u32], now: Time) -> Option<Endpoint<'_>> {
        let key = match &self.upstream.settings.balance {
            Balance::Hash(key) => self.keys.key(key),
            Balance::Sticky(cookie) => sticky::value(&self.caller.request, cookie),
            _ => None,
        };
        let random = of_pick(self.seed, self.picks.replace(self.picks.get() + 1));
        let ask = Ask { tried, key, random, now };
        let id = self.upstream.pick(self.watches, &ask)?;
        let name = &self.upstream.endpoints[id as usize].name;
        Some(Endpoint { id, name, policy: self.upstream.guard(id) })
    }

    fn panics(&self, now: Time) -> bool {
        self.upstream.panics(self.watches, now)
    }

    fn repeatable(&self) -> bool {
        let upload = self.caller.upload.borrow();
        // Two attempts at once cannot share a body that is still on its way: each piece of it would
        // go to one of them.
        upload.is_replayable() && (self.under_way.get() == 0 || upload.is_done())
    }

    async fn send(&self, attempt: &Attempt<'_>) -> Ended<Self::Reply> {
        self.record.attempt_begins(attempt, self.upstream);
        let tally = Tally { under_way: &self.under_way, record: self.record, worker: self.worker };
        let under_way = UnderWay::begin(tally, self.upstream, attempt);
        let reply = self.send_once_or_again(attempt).await;
        under_way.end();
        let (cause, retry_after) = match &reply {
            Ok(answered) => answered.verdict(self.caller.grpc),
            Err(failure) => (failure.cause(), None),
        };
        let now = self.worker.now();
        self.record.attempt_ends(attempt.number, cause, now);
        let took = attempt.started.until(now);
        self.upstream.observe(attempt.endpoint.id, took, Seen::of(cause), now);
        Ended { cause, retry_after, reply }
    }

    fn abort(&self, attempt: &Attempt<'_>, status: u16) -> Ended<Self::Reply> {
        self.record.attempt_begins(attempt, self.upstream);
        let failure = Failure::Injected(status);
        let cause = failure.cause();
        self.record.attempt_ends(attempt.number, cause, self.worker.now());
        Ended { cause, retry_after: None, reply: Err(failure) }
    }
}

impl Exchange<'_, '_> {
    async fn send_once_or_again(&self, attempt: &Attempt<'_>) -> Result<Answered, Failure> {
        let endpoint = &self.upstream.endpoints[attempt.endpoint.id as usize];
        let in_flight = endpoint.begin();
        let mut sending = match self.worker.pool.take(endpoint) {
            Some(connection) => Sending::new(self, attempt, connection),
            None => Sending::new(self, attempt, self.connect(attempt).await?),
        };
        let mut refused = 0;
        loop {
            match poll_fn(|cx| sending.poll(self, cx)).await {
                Ok((head, status, framing)) => {
                    return Ok(Answered {
                        connection: sending.connection,
                        head,
                        framing,
                        status,
                        number: attempt.number,
                        endpoint: attempt.endpoint.id,
                        tainted: sending.tainted,
                        outgoing: sending.outgoing,
                        _in_flight: in_flight,
                    });
                }
                // A kept connection that dies before any byte of an answer was most likely closed
                // while the request was on its way. Once, and only where a second delivery does no
                // harm: an idempotent call, or one of which nothing has left.
                Err(Failure::Closed)
                    if sending.connection.reused
                        && (self.caller.idempotent || !sending.outgoing.wrote)
                        && self.caller.upload.borrow().is_replayable() =>
                {
                    let connection = self.connect(attempt).await?;
                    sending = Sending::new(self, attempt, connection);
                }
                // Nothing was done for it, whatever it asks for (RFC 9113 §8.7).
                Err(Failure::Refused)
                    if refused < REFUSED && self.caller.upload.borrow().is_replayable() =>
                {
                    refused += 1;
                    let connection = self.connect(attempt).await?;
                    sending = Sending::new(self, attempt, connection);
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Hands an interim answer to the client.
    fn pass_on(&self, response: &Response<'_>, cx: &mut Context<'_>) -> Result<(), Failure> {
        let mut interim = self.worker.scratch();
        forward::interim_head(&mut interim, response);
        // Nothing of the answer has been sent yet, so the socket has room for all of it.
        let sent = self.caller.stream.borrow_mut().poll_send(cx, &interim);
        let whole = matches!(sent, Poll::Ready(Ok(count)) if count == interim.len());
        self.worker.give_scratch(interim);
        if whole { Ok(()) } else { Err(Failure::Gone) }
    }

    async fn connect(&self, attempt: &Attempt<'_>) -> Result<Box<Connection>, Failure> {
        let endpoint = &self.upstream.endpoints[attempt.endpoint.id as usize];
        let timeout = self.upstream.settings.pool.connect_timeout;
        let worker = self.worker;
        if self.upstream.asks_for_http2(endpoint) {
            // In a box: the common way needs no room for it.
            let way = Box::pin(worker.http2.open(endpoint, self.upstream, worker)).await;
            if let Way::Stream(stream, reused) = way.map_err(Failure::Connect)? {
                if self.caller.websocket
                    && !Box::pin(takes_websockets(&stream, timeout, worker)).await
                {
                    return Err(Failure::Unexpected("its HTTP/2 takes no WebSockets (RFC 8441)"));
                }
                if let Stream::Http2(client) = &**self.caller.stream.borrow() {
                    stream.keep_secrets_of(client);
                }
                return Ok(Connection::of_stream(stream, endpoint, reused, &worker.buffers));
            }
        }
        let connection = {
            let whose = endpoint.proxy_protocol.map_or(Header::Local, |_| self.caller.whose());
            let Worker { buffers, alarms, .. } = worker;
            let connecting = pool::connect(endpoint, &whose, timeout, buffers, alarms);
            connecting.await.map_err(Failure::Connect)?
        };
        if connection.stream.carries_http2() {
            endpoint.http1.store(false, Ordering::Relaxed);
            return Err(Failure::Unexpected("it speaks HTTP/2 now"));
        }
        Ok(connection)
    }
}

/// Whether a server takes a WebSocket on `stream`; one that does not say within `timeout` does not.
async fn takes_websockets(stream: &http2::Stream, timeout: Duration, worker: &Worker) -> bool {
    let alarm = worker.alarms.alarm();
    alarm.arm_in(timeout);
    poll_fn(|cx| match stream.poll_takes_websockets(cx) {
        Poll::Pending => alarm.poll(cx).map(|()| false),
        said => said,
    })
    .await
}

impl Answered {
    /// What its head says of how the attempt went and, where that is an error, of when to come back.
    fn verdict(&self, grpc: bool) -> (Cause, Option<Duration>) {
        let response = self.head.response(self.connection.buffer.filled());
        if grpc && let Some(status) = grpc_status(&response) {
            let after = if status.0 > 0 { timeout::retry_after(&response) } else { None };
            return (Cause::Grpc(status.0), after);
        }
        let after = if self.status < 400 { None } else { timeout::retry_after(&response) };
        (Cause::Status(self.status), after)
    }

    /// Goes on sending the request while its answer is being delivered.
    pub(crate) fn poll_upload(
        &mut self,
        exchange: &Exchange<'_, '_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        self.outgoing.poll(&mut self.connection.stream, exchange, cx)
    }

    /// Ends the attempt without a look at its answer. If all of it is there, which a short answer's
    /// body is as soon as its head, the connection is as good as after any other.
    pub(crate) fn discard(mut self, exchange: &Exchange<'_, '_>) {
        let buffer = &mut self.connection.buffer;
        let reusable = self.head.response(buffer.filled()).reusable();
        let body = match self.framing {
            Framing::None => Some(0),
            Framing::Length(length) => usize::try_from(length).ok(),
            Framing::Chunked | Framing::UntilClose => None,
        };
        let length = body.and_then(|body| body.checked_add(self.head.len()));
        let whole = reusable && length == Some(buffer.filled().len());
        if whole {
            buffer.consume(buffer.filled().len());
        }
        self.finish(exchange, whole);
    }

    /// Ends the attempt: its connection is kept for the next call if nothing is left on it.
    pub(crate) fn finish(self, exchange: &Exchange<'_, '_>, whole: bool) {
        let sent_whole = self.outgoing.is_clear() && exchange.caller.upload.borrow().is_done();
        exchange.worker.give_scratch(self.outgoing.out);
        exchange.worker.give_head(self.head);
        let keeps = whole && sent_whole && !self.tainted && self.connection.buffer.is_empty();
        if keeps && !self.connection.stream.is_http2() {
            exchange.worker.keep(self.connection, &exchange.upstream.settings.pool);
        }
    }
}

/// The status of a gRPC answer that is over with its head.
pub(crate) fn grpc_status(response: &Response<'_>) -> Option<grpc::Status> {
    if response.status() == 200 { grpc::Status::of_head(response) } else { None }
}

impl Failure {
    pub(crate) fn cause(&self) -> Cause {
        match self {
            Self::Connect(ConnectError::Failed(_) | ConnectError::Handshake(_)) => Cause::Connect,
            Self::Connect(ConnectError::TimedOut) => Cause::ConnectTimeout,
            Self::Closed => Cause::Reset,
            Self::Refused => Cause::Refused,
            Self::Protocol(_) | Self::Unexpected(_) => Cause::Protocol,
            Self::Injected(status) => Cause::Status(*status),
            Self::Body(_) | Self::Gone => Cause::Cancelled,
        }
    }
}
