//! The client's side of one call: what it asks, what we know of it, how it is answered.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, ready};

use locum_policy::{Call, Time};
use locum_wire::http1::{Name, Request, Version};
use locum_wire::proxy_protocol::{Addresses, Header};
use locum_wire::rpc::TraceParent;

use crate::auth::{Admitted, Asked, Claims};
use crate::body::{BodyError, Upload};
use crate::clock::Alarm;
use crate::forward;
use crate::listener::Listener;
use crate::refusal::Refusal;
use crate::route::{Route, Subject};
use crate::stream::Stream;
use crate::timeout::{self, Told};
use crate::worker::Worker;

mod answer;
mod keys;

pub(crate) use keys::CallKeys;

/// One request and whoever sent it.
pub(crate) struct Caller<'a> {
    /// The request's head, byte for byte.
    pub(crate) head: &'a [u8],
    pub(crate) request: Request<'a>,
    pub(crate) listener: &'a Listener,
    /// The peer's address; `None` on a unix socket.
    pub(crate) peer: Option<IpAddr>,
    peer_port: u16,
    /// It spoke under TLS.
    pub(crate) secure: bool,
    /// It spoke HTTP/2.
    pub(crate) http2: bool,
    /// Whom its certificate names; empty if it names nobody, `None` if it has shown none.
    certificate: Option<&'a str>,
    /// Lines that every answer has, ours too.
    pub(crate) told_pages: OnceCell<Vec<u8>>,
    /// Who it is, as far as the route wanted to know.
    admitted: OnceCell<Box<Admitted<'a>>>,
    pub(crate) stream: RefCell<&'a mut Stream>,
    pub(crate) upload: RefCell<Upload<'a>>,
    /// Watches over the client's pace.
    pub(crate) alarm: &'a Alarm,
    pub(crate) version: Version,
    /// The request is HEAD, so no answer has a body.
    pub(crate) head_only: bool,
    /// Sending it twice does no harm.
    pub(crate) idempotent: bool,
    pub(crate) websocket: bool,
    /// It speaks gRPC, whose word for how a call went is none of HTTP's.
    pub(crate) grpc: bool,
    /// The connection may carry another request, as far as the request and the limits go.
    pub(crate) keeps: bool,
    /// The client has sent more after this request, so watching it for a close is no use.
    pub(crate) pipelined: Cell<bool>,
    /// Whether what the peer says of clients before it is believed.
    pub(crate) trusted: bool,
    /// Which attempt of the layer above this is, if a trusted peer says so.
    pub(crate) attempt_above: u32,
    /// What a trusted peer says of time.
    pub(crate) told: Told,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(
        head: &'a [u8],
        request: Request<'a>,
        listener: &'a Listener,
        peer: Option<SocketAddr>,
        certificate: Option<&'a str>,
        stream: &'a mut Stream,
        upload: Upload<'a>,
        alarm: &'a Alarm,
        keeps: bool,
    ) -> Self {
        let peer_port = peer.map_or(0, |peer| peer.port());
        let peer = peer.map(|peer| peer.ip().to_canonical());
        let trusted = listener.trusts(peer);
        Self {
            head,
            listener,
            peer,
            peer_port,
            secure: stream.is_secure(),
            http2: stream.is_http2(),
            certificate,
            told_pages: OnceCell::new(),
            admitted: OnceCell::new(),
            stream: RefCell::new(stream),
            upload: RefCell::new(upload),
            alarm,
            version: request.version(),
            head_only: request.is_head(),
            idempotent: is_idempotent(&request),
            websocket: forward::is_websocket(&request),
            grpc: timeout::is_grpc(&request),
            keeps: keeps && request.keep_alive(),
            pipelined: Cell::new(false),
            trusted,
            attempt_above: if trusted { attempt_above(&request) } else { 1 },
            told: if trusted { timeout::told(&request) } else { Told::default() },
            request,
        }
    }

    /// What the client speaks, as metrics and logs have it.
    pub(crate) fn protocol(&self) -> &'static str {
        match (self.grpc, self.http2) {
            (true, _) => "grpc",
            (false, true) => "h2",
            (false, false) => "http1",
        }
    }

    /// What the routes look at.
    pub(crate) fn subject<'s>(
        &self,
        path: &'s [u8],
        has_field: &'s dyn Fn(&[u8], &[u8]) -> bool,
    ) -> Subject<'s>
    where
        'a: 's,
    {
        Subject {
            method: self.request.method(),
            host: without_port(self.request.host().unwrap_or_default()),
            path,
            query: self.request.query(),
            has_field,
        }
    }

    /// Whether a field of that name has exactly that value.
    pub(crate) fn has_field(&self, name: &[u8], value: &[u8]) -> bool {
        let mut fields = self.request.fields();
        fields.any(|field| field.name.eq_ignore_ascii_case(name) && field.value == value)
    }

    /// The field of that name, if there is one and no other.
    fn only_field(&self, name: &str) -> Option<&'a [u8]> {
        let fields = self.request.fields();
        let mut found = fields.filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes()));
        let only = found.next()?;
        found.next().is_none().then_some(only.value)
    }

    /// The trace that the request says it belongs to, if it says so once and in a form that is known.
    pub(crate) fn trace(&self) -> Option<TraceParent> {
        std::str::from_utf8(self.only_field("traceparent")?).ok()?.parse().ok()
    }

    /// Who calls, as far as the route wanted to know.
    pub(crate) fn identity(&self) -> Option<&str> {
        self.admitted.get()?.identity.as_deref()
    }

    /// Fields that tell the upstream of who calls.
    pub(crate) fn passed(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let admitted = self.admitted.get();
        let passed = admitted.into_iter().flat_map(|admitted| &admitted.passed);
        passed.map(|(name, value)| (*name, &**value))
    }

    /// Finds out who calls, if the route wants to know, or refuses.
    pub(crate) async fn identify(
        &self,
        route: &'a Route,
        path: &[u8],
        worker: &Worker,
    ) -> Result<(), Refusal> {
        if route.is_open() {
            return Ok(());
        }
        let claims = Claims {
            address: self.client_address(),
            field: &|name| self.only_field(name),
            certificate: self.certificate,
            asked: Asked {
                method: self.request.method(),
                path,
                query: self.request.query(),
                host: self.request.host().unwrap_or_default(),
                scheme: if self.secure { b"https" } else { b"http" },
            },
        };
        // In a box: few routes ask.
        let admitted = Box::pin(route.admit(&claims, worker)).await;
        let admitted = admitted.map_err(|denied| Refusal::denied(&denied))?;
        self.admitted.get_or_init(|| Box::new(admitted));
        Ok(())
    }

    /// The call as policies see it.
    pub(crate) fn call<'c>(
        &self,
        route: &'c Route,
        keys: &'c CallKeys<'_>,
        arrived: Time,
        seed: u64,
    ) -> Call<'c> {
        Call {
            method: &route.settings.name,
            arrived,
            deadline: self.told.timeout.map(|timeout| arrived + timeout),
            idempotent: self.idempotent,
            cost: 1,
            priority: route.settings.priority,
            attempt_above: self.attempt_above,
            keys,
            seed,
        }
    }

    /// The client's own address: the peer's, or, as far as peers are trusted, what they say of it.
    /// The list is read from the right: only what a trusted hop wrote can be believed.
    pub(crate) fn client_address(&self) -> Option<IpAddr> {
        if !self.trusted {
            return self.peer;
        }
        let mut client = self.peer;
        let lines = self.request.fields().filter(|field| field.kind == Name::XForwardedFor);
        let hops: Vec<&[u8]> =
            lines.flat_map(|field| field.value.split(|byte| *byte == b',')).collect();
        for hop in hops.iter().rev() {
            let Some(address) = parse_address(hop) else { break };
            client = Some(address);
            if !self.listener.trusts(client) {
                break;
            }
        }
        client
    }

    /// What an upstream is told of whose its connection is: the client's, as far as that is known, and to us.
    pub(crate) fn whose(&self) -> Header {
        let Some(client) = self.client_address() else { return Header::Unknown };
        let port = if self.peer == Some(client) { self.peer_port } else { 0 };
        let anywhere = match client {
            IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let server = self.stream.borrow().local().unwrap_or(anywhere);
        Header::Addresses(Addresses { client: (client, port).into(), server })
    }

    /// Bytes of the request's body that have arrived.
    pub(crate) fn received(&self) -> u64 {
        self.upload.borrow().received()
    }

    /// Whether the client closed its connection while it waits. One that only says that it will
    /// send no more is taken as gone too, as common servers do: most that do so are.
    pub(crate) fn has_left(&self, cx: &mut Context<'_>) -> bool {
        if self.pipelined.get() || !self.upload.borrow().is_done() {
            return false;
        }
        match self.stream.borrow_mut().peek(cx) {
            None => false,
            Some(true) => {
                self.pipelined.set(true);
                false
            }
            Some(false) => true,
        }
    }

    /// The whole body, without its framing. How large it may be, the upload knows; `has_room` is asked whether
    /// so many bytes can be held now.
    ///
    /// # Cancel safety
    ///
    /// What was read so far is lost when the future is dropped.
    pub(crate) async fn body(
        &self,
        mut has_room: impl FnMut(usize) -> bool,
    ) -> Result<Vec<u8>, BodyError> {
        self.upload.borrow_mut().unframe();
        let mut body = Vec::new();
        poll_fn(|cx| {
            let mut upload = self.upload.borrow_mut();
            while !upload.is_done() {
                let mut client = self.stream.borrow_mut();
                ready!(upload.poll_read(cx, &mut client, self.alarm, &mut body))?;
                if !has_room(body.len()) {
                    return Poll::Ready(Err(BodyError::NoRoom));
                }
            }
            Poll::Ready(Ok(()))
        })
        .await?;
        Ok(body)
    }

    /// What comes of `work`; `None` if the client leaves before. Then it is given up.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the work up.
    pub(crate) async fn attends<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if self.has_left(cx) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Ready once the client has given up the stream that it asked on. Then there is nothing left to be done for it,
    /// whatever is waited for.
    pub(crate) fn poll_given_up(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.http2 {
            return Poll::Pending;
        }
        // Who has it in hand finds out by itself.
        match self.stream.try_borrow().as_deref() {
            Ok(Stream::Http2(stream)) => stream.poll_lost(cx),
            _ => Poll::Pending,
        }
    }
}

/// Whether the request may be sent twice (RFC 9110 §9.2.2, and the Idempotency-Key draft).
fn is_idempotent(request: &Request<'_>) -> bool {
    request.is_idempotent() || request.get_other(b"idempotency-key").is_some()
}

fn attempt_above(request: &Request<'_>) -> u32 {
    let value = request.get_other(b"x-locum-attempt");
    let value = value.and_then(|value| std::str::from_utf8(value).ok());
    value.and_then(|value| value.parse().ok()).unwrap_or(1).max(1)
}

/// `host:port` without the port; a v6 literal keeps its brackets.
fn without_port(host: &[u8]) -> &[u8] {
    match memchr::memrchr(b':', host) {
        Some(colon) if !host[colon..].contains(&b']') => &host[..colon],
        _ => host,
    }
}

fn parse_address(hop: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(hop).ok()?.trim().parse().ok()
}
