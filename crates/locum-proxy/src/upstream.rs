//! Where calls go: the endpoints of one service, and which is taken next.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use locum_policy::balance::{Ask, Balancer, Ejection, Seen};
use locum_policy::gates::breaker::{Per, Watch};
use locum_policy::{Bound, Policy, Time};

use locum_wire::rpc;
use rustls::ClientConfig;

use crate::label::Label;
use crate::plan::Error;
use crate::rpc::methods::Methods;
use crate::tls::{self, Alpn, Connector};

pub use locum_policy::balance::Balance;
pub use locum_wire::gob::Declared as TypeSettings;

use view::View;

pub(crate) mod pool;
pub(crate) mod sticky;
mod view;

/// One upstream as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// Its endpoints; at least one.
    pub endpoints: Vec<EndpointSettings>,
    /// What they speak.
    pub protocol: Protocol,
    /// Whom they are believed to be over TLS, if they speak that.
    pub tls: Option<tls::ClientSettings>,
    /// Whether endpoints that speak gob are told of calls that are given up, by a call of `_goRPC_.Cancel`: a stock
    /// Go server knows no such method, says so, and no harm is done.
    pub cancel: bool,
    /// Types of their methods that neither JSON nor a call has told, by `Service.Method`.
    pub types: Vec<(String, MethodTypes)>,
    /// Which endpoint the next attempt takes.
    pub balance: Balance,
    /// The share of its endpoints that may be ejected at once, from 0 to 1.
    pub max_ejected: f64,
    /// How connections are kept.
    pub pool: PoolSettings,
    /// A policy run for each endpoint, inside the retries.
    pub endpoint_policy: Option<String>,
}

impl Settings {
    fn alpn(&self) -> Alpn {
        if self.protocol == Protocol::Http1 { Alpn::Http } else { Alpn::None }
    }
}

/// What the endpoints of an upstream speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
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
}

