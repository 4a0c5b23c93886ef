//! One client's connection, from its first byte to its last.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use locum_wire::http1::{self, Head};
use rustls::ServerConfig;

use crate::buffer::Buffer;
use crate::clerk;
use crate::clock::Alarm;
use crate::flow;
use crate::forward::Persistence;
use crate::http2;
use crate::listener::{Listener, Protocol, Seat};
use crate::refusal::Refusal;
use crate::rpc::front::{self, Found};
use crate::stream::Stream;
use crate::stream::tls::Tls;
use crate::tcp;
use crate::worker::Worker;

mod arrival;
mod handshake;
mod introduced;
mod parked;
mod parting;

use arrival::Arrival;
pub(crate) use parked::Parked;

/// A client's connection. While it is idle it holds no buffer and no head.
pub(crate) struct Client {
    pub(crate) stream: Stream,
    pub(crate) buffer: Buffer,
    pub(crate) head: Option<Box<Head>>,
    pub(crate) listener: Arc<Listener>,
    pub(crate) peer: Option<SocketAddr>,
    /// Whom its certificate names; empty if it names nobody, `None` if it has shown none.
    pub(crate) certificate: Option<Rc<str>>,
    pub(crate) alarm: Alarm,
    pub(crate) served: u64,
    /// Its place among the connections of its listener; streams of HTTP/2 share that of theirs.
    seat: Option<Seat>,
    /// How often it was parked.
    times_parked: u8,
}

/// Whose streams the streams of one connection are.
pub(crate) struct Origin {
    listener: Arc<Listener>,
    peer: Option<SocketAddr>,
    certificate: Option<Rc<str>>,
}

/// Whether a connection goes on after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It takes another request.
    Request,
    /// We are done with it; the client may still be sending and must get our last words.
    Close,
    /// Both are done with it: the client has said that this was its last request, and it is read whole.
    Done,
    /// There is nobody left to talk to, or they must not take what they got for the whole.
    Abort,
}

impl Client {
    pub(crate) fn new(
        stream: Stream,
        peer: Option<SocketAddr>,
        listener: Arc<Listener>,
        seat: Seat,
        worker: &Worker,
    ) -> Box<Self> {
        let stream = match &listener.tls {
            // A proxy in front speaks first, and not under TLS.
            Some(config) if !listener.takes_plain() && !listener.settings.proxy_protocol => {
                Stream::Tls(Tls::accepted(stream, config, Buffer::new(&worker.buffers)))
            }
            _ => stream,
        };
        Box::new(Self { seat: Some(seat), ..Self::over(stream, peer, listener, worker) })
    }

    /// A connection that has served nothing yet, and has no place of its own.
    fn over(
        stream: Stream,
        peer: Option<SocketAddr>,
        listener: Arc<Listener>,
        worker: &Worker,
    ) -> Self {
        Self {
            stream,
            buffer: Buffer::new(&worker.buffers),
            head: None,
            listener,
            peer,
            certificate: None,
            alarm: worker.alarms.alarm(),
            served: 0,
            seat: None,
            times_parked: 0,
        }
    }

    /// What its streams have in common.
    pub(crate) fn origin(&self) -> Origin {
        let Self { listener, peer, certificate, .. } = self;
        Origin { listener: Arc::clone(listener), peer: *peer, certificate: certificate.clone() }
    }

    /// One stream of a connection, as if it were one.
    pub(crate) fn of_stream(stream: http2::Stream, origin: &Origin, worker: &Worker) -> Self {
        let Origin { listener, peer, certificate } = origin;
        let stream = Stream::Http2(stream);
        Self {
            certificate: certificate.clone(),
            ..Self::over(stream, *peer, Arc::clone(listener), worker)
        }
    }

    /// Serves the one request of a stream, whose head is `bytes`.
    pub(crate) async fn serve_stream(mut self, bytes: Vec<u8>, worker: &Worker) {
        let mut head = worker.head();
        let refusal = match head.parse_request(&bytes, &self.wire_limits()) {
            Ok(true) => {
                self.head = Some(head);
                // What is to become of the stream, how far it got says.
                let _ = flow::serve(&mut self, bytes, worker).await;
                return self.put_head_away(worker);
            }
            Ok(false) => Refusal::cut_short(),
            Err(error) => Refusal::malformed(error),
        };
        worker.give_head(head);
        worker.give_scratch(bytes);
        drop(Box::pin(self.refuse(&refusal, worker)).await);
    }

    /// Serves what the client asks for until the connection ends.
    ///
    /// What an idle connection is not doing is in a box, here and below: each has room for all that it holds
    /// without one.
    pub(crate) async fn serve(mut self: Box<Self>, worker: &Rc<Worker>) {
        if self.listener.settings.proxy_protocol || self.stream.is_secure() {
            match Box::pin(self.begin(worker)).await {
                Some(begun) => self = begun,
                None => return,
            }
        }
        match self.listener.settings.protocol {
            Protocol::Http => self.serve_http(worker).await,
            Protocol::Tcp => Box::pin(tcp::serve(&mut self, worker)).await,
            Protocol::Rpc | Protocol::Auto => Box::pin(self.serve_found(worker)).await,
        }
    }

    /// Hears from the proxy in front who the client is, and shakes hands; `None` if that was all.
    async fn begin(mut self: Box<Self>, worker: &Worker) -> Option<Box<Self>> {
        if self.listener.settings.proxy_protocol {
            if !self.is_introduced(worker).await {
                self.linger().await;
                return None;
            }
            if let Some(config) = self.listener.tls.clone()
                && !self.listener.takes_plain()
            {
                self = self.under_tls(&config, worker);
            }
        }
        self.secure(worker).await
    }

