//! A client's connection that carries remote calls, from the first to the last.
//!
//! One task does all: it reads a batch of calls and makes a future of each, polls those that can go on, and
//! writes the answers that they left, all in one write. A connection that ends drops its calls, and thereby
//! gives them up at the upstreams.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use locum_wire::rpc::{CallId, Limits, Protocol, Replies, Requests};

use super::attend::attend_to_calls;
use super::call::{Call, Caller};
use super::session::Session;
use super::taker::Taker;
use crate::buffer::SIZE;
use crate::client::Client;
use crate::seats::{Desk, Seats};
use crate::worker::Worker;

/// Serves the calls of `client`, which speaks `protocol` from the first byte of its buffer on.
///
/// # Cancel safety
///
/// Dropping the future closes the connection and gives up its calls.
pub(crate) async fn serve(client: &mut Client, protocol: Protocol, worker: &Worker) {
    let settings = &client.listener.settings;
    let limits = Limits { message: settings.limits.message_bytes, ..Limits::default() };
    let listener = std::sync::Arc::clone(&client.listener);
    let address = client.peer_ip();
    let certificate = client.certificate.clone();
    let taker = Taker::new(&worker.links.full_takers);
    let caller = Caller {
        listener: &listener,
        address,
        protocol: name(protocol),
        certificate: certificate.as_deref(),
        identity: None,
        trusted: listener.trusts(address),
        taker: Some(&taker),
    };
    let session = Session {
        caller,
        worker,
        protocol,
        limits,
        replies: RefCell::new(Replies::new(protocol)),
        out: RefCell::default(),
        cancels: RefCell::default(),
        held: Cell::new(0),
        gone: Cell::new(false),
        learned: RefCell::default(),
    };
    let desk = Desk::new();
    let mut calls = Seats::new(&desk);
    let mut pump = Pump {
        client,
        session: &session,
        requests: Requests::new(protocol, &limits),
        needs: 1,
        reads: true,
        sent: 0,
        waits: None,
        took: false,
        brought: false,
        told: false,
        last: None,
    };
    poll_fn(|cx| {
        for _ in 0..ROUNDS {
            while let Some((call, id)) = pump.next(calls.busy()) {
                calls.give((call, id), || attend_to_calls(&session, &desk));
            }
            // Whoever takes large answers is given them while there are others.
            let turns = calls.poll(cx, |cx| match pump.is_crowded() {
                true => pump.write(cx),
                false => Ok(()),
            });
            if turns.is_err() || pump.write(cx).is_err() || pump.is_over(calls.busy()) {
                return Poll::Ready(());
            }
            taker.set(pump.is_crowded(), || worker.now());
            match pump.read(cx, calls.busy()) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                // Room was made for calls that have been read.
                Poll::Pending if pump.has_more(calls.busy()) => {}
                Poll::Pending => match pump.watch(cx, calls.busy(), calls.are_spare()) {
                    Poll::Ready(Rang::Over) => return Poll::Ready(()),
                    Poll::Ready(Rang::Quiet) => calls.clear(),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
        // A client that always has something to say leaves others their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    // Whoever is gone has given up all of its calls. Each of them, polled once more, ends and says so to
    // the record.
    session.gone.set(true);
    calls.poll_all();
}

/// What carries a session's bytes.
struct Pump<'a> {
    client: &'a mut Client,
    session: &'a Session<'a>,
    requests: Requests,
    /// How many bytes have to be there before there may be a whole message.
    needs: usize,
    /// Whether there may be more calls to read.
    reads: bool,
    /// How much of what is to be sent was.
    sent: usize,
    /// What the alarm is armed for.
    waits: Option<Waits>,
    /// Whether the client took something since it was armed, and whether it brought something.
    took: bool,
    brought: bool,
    /// Whether the client was told to call no more.
    told: bool,
    /// The highest number of a call.
    last: Option<u64>,
}

/// What a connection waits for, that it will not wait for for ever.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// The client to take its answers.
    ToSend,
    /// The rest of a message.
    ForRest,
    /// Any call, before room for many is given back.
    ForCalls,
}

/// What came of waiting.
enum Rang {
    /// The connection is over.
    Over,
    /// Nobody has called for a while.
    Quiet,
}

impl Pump<'_> {
    /// Sends answers, as far as the client takes them.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), ()> {
        let mut out = self.session.out.borrow_mut();
        while self.sent < out.len() {
            match self.client.stream.poll_send(cx, &out[self.sent..]) {
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.sent += count;
                    self.took = true;
                }
                Poll::Ready(_) => return Err(()),
                Poll::Pending => {
                    if self.sent > CROWDED {
                        out.drain(..self.sent);
                        self.sent = 0;
                    }
                    return Ok(());
                }
            }
        }
        if self.sent > 0 {
            out.clear();
            out.shrink_to(KEPT_OUT);
            self.sent = 0;
        }
        Ok(())
    }

    /// Whether there will be nothing more to say.
    fn is_over(&self, calls: usize) -> bool {
        !self.reads && calls == 0 && self.is_clear() && !self.has_more(calls)
    }

    /// Whether so many bytes of answers are unsent that no more calls are read.
    fn is_crowded(&self) -> bool {
        self.session.out.borrow().len() >= CROWDED
    }

    fn is_clear(&self) -> bool {
        self.session.out.borrow().is_empty()
    }

    /// Reads once, unless the client has enough under way.
    fn read(&mut self, cx: &mut Context<'_>, calls: usize) -> Poll<io::Result<()>> {
        // What has been read comes first, or the buffer would be moved about for each call of it.
        if !self.may_read(calls) || self.has_more(calls) {
            return Poll::Pending;
        }
        let Client { stream, buffer, .. } = &mut *self.client;
        let count = ready!(buffer.poll_fill(cx, stream))?;
        // An end may only say that there is no more; what is under way is answered.
        self.reads = count > 0;
        self.brought = true;
        Poll::Ready(Ok(()))
    }

    fn may_read(&self, calls: usize) -> bool {
        self.reads && self.has_room(calls)
    }

    /// Whether the client may have another call under way.
    fn has_room(&self, calls: usize) -> bool {
        let limits = &self.client.listener.settings.limits;
        calls < limits.calls_per_connection
            && self.session.held.get() < MOST_HELD
            && !self.is_crowded()
    }

    /// Whether there is room for a call, and may be a whole message among what was read.
    fn has_more(&self, calls: usize) -> bool {
        self.has_room(calls) && self.client.buffer.filled().len() >= self.needs
    }

    /// The next call that was read; what is no call is dealt with.
    fn next(&mut self, calls: usize) -> Option<(Call, CallId)> {
        while self.has_more(calls) {
            let buffer = &mut self.client.buffer;
            let mut taken = 0;
            let next = self.requests.next(buffer.filled(), &mut taken);
            let found = match next {
                Ok(Some(request)) => {
                    self.needs = 1;
                    let found = self.session.take(request);
                    match found {
                        // It has been said that none above the last is begun any more.
                        Some((call, id))
                            if self.told && self.session.protocol == Protocol::Native =>
                        {
                            self.session.turn_down(&call, &id);
                            None
                        }
                        Some((_, CallId::Number(id) | CallId::NumberInJson(id))) => {
                            self.last = self.last.max(Some(id));
                            found
                        }
                        found => found,
                    }
                }
                Ok(None) => {
                    buffer.consume(taken);
                    self.needs = self.requests.needs();
                    return None;
                }
                Err(_) => {
                    // What follows has no meaning. What is under way is answered.
                    let worker = self.session.worker;
                    worker.shard.count_refused(self.client.listener.label, "malformed");
                    self.reads = false;
                    buffer.consume(buffer.filled().len());
                    return None;
                }
            };
            buffer.consume(taken);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Waits, but not for ever. `spare`: there is room for many calls.
    fn watch(&mut self, cx: &Context<'_>, calls: usize, spare: bool) -> Poll<Rang> {
        let worker = self.session.worker;
        if worker.is_draining() {
            if !self.told {
                self.told = true;
                self.session.go_away(self.last);
                cx.waker().wake_by_ref();
            }
            if worker.closes_idle() && self.reads {
                self.reads = false;
                cx.waker().wake_by_ref();
            }
        }
        let begun = !self.client.buffer.is_empty() && self.may_read(calls);
        let waits = match self.is_clear() {
            false => Some(Waits::ToSend),
            true if begun => Some(Waits::ForRest),
            true if calls == 0 && spare => Some(Waits::ForCalls),
            true => None,
        };
        let Client { alarm, buffer, listener, .. } = &mut *self.client;
        if buffer.is_empty() {
            buffer.shrink();
        }
        let progress = match waits {
            Some(Waits::ToSend) => self.took,
            Some(Waits::ForRest | Waits::ForCalls) => self.brought,
            None => false,
        };
        if waits != self.waits || progress {
            (self.waits, self.took, self.brought) = (waits, false, false);
            match waits {
                Some(Waits::ToSend) => alarm.arm_in(listener.settings.limits.write_stall),
                Some(Waits::ForRest) => alarm.arm_in(listener.settings.limits.header_timeout),
                Some(Waits::ForCalls) => alarm.arm_in(QUIET),
                None => alarm.disarm(),
            }
        }
        alarm.poll(cx).map(|()| {
            if waits == Some(Waits::ForCalls) {
                alarm.disarm();
                self.waits = None;
                return Rang::Quiet;
            }
            worker.shard.count_refused(listener.label, "timeout");
            Rang::Over
        })
    }
}

/// What a protocol is called in metrics and logs.
pub(super) fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Gob => "gob",
        Protocol::Json1 => "json-rpc",
        Protocol::Json2 => "json-rpc2",
        Protocol::Native => "native",
    }
}

/// Reads of one turn.
const ROUNDS: usize = 16;
/// How long nobody calls before room for many calls is given back.
const QUIET: Duration = Duration::from_secs(1);
/// With so many bytes of arguments under way, or of answers unsent, nothing more is read.
const MOST_HELD: usize = 32 << 20;
const CROWDED: usize = 1 << 20;
/// Room for answers that is kept from one batch to the next.
const KEPT_OUT: usize = 4 * SIZE;