impl Protocol {
    /// As the configuration has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Gob => "gob",
            Self::GobHttp => "gob-http",
            Self::JsonRpc => "json-rpc",
            Self::JsonRpc2 => "json-rpc2",
            Self::Native => "native",
        }
    }

    /// The protocol of remote calls that it is, if it is one.
    pub fn rpc(self) -> Option<rpc::Protocol> {
        match self {
            Self::Http1 => None,
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
    /// As written, `host:port`: its name in metrics and logs, and the Host of `host = "upstream"`.
    pub name: String,
    /// Where it is.
    pub address: SocketAddr,
    /// How much of the load it takes beside the others, from 1 to 1000.
    pub weight: u32,
    /// Where it stands, for people to read.
    pub zone: Option<String>,
}

/// How connections to an upstream are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolSettings {
    /// Idle connections that one worker keeps to one endpoint.
    pub idle_per_worker: usize,
    /// Connections of one worker to one endpoint that carry many remote calls at once.
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

/// An upstream of a running plan.
pub struct Upstream {
    /// What it was built from.
    pub settings: Settings,
    /// Its endpoints, in the order of the file.
    pub endpoints: Vec<Arc<Endpoint>>,
    pub(crate) label: Label,
    tls: Option<Arc<ClientConfig>>,
    /// The policy of each endpoint, in the same order; empty without one.
    guards: Vec<Bound>,
    /// The breakers of these, likewise.
    watches: Vec<Watch>,
    balancer: Balancer,
    ejection: Ejection,
    /// How often an endpoint was chosen as if none were ejected. Counted on over reloads.
    panics: Arc<AtomicU64>,
    /// What is known of its methods. Kept over reloads.
    pub(crate) methods: Arc<Methods>,
}

/// One endpoint of a running plan; it outlives reloads that do not touch it.
pub struct Endpoint {
    /// What it was built from.
    pub settings: EndpointSettings,
    pub(crate) label: Label,
    /// How it is spoken to under TLS, if it is.
    pub(crate) tls: Option<Connector>,
    /// Unique in the process: what pools go by.
    pub(crate) uid: u32,
    in_flight: AtomicU32,
    /// Connections held by all workers, in use or idle.
    pub(crate) open: AtomicU32,
}

impl Endpoint {
    fn new(settings: &EndpointSettings, tls: Option<Connector>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self {
            settings: settings.clone(),
            label: Label::of(&settings.name),
            tls,
            uid: NEXT.fetch_add(1, Ordering::Relaxed),
            in_flight: AtomicU32::new(0),
            open: AtomicU32::new(0),
        }
    }

    /// Attempts under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Connections over all workers, in use and idle.
    pub fn connections(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Counts an attempt until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }
}

/// One attempt under way at an endpoint.
pub(crate) struct InFlight(Arc<Endpoint>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Upstream {
    pub(crate) fn build(
        settings: &Settings,
        guard: Option<&Arc<Policy>>,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, Error> {
        if settings.endpoints.is_empty() {
            return Err(Error::new(
                format!("upstreams.{}.endpoints", settings.name),
                "the list is empty, so no call could go anywhere",
                "name at least one \"host:port\"",
            ));
        }
        // What its connections are like; those of another kind cannot be taken over, nor tickets with them.
        let alike = previous.filter(|previous| {
            previous.settings.tls == settings.tls && previous.settings.alpn() == settings.alpn()
        });
        let path = format!("upstreams.{}.tls", settings.name);
        let tls = match (&settings.tls, alike) {
            (_, Some(alike)) => alike.tls.clone(),
            (None, None) => None,
            (Some(tls), None) => Some(tls.build(settings.alpn(), &path)?),
        };
        let endpoint = |wanted: &EndpointSettings| {
            let kept = alike.and_then(|previous| {
                previous.endpoints.iter().find(|endpoint| endpoint.settings == *wanted)
            });
            if let Some(kept) = kept {
                return Ok(Arc::clone(kept));
            }
            let connector = settings.tls.as_ref().zip(tls.as_ref());
            let connector =
                connector.map(|(settings, config)| settings.connector(config, &wanted.name, &path));
            Ok(Arc::new(Endpoint::new(wanted, connector.transpose()?)))
        };
        let endpoints = settings.endpoints.iter().map(endpoint).collect::<Result<_, Error>>()?;
        let guards = guard.map_or_else(Vec::new, |policy| {
            settings.endpoints.iter().map(|endpoint| policy.bind(&endpoint.name)).collect()
        });
        let watches = guard.map_or_else(Vec::new, |policy| {
            let of = |endpoint: &EndpointSettings| {
                policy.watch(&endpoint.name, &[Per::Upstream, Per::Endpoint])
            };
            settings.endpoints.iter().filter_map(of).collect()
        });
        let ejection = Ejection::new(settings.max_ejected).map_err(|error| {
            let path = format!("upstreams.{}.{}", settings.name, error.path);
            Error::new(path, error.reason, error.remedy)
        })?;
        let (names, weights): (Vec<_>, Vec<_>) =
            settings.endpoints.iter().map(|endpoint| (&endpoint.name, endpoint.weight)).unzip();
        let balancer = Balancer::new(&settings.balance, &names, &weights);
        if let Some(previous) = previous {
            balancer.inherit(&previous.balancer);
        }
        Ok(Arc::new(Self {
            settings: settings.clone(),
            label: Label::of(&settings.name),
            endpoints,
            tls,
            guards,
            watches,
            balancer,
            ejection,
            methods: Methods::build(&settings.types, previous.map(|previous| &previous.methods))
                .map_err(|error| Error {
                    path: format!("upstreams.{}.types.{}", settings.name, error.path),
                    ..error
                })?,
            panics: previous.map(|previous| Arc::clone(&previous.panics)).unwrap_or_default(),
        }))
    }

    /// The next endpoint, by its place in the list. `watches` are breakers of the route's policy, in
    /// the order of the list, where each endpoint has one there.
    pub(crate) fn pick(&self, watches: &[Watch], ask: &Ask<'_>) -> Option<u32> {
        let view = View::new(self, watches, ask.now);
        if view.panics() {
            self.panics.fetch_add(1, Ordering::Relaxed);
        }
        self.balancer.pick(&view, ask)
    }

    /// Whether so many endpoints are ejected that all are used.
    pub(crate) fn panics(&self, watches: &[Watch], now: Time) -> bool {
        View::new(self, watches, now).panics()
    }

    /// An attempt at an endpoint has ended.
    pub(crate) fn observe(&self, index: u32, took: Duration, seen: Seen, now: Time) {
        self.balancer.observe(index, took, seen, now);
    }

    /// How often an endpoint was chosen as if none were ejected.
    pub fn panicked(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// The time that an answer of an endpoint is expected to take, where `balance` follows it and one
    /// was seen.
    pub fn expected(&self, index: u32, now: Time) -> Option<Duration> {
        self.balancer.expected(index, now)
    }

    pub(crate) fn guard(&self, index: u32) -> Option<&Bound> {
        self.guards.get(index as usize)
    }
}
