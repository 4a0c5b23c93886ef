//! What upstreams are built from.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use locum_policy::balance::Balance;
use locum_wire::gob::Declared as TypeSettings;
use locum_wire::proxy_protocol;
use locum_wire::rpc;

use super::{discover, health};
use crate::tls::{self, Alpn};

/// One upstream as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// Its endpoints; at least one, unless they are to be found.
    pub endpoints: Vec<EndpointSettings>,
    /// Where its endpoints are found, in place of a list.
    pub discover: Option<discover::Settings>,
    /// What they speak.
    pub protocol: Protocol,
    /// Whom they are believed to be over TLS, if they speak that.
    pub tls: Option<tls::ClientSettings>,
    /// How they are told, first on each connection, for whom it is. Each is for one call then.
    pub proxy_protocol: Option<proxy_protocol::Version>,
    /// Whether endpoints that speak gob are told of calls that are given up, by a call of `_goRPC_.Cancel`: a stock
    /// Go server knows no such method, says so, and no harm is done.
    pub cancel: bool,
    /// Types of their methods that neither JSON nor a call has told, by `Service.Method`.
    pub types: Vec<(String, MethodTypes)>,
    /// Which endpoint the next attempt takes.
    pub balance: Balance,
    /// The share of its endpoints that may be ejected at once, from 0 to 1.
    pub max_ejected: f64,
    /// How long an endpoint that is new, or up again, takes to get its full share of the load; `None`: it
    /// has it at once.
    pub slow_start: Option<Duration>,
    /// The upstream that calls go to while no endpoint of this one may be used.
    pub failover: Option<String>,
    /// How its endpoints are checked, if they are.
    pub health: Option<health::Settings>,
    /// How connections are kept.
    pub pool: PoolSettings,
    /// A policy run for each endpoint, inside the retries.
    pub endpoint_policy: Option<String>,
}

impl Settings {
    /// HTTP/1.1 in the clear, to one endpoint after the other, of which half may be ejected.
    pub fn new(name: &str, endpoints: Vec<EndpointSettings>) -> Self {
        Self {
            name: name.to_owned(),
            endpoints,
            discover: None,
            protocol: Protocol::Http1,
            tls: None,
            proxy_protocol: None,
            cancel: true,
            types: Vec::new(),
            balance: Balance::RoundRobin,
            // With more left out, the rest would have to carry more than twice their load.
            max_ejected: 0.5,
            slow_start: None,
            failover: None,
            health: None,
            pool: PoolSettings::default(),
            endpoint_policy: None,
        }
    }

    pub(super) fn alpn(&self) -> Alpn {
        match self.protocol {
            Protocol::Http1 => Alpn::Http1,
            Protocol::Http2 | Protocol::Grpc => Alpn::Http2,
            Protocol::Auto => Alpn::Http,
            _ => Alpn::None,
        }
    }
}

/// What the endpoints of an upstream speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2, by prior knowledge where there is no TLS.
    Http2,
    /// HTTP/2 where the handshake of TLS agrees on it, else HTTP/1.1.
    Auto,
    /// gRPC, over HTTP/2.
    Grpc,
    /// Go's net/rpc, over gob.
    Gob,
    /// The same, after a `CONNECT`.
    GobHttp,
    /// JSON-RPC 1.0, as Go's net/rpc/jsonrpc has it.
    JsonRpc,
    /// JSON-RPC 2.0.
    JsonRpc2,
    /// Locum's own.
    Native,
    /// Anything: connections are carried as they are.
    Tcp,
}

impl Protocol {
    /// As the configuration has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http2 => "h2",
            Self::Auto => "auto",
            Self::Grpc => "grpc",
            Self::Gob => "gob",
            Self::GobHttp => "gob-http",
            Self::JsonRpc => "json-rpc",
            Self::JsonRpc2 => "json-rpc2",
            Self::Native => "native",
            Self::Tcp => "tcp",
        }
    }

    /// Whether calls share a connection, rather than take turns on many.
    pub fn shares_connections(self) -> bool {
        !matches!(self, Self::Http1 | Self::Tcp)
    }

    /// The protocol of remote calls that it is, if it is one.
    pub fn rpc(self) -> Option<rpc::Protocol> {
        match self {
            Self::Http1 | Self::Http2 | Self::Auto | Self::Grpc | Self::Tcp => None,
            Self::Gob | Self::GobHttp => Some(rpc::Protocol::Gob),
            Self::JsonRpc => Some(rpc::Protocol::Json1),
            Self::JsonRpc2 => Some(rpc::Protocol::Json2),
            Self::Native => Some(rpc::Protocol::Native),
        }
    }
}

/// What is said of a method's types.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MethodTypes {
    /// The argument.
    pub args: Option<TypeSettings>,
    /// What it returns.
    pub reply: Option<TypeSettings>,
}

/// One endpoint as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSettings {
    /// As written, `host:port` or `unix:/path`: its name in metrics and logs.
    pub name: String,
    /// Where it is.
    pub address: Address,
    /// Whom it is believed to be over TLS, where that is not the host of its name.
    pub host: Option<String>,
    /// How much of the load it takes beside the others, from 1 to 1000.
    pub weight: u32,
    /// Where it stands: calls stay in the zone of the proxy as long as enough of that works.
    pub zone: Option<String>,
}

impl EndpointSettings {
    /// As heavy as any other, in no zone.
    pub fn new(name: &str, address: impl Into<Address>) -> Self {
        Self { name: name.to_owned(), address: address.into(), host: None, weight: 1, zone: None }
    }
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// An address of TCP.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

/// How connections to an upstream are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolSettings {
    /// Idle connections that one worker keeps to one endpoint.
    pub idle_per_worker: usize,
    /// Connections of one worker to one endpoint that carry many calls at once.
    pub connections_per_worker: usize,
    /// How long an idle connection is kept. Below the 60 s after which common servers close theirs,
    /// so that we close first and no call meets a dying connection.
    pub idle: Duration,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long an answer's body may make no progress.
    pub read_idle: Duration,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            idle_per_worker: 64,
            connections_per_worker: 4,
            idle: Duration::from_secs(50),
            connect_timeout: Duration::from_secs(1),
            read_idle: Duration::from_secs(30),
        }
    }
}