    /// Finds out what the client speaks, and serves that.
    async fn serve_found(mut self: Box<Self>, worker: &Rc<Worker>) {
        let mut found = front::find(&mut self, worker).await;
        if matches!(found, Found::Tls)
            && self.listener.takes_plain()
            && let Some(config) = self.listener.tls.clone()
        {
            match self.under_tls(&config, worker).secure(worker).await {
                Some(secured) => self = secured,
                None => return,
            }
            found = front::find(&mut self, worker).await;
        }
        match found {
            Found::Http => self.serve_http(worker).await,
            Found::Tls | Found::Other if tcp::is_served(&self, worker) => {
                Box::pin(tcp::serve(&mut self, worker)).await
            }
            found => front::serve(&mut self, found, worker).await,
        }
    }

    /// The same connection, whose client has begun to speak TLS.
    fn under_tls(self: Box<Self>, config: &Arc<ServerConfig>, worker: &Worker) -> Box<Self> {
        let Self { stream, buffer, .. } = *self;
        let stream = Stream::Tls(Tls::accepted(stream, config, buffer));
        Box::new(Self { stream, buffer: Buffer::new(&worker.buffers), ..*self })
    }

    /// Serves requests of HTTP until the connection ends.
    pub(crate) async fn serve_http(mut self: Box<Self>, worker: &Rc<Worker>) {
        if self.stream.carries_http2() {
            return Box::pin(http2::serve(&mut self, worker)).await;
        }
        loop {
            let arrival = self.next_request(worker).await;
            match arrival {
                Arrival::Head => {}
                Arrival::Http2 => return Box::pin(http2::serve(&mut self, worker)).await,
                Arrival::End => {
                    self.stream.part();
                    return;
                }
                Arrival::Silence(until) => return worker.parking.park(*self, until),
                Arrival::Refused(refusal) => {
                    return Box::pin(self.turn_away(&refusal, worker)).await;
                }
            }
            let bytes = self.take_head(worker);
            // A call's state is large, and no idle connection has one.
            let (served, next) = clerk::serve(self, bytes, worker).await;
            self = served;
            self.served += 1;
            self.put_head_away(worker);
            match next {
                Next::Request => {}
                Next::Close => return Box::pin(self.linger()).await,
                Next::Done => return Box::pin(self.take_leave()).await,
                Next::Abort => return,
            }
        }
    }

    /// Moves the head to a place of its own size: while the call waits, the large buffer that it came in is read
    /// into by others, and stays in the cache.
    fn take_head(&mut self, worker: &Worker) -> Vec<u8> {
        let buffer = &mut self.buffer;
        let length = self.head.as_ref().map_or(0, |head| head.len());
        let mut bytes = worker.scratch();
        bytes.extend_from_slice(&buffer.filled()[..length]);
        buffer.consume(length);
        if buffer.is_empty() {
            buffer.shrink();
        }
        bytes
    }

    fn put_head_away(&mut self, worker: &Worker) {
        if let Some(mut head) = self.head.take() {
            head.clear();
            worker.give_head(head);
        }
    }

    /// Says why what came is no request, and closes.
    async fn turn_away(&mut self, refusal: &Refusal, worker: &Worker) {
        if self.refuse(refusal, worker).await.is_ok() {
            self.linger().await;
        }
    }

    /// Says why what came is no request.
    async fn refuse(&mut self, refusal: &Refusal, worker: &Worker) -> io::Result<()> {
        worker.shard.count_refused(self.listener.label, refusal.counted_as());
        let mut out = worker.scratch();
        refusal.write(&mut out, false, Persistence::Closed);
        let sent = self.send(&out).await;
        worker.give_scratch(out);
        sent
    }

    pub(crate) fn wire_limits(&self) -> http1::Limits {
        let limits = &self.listener.settings.limits;
        http1::Limits {
            head_bytes: limits.header_bytes,
            fields: limits.headers,
            target_bytes: limits.header_bytes / 2,
        }
    }

    /// Sends all of `bytes`, unless the client does not take them.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stall = self.listener.settings.limits.write_stall;
        send(&RefCell::new(&mut self.stream), &self.alarm, stall, bytes).await
    }

    /// Whether the limits let the connection carry a request after this one.
    pub(crate) fn outlives_this_request(&self) -> bool {
        let most = self.listener.settings.limits.requests_per_connection;
        most == 0 || self.served + 1 < most
    }

    pub(crate) fn peer_ip(&self) -> Option<IpAddr> {
        self.peer.map(|peer| peer.ip().to_canonical())
    }
}

/// Sends all of `bytes` on `stream`, giving up when no progress is made for `stall`.
pub(crate) async fn send(
    stream: &RefCell<&mut Stream>,
    alarm: &Alarm,
    stall: Duration,
    bytes: &[u8],
) -> io::Result<()> {
    let mut sent = 0;
    let mut waiting = false;
    poll_fn(|cx| {
        while sent < bytes.len() {
            match stream.borrow_mut().poll_send(cx, &bytes[sent..]) {
                Poll::Ready(Ok(count)) => {
                    sent += count;
                    waiting = false;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    if !waiting {
                        waiting = true;
                        alarm.arm_in(stall);
                    }
                    return alarm.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}
