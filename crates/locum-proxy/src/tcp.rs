//! A connection whose bytes are carried as they are, from its client to an endpoint and back. Begin here.
//!
//! To its policy a connection is one call, and to connect is to try it: a connect failure is tried elsewhere, what
//! the call holds is held for as long as the connection lasts, and how that ends is how the call ended.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::Poll;

use locum_policy::{Answer, Call, Cause, End, Key, Keys, run};
use locum_wire::client_hello::{Reader, Unreadable};
use locum_wire::proxy_protocol::{Addresses, Header};

use crate::auth::{Admitted, Asked, Claims};
use crate::client::Client;
use crate::label::Label;
use crate::octets::Octets;
use crate::plan::Plan;
use crate::record::Record;
use crate::route::{Route, Target};
use crate::upstream::pool::ConnectError;
use crate::worker::Worker;

use exchange::{Exchange, Joined};
use pipe::{Pipe, Torn};

mod exchange;
pub(crate) mod pipe;

/// How a connection ended.
pub(crate) struct Told {
    pub(crate) route: Label,
    pub(crate) upstream: Label,
    /// As of calls: `success`, `failure`, `timeout`, `cancelled`, `rejected` or `refused`.
    pub(crate) outcome: &'static str,
    /// `ok`, or in a word what it was.
    pub(crate) code: &'static str,
    /// Bytes from the client, and to it.
    pub(crate) bytes: (u64, u64),
    /// The server that the client named.
    pub(crate) server_name: Option<Box<str>>,
    /// Who it has shown to be.
    pub(crate) identity: Option<Box<str>>,
}

impl Told {
    fn refused(code: &'static str) -> Self {
        Self::by(Label::NONE, "refused", code)
    }

    fn by(route: Label, outcome: &'static str, code: &'static str) -> Self {
        let upstream = Label::NONE;
        Self { route, upstream, outcome, code, bytes: (0, 0), server_name: None, identity: None }
    }
}

/// Whether any route of the client's listener is for connections.
pub(crate) fn is_served(client: &Client, worker: &Worker) -> bool {
    let plan = worker.plan();
    plan.router(client.listener.label).is_some_and(|router| router.carries_connections())
}

/// Carries the connection of `client` to its end.
///
/// # Cancel safety
///
/// Dropping the future closes both connections; what the call holds counts as ignored.
pub(crate) async fn serve(client: &mut Client, worker: &Worker) {
    let plan = worker.plan();
    let record = worker.record(worker.now());
    let told = match server_name(client, &plan, worker).await {
        Ok(name) => {
            let told = carry(client, name.as_deref(), &plan, &record, worker).await;
            Told { server_name: name, ..told }
        }
        Err(Some(why)) => Told::refused(why),
        // It left before it said anything.
        Err(None) => return worker.give_record(record),
    };
    record.end_connection(client, &told, worker);
    worker.give_record(record);
}

/// The server that the client names, where that makes a difference or is known anyway. `Err`: why it is not
/// served, if there is anything to tell.
async fn server_name(
    client: &mut Client,
    plan: &Plan,
    worker: &Worker,
) -> Result<Option<Box<str>>, Option<&'static str>> {
    if client.stream.is_secure() {
        return Ok(client.stream.server_name());
    }
    let router = plan.router(client.listener.label);
    if !router.is_some_and(|router| router.asks_for_server_names()) {
        return Ok(None);
    }
    let mut reader = Reader::default();
    client.alarm.arm_in(client.listener.settings.limits.header_timeout);
    let read = poll_fn(|cx| {
        let Client { stream, buffer, alarm, .. } = &mut *client;
        loop {
            match reader.read(buffer.filled()) {
                Ok(Some(hello)) => return Poll::Ready(Ok(hello.server_name)),
                Ok(None) => {}
                Err(Unreadable::NotTls) => return Poll::Ready(Ok(None)),
                Err(Unreadable::Malformed) => return Poll::Ready(Err(Some("malformed"))),
                Err(Unreadable::TooLong) => return Poll::Ready(Err(Some("too_large"))),
            }
            match buffer.poll_fill(cx, stream) {
                Poll::Ready(Ok(0) | Err(_)) if buffer.is_empty() => return Poll::Ready(Err(None)),
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Some("malformed"))),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending if worker.closes_idle() => return Poll::Ready(Err(None)),
                Poll::Pending => return alarm.poll(cx).map(|()| Err(Some("timeout"))),
            }
        }
    })
    .await;
    client.alarm.disarm();
    read
}

