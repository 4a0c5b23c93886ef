//! A connection of HTTP/2 to an endpoint, from before it is made to its end.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use locum_wire::http2::{Connection, Limits, Scheme};
use locum_wire::proxy_protocol::Header;
use tokio::task::spawn_local;

use super::crowd::Crowd;
use super::drive::Driver;
use super::streams::{End, Streams};
use crate::buffer::Buffers;
use crate::clock::Alarms;
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
    let stream =
        match pool::dial(endpoint, &Header::Local, pool.connect_timeout, buffers, alarms).await {
            Ok(stream) => stream,
            Err(error) => return link.enter(Phase::Failed(error), crowd),
        };
    if stream.is_secure() && !stream.carries_http2() {
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
    let streams = streams_over(&stream);
    streams.freed_to(crowd);
    link.enter(Phase::Open(Rc::clone(&streams), false), crowd);
    carry(&link, streams, stream, &outfit).await;
    drop(closing);
}

/// Carries the streams of a connection that stands until it ends.
async fn carry(link: &Link, streams: Rc<Streams>, stream: stream::Stream, outfit: &Outfit) {
    let endpoint = &link.endpoint;
    let streams = Carried { endpoint, streams: &streams };
    endpoint.open.fetch_add(1, Ordering::Relaxed);
    let mut driver = Driver::new(link, streams.streams, stream, outfit);
    let ended = poll_fn(|cx| driver.poll(cx)).await;
    driver.part();
    if let Err(why) = ended {
        tracing::debug!(endpoint = endpoint.name, why, "a connection of HTTP/2 has ended");
    }
}

/// A connection to `endpoint` as one that carries one request, and nothing else.
///
/// # Cancel safety
///
/// The connection closes when its stream is dropped.
pub(crate) fn alone(
    stream: stream::Stream,
    endpoint: &Arc<Endpoint>,
    buffers: &Rc<Buffers>,
    alarms: &Rc<Alarms>,
) -> stream::Stream {
    let streams = streams_over(&stream);
    let only = streams.open().expect("invariant: until it says otherwise a peer takes any number");
    let outfit = Outfit {
        protocol: Protocol::Http2,
        pool: PoolSettings::default(),
        crowd: Rc::default(),
        buffers: Rc::clone(buffers),
        alarms: Rc::clone(alarms),
    };
    let link = Link { endpoint: Arc::clone(endpoint), phase: RefCell::new(Phase::Retired) };
    let alarms = Rc::clone(alarms);
    spawn_local(alarms.turns(async move {
        carry(&link, streams, stream, &outfit).await;
    }));
    stream::Stream::Http2(only)
}

fn streams_over(stream: &stream::Stream) -> Rc<Streams> {
    let secure = stream.is_secure();
    let scheme = if secure { Scheme::Https } else { Scheme::Http };
    Streams::new(Connection::client(&LIMITS, scheme), secure, End::Client)
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

/// Closes what a connection carried, likewise.
struct Carried<'a> {
    endpoint: &'a Endpoint,
    streams: &'a Rc<Streams>,
}

impl Drop for Carried<'_> {
    fn drop(&mut self) {
        self.endpoint.open.fetch_sub(1, Ordering::Relaxed);
        self.streams.state.borrow_mut().close();
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
