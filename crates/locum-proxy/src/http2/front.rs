//! A client's connection of HTTP/2, from its first stream to its last.
//!
//! One task does all: it reads once, begins the call of each stream that was opened, polls the calls that can go
//! on, and writes what all of them had to say, all in one write.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use locum_wire::http2::{Connection, ErrorCode, Limits};

use super::judge::Judge;
use super::outlet::Outlet;
use super::stream::Stream;
use super::streams::{End, News, State, Streams};
use crate::client::{Client, Origin};
use crate::listener;
use crate::seats::{Desk, Seats};
use crate::worker::Worker;

use patience::{Patience, Rang};

mod patience;

/// Serves the streams of `client`, whose first byte is that of the preface.
///
/// # Cancel safety
///
/// Dropping the future closes the connection and gives up its calls.
pub(crate) async fn serve(client: &mut Client, worker: &Worker) {
    // It is still armed for the client's first word.
    client.alarm.disarm();
    let limits = client.listener.settings.limits.clone();
    let codec = Connection::server(&wire_limits(&limits), worker.random());
    let streams = Streams::new(codec, client.stream.is_secure(), End::Server);
    let origin = client.origin();
    let desk = Desk::new();
    let mut calls = Seats::new(&desk);
    let mut front = Front {
        client,
        worker,
        streams: &streams,
        judge: Judge::new(limits.http2.resets),
        outlet: Outlet::default(),
        patience: Patience::new(limits.http2.settings_timeout, worker),
        going: Going::On,
        plan: 0,
    };
    let mut opened = Vec::new();
    poll_fn(|cx| {
        for _ in 0..ROUNDS {
            // What was opened and taken back in one read is not begun.
            while let Some(stream) = front.next(calls.busy() + opened.len()) {
                opened.push(stream);
            }
            for (stream, head) in opened.drain(..).filter(|(stream, _)| !stream.is_lost()) {
                calls.give((stream, head), || serve_streams(&desk, &origin, worker));
            }
            let Ok(()) = calls.poll(cx, |_| Ok::<_, Infallible>(()));
            if front.write(cx).is_err() || front.is_over(calls.busy()) {
                return Poll::Ready(());
            }
            match front.read(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => match front.watch(cx, calls.busy()) {
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
    let says = front.going != Going::Gone;
    // Whoever is gone has given up all of its calls. Each of them, polled once more, ends and says so to
    // the record.
    streams.state.borrow_mut().close();
    calls.poll_all();
    drop(calls);
    if says {
        client.linger().await;
    }
}

/// A stream that was opened, and the head of its request.
type Opened = (Stream, Vec<u8>);

/// Serves the streams that are given at `desk`, one after the other.
async fn serve_streams(desk: &Desk<Opened>, origin: &Origin, worker: &Worker) -> Infallible {
    loop {
        let (stream, head) = desk.next().await;
        let _under_way = worker.pace.call();
        Client::of_stream(stream, origin, worker).serve_stream(head, worker).await;
    }
}

/// What the codec is to hold a client to.
fn wire_limits(limits: &listener::Limits) -> Limits {
    let listener::Http2Limits { streams, stream_window, connection_window, frame_bytes, .. } =
        limits.http2;
    Limits {
        streams,
        stream_window,
        connection_window,
        head_bytes: limits.header_bytes,
        fields: limits.headers,
        header_frames: limits.http2.header_frames,
        frame_bytes,
        table_bytes: limits.http2.header_table,
        queued_control: limits.http2.control_frames,
        memory: limits.http2.memory,
        empty_data: limits.http2.empty_frames,
        mistakes: limits.http2.mistakes,
    }
}

/// What carries a connection's bytes.
struct Front<'a> {
    client: &'a mut Client,
    worker: &'a Worker,
    streams: &'a Rc<Streams>,
    judge: Judge,
    outlet: Outlet,
    patience: Patience,
    going: Going,
    /// Where the plan lies that was looked at last.
    plan: usize,
}

/// How far a connection is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Going {
    On,
    /// The client was asked to open no more streams, and may not have heard of it yet.
    Soon,
    /// It opens no more, and those that it has are finished.
    Away,
    /// It broke the protocol or a limit: it is told so, and nothing more.
    Failed,
    /// There is nobody left to talk to.
    Gone,
}

impl Front<'_> {
    /// The next stream that was opened; whatever else was read is dealt with.
    fn next(&mut self, calls: usize) -> Option<Opened> {
        while !self.client.buffer.is_empty() && self.takes() {
            let mut state = self.streams.state.borrow_mut();
            let received = state.receive(self.client.buffer.filled());
            let Ok((used, news)) = received.inspect_err(|error| {
                tracing::debug!(
                    listener = self.client.listener.settings.name,
                    client = self.client.peer.map(tracing::field::display),
                    %error,
                    "a client broke the rules of HTTP/2"
                );
                self.worker.shard.count_refused(self.client.listener.label, error.reason.as_str());
                self.going = Going::Failed;
            }) else {
                break;
            };
            self.client.buffer.consume(used);
            self.patience.brought(used > 0);
            match news {
                Some(News::Opened(key)) => {
                    state.slots[key].number = self.judge.open(self.worker.now());
                    let most = self.client.listener.settings.limits.http2.streams as usize;
                    if calls >= most {
                        // Calls of streams that were given up are still under way.
                        let id = state.slots[key].id;
                        state.codec.reset(id, ErrorCode::REFUSED_STREAM);
                        drop(state);
                        drop(self.streams.take(key));
                        continue;
                    }
                    if !self.client.outlives_this_request() {
                        state.codec.abort(ErrorCode::NO_ERROR);
                        self.going = Going::Away;
                    }
                    self.client.served += 1;
                    let mut head = self.worker.scratch();
                    head.extend_from_slice(state.codec.text());
                    drop(state);
                    return Some((self.streams.take(key), head));
                }
                Some(News::Reset(key)) => {
                    let now = self.worker.now();
                    let number = match key {
                        Some(key) => state.slots[key].number,
                        None => self.judge.open(now),
                    };
                    if !self.judge.reset(number, now) {
                        state.codec.abort(ErrorCode::ENHANCE_YOUR_CALM);
                        self.worker.shard.count_refused(self.client.listener.label, "resets");
                        self.going = Going::Failed;
                    }
                }
                // A client that goes away opens no more streams, and closes when it has its answers.
                Some(News::GoesAway | News::Pong) => {}
                None => break,
            }
        }
        if self.going == Going::Failed {
            let buffer = &mut self.client.buffer;
            buffer.consume(buffer.filled().len());
        }
        None
    }

    /// Whether what comes is still listened to.
    fn takes(&self) -> bool {
        !matches!(self.going, Going::Failed | Going::Gone)
    }

    /// Sends what there is, as far as the client takes it.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut state = self.streams.state.borrow_mut();
        let written = self.outlet.write(cx, &mut self.client.stream, &mut state);
        if written.is_err() {
            self.going = Going::Gone;
        }
        written.map(drop)
    }

    fn is_over(&self, calls: usize) -> bool {
        let mut state = self.streams.state.borrow_mut();
        let is_clear = state.codec.output().is_empty();
        match self.going {
            Going::On | Going::Soon => false,
            Going::Away => calls == 0 && is_clear,
            Going::Failed => is_clear,
            Going::Gone => true,
        }
    }

    /// Reads once, unless the client leaves too much of what it is told untaken.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let full = self.streams.state.borrow_mut().codec.output().len() >= MOST_UNSENT;
        if full || !self.takes() {
            return Poll::Pending;
        }
        let Client { stream, buffer, .. } = &mut *self.client;
        match ready!(buffer.poll_fill(cx, stream)) {
            Ok(count) if count > 0 => Poll::Ready(Ok(())),
            gone => {
                self.going = Going::Gone;
                Poll::Ready(gone.and_then(|_| Err(io::ErrorKind::UnexpectedEof.into())))
            }
        }
    }

    /// Whether the client is to be told, or told again, to open no more streams.
    fn is_to_end(&mut self) -> bool {
        match self.going {
            Going::On => self.worker.is_draining() || self.is_closed(),
            Going::Soon => self.worker.closes_idle() || self.is_closed(),
            Going::Away | Going::Failed | Going::Gone => false,
        }
    }

    /// Whether a newer plan has no such listener any more.
    fn is_closed(&mut self) -> bool {
        let plan = self.worker.plan();
        let at = Rc::as_ptr(&plan).addr();
        let is_known = std::mem::replace(&mut self.plan, at) == at;
        !is_known && plan.listener(&self.client.listener.settings.name).is_none()
    }
}

/// Asks the client to open no more streams; asked twice, it is served no more than it has.
fn go_away(state: &mut State, going: &mut Going) {
    state.codec.shutdown();
    *going = match going {
        Going::On => Going::Soon,
        _ => Going::Away,
    };
}

/// Reads of one turn: one that brings something, and one that finds no more. Who floods us leaves others theirs.
const ROUNDS: usize = 2;
/// With so much unsent, nothing more is read.
const MOST_UNSENT: usize = 256 << 10;