/// Connects where the connection is to go, and carries its bytes until it ends.
async fn carry(
    client: &mut Client,
    server_name: Option<&str>,
    plan: &Plan,
    record: &Record,
    worker: &Worker,
) -> Told {
    let router = plan.router(client.listener.label);
    let Some(route) = router.and_then(|router| router.find_connection(server_name)) else {
        return Told::refused("no_route");
    };
    let Target::Forward(split) = &route.target else { return Told::refused("no_route") };
    let (address, certificate) = (client.peer_ip(), client.certificate.clone());
    let host = server_name.unwrap_or_default();
    let admitted = match admit(address, certificate.as_deref(), host, route, worker).await {
        Ok(admitted) => admitted,
        Err(reason) => return Told { route: route.label, ..Told::refused(reason) },
    };
    let identity = admitted.identity.as_deref();
    let choice = split.choose(worker.random(), worker.now());
    record.under(&choice.policy, choice.label, worker.number_call());
    let keys = ConnectionKeys::new(client, &route.settings.name, identity);
    let seed = worker.call_seed(record.number());
    let whose = whose(client);
    let exchange = Exchange {
        choice,
        whose: &whose,
        worker,
        keys: &keys,
        record,
        seed,
        picks: Cell::new(0),
        under_way: Cell::new(0),
    };
    let call = Call {
        method: &route.settings.name,
        arrived: record.started(),
        deadline: None,
        // Nothing has been said when it is tried again.
        idempotent: true,
        cost: 1,
        priority: route.settings.priority,
        attempt_above: 1,
        keys: &keys,
        seed,
    };
    let Answer { end, held, .. } =
        run(&choice.policy, &call, &worker.clock, &exchange, record).await;
    let (cause, outcome, code, bytes) = match end {
        End::Ended(_, Ok(joined)) => pipe(client, joined).await,
        End::Ended(cause, Err(error)) => {
            tracing::debug!(upstream = choice.upstream.settings.name, %error, "no connection");
            (cause, "failure", code_of(&error), (0, 0))
        }
        End::TimedOut => (Cause::Timeout, "timeout", "timeout", (0, 0)),
        End::Rejected(_) => (Cause::Unavailable, "rejected", "rejected", (0, 0)),
        End::Unavailable => (Cause::Unavailable, "failure", "unavailable", (0, 0)),
    };
    held.settle(cause, worker.now(), record);
    let told = Told::by(route.label, outcome, code);
    Told { upstream: choice.upstream.label, bytes, identity: identity.map(Box::from), ..told }
}

/// Who it is, or why it may not connect.
async fn admit<'a>(
    address: Option<IpAddr>,
    certificate: Option<&'a str>,
    host: &str,
    route: &'a Route,
    worker: &Worker,
) -> Result<Admitted<'a>, &'static str> {
    if route.is_open() {
        return Ok(Admitted::default());
    }
    let asked =
        Asked { method: b"CONNECT", path: b"", query: None, host: host.as_bytes(), scheme: b"" };
    let claims = Claims { address, field: &|_| None, certificate, asked };
    // In a box: few routes ask.
    Box::pin(route.admit(&claims, worker)).await.map_err(|_| "unauthorized")
}

/// What an upstream is told of whose its connection is.
fn whose(client: &Client) -> Header {
    let Some(peer) = client.peer else { return Header::Unknown };
    let anywhere = match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let server = client.stream.local().unwrap_or(anywhere);
    let client = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    Header::Addresses(Addresses { client, server })
}

/// Carries bytes until both sides are done or one of them fails.
async fn pipe(
    client: &mut Client,
    joined: Joined,
) -> (Cause, &'static str, &'static str, (u64, u64)) {
    let Joined { mut connection, _in_flight } = joined;
    let idle = client.listener.settings.limits.idle;
    let Client { stream, buffer, alarm, .. } = client;
    let mut pipe = Pipe::between(stream, buffer, &mut connection);
    let ended = pipe.run(alarm, idle).await;
    let bytes = pipe.bytes();
    // Nobody may take what was cut for the whole.
    let (cause, outcome, code) = match ended {
        Ok(()) => (Cause::Reply, "success", "ok"),
        Err(Torn::Idle) => (Cause::Cancelled, "timeout", "idle"),
        Err(Torn::ByUpstream) => {
            stream.reset_on_close();
            (Cause::Reset, "failure", "reset")
        }
        Err(Torn::ByClient) => {
            connection.stream.reset_on_close();
            (Cause::Cancelled, "cancelled", "reset")
        }
    };
    (cause, outcome, code, bytes)
}

fn code_of(error: &ConnectError) -> &'static str {
    match error {
        ConnectError::Failed(_) => "connect",
        ConnectError::Handshake(_) => "tls",
        ConnectError::TimedOut => "connect_timeout",
    }
}

/// The values that limits tell connections apart by.
struct ConnectionKeys<'a> {
    address: Octets,
    route: &'a str,
    identity: Option<&'a str>,
}

impl<'a> ConnectionKeys<'a> {
    fn new(client: &Client, route: &'a str, identity: Option<&'a str>) -> Self {
        let address = Octets::of(client.peer_ip());
        Self { address, route, identity }
    }
}

impl Keys for ConnectionKeys<'_> {
    fn key(&self, part: &Key) -> Option<&[u8]> {
        match part {
            Key::ClientIp => Some(self.address.bytes()),
            Key::Route => Some(self.route.as_bytes()),
            Key::Identity => self.identity.map(str::as_bytes),
            Key::Header(_) | Key::Method => None,
        }
    }
}
