//! How a channel is made.

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use locum_policy::balance::Balance;
use locum_wire::rpc::{Limits, Metadata, Protocol};
use tokio::sync::Notify;

use super::backoff::Backoff;
use super::connection;
use super::dial::{Address, Connector, Dialer};
use super::drive::KeepaliveSettings;
use super::endpoints::EndpointSettings;
use super::link::LinkSettings;
use super::policy::Engine;
use super::pool::{Pool, PoolSettings};
use super::resolve::Resolver;
use super::target::{Place, Target};
use super::{BuildError, Channel};
use crate::Policy;
use crate::transport::Io;
#[cfg(feature = "tls")]
use crate::transport::tls;

/// Says how a [`Channel`], or a proxy that calls through one, goes about its calls.
///
/// What is said wrongly is told by [`build`](Self::build).
#[must_use]
pub struct Builder<P = Channel> {
    url: String,
    endpoints: Vec<String>,
    policy: Option<Policy>,
    timeout: Option<Duration>,
    fail_fast: bool,
    cancel: bool,
    connections: usize,
    balance: String,
    #[cfg(feature = "tls")]
    tls: Option<tls::ClientSettings>,
    metadata: Vec<(String, String)>,
    connect_timeout: Duration,
    backoff: Backoff,
    keepalive: Option<KeepaliveSettings>,
    dns_refresh: Duration,
    max_in_flight: usize,
    limits: Limits,
    connector: Option<Connector>,
    seed: u64,
    builds: PhantomData<fn() -> P>,
}

impl<P> Builder<P> {
    /// A channel to what `url` says: a protocol, and one or several endpoints.
    ///
    /// | scheme | protocol |
    /// |---|---|
    /// | `gob://` | Go's net/rpc |
    /// | `gob-http://` | the same behind a `CONNECT`, as Go's `rpc.DialHTTP` makes it |
    /// | `json-rpc://` | JSON-RPC 1.0, as Go's net/rpc/jsonrpc has it |
    /// | `json-rpc2://` | JSON-RPC 2.0, one value after the other on a stream |
    /// | `native://`, `tcp://` | Locum's own |
    ///
    /// After the protocol may stand `+tls`, or `+unix` with the path of a socket in place of hosts:
    /// `gob+tls://arith.example:1234`, `native+unix:///run/arith.sock`. Several hosts are separated by
    /// commas: `gob://10.0.0.1:1234,10.0.0.2:1234`. A name with several addresses is as many endpoints.
    pub fn new(url: impl Into<String>) -> Self {
        let url = url.into();
        let seed = RandomState::new().hash_one(&url);
        Self {
            url,
            endpoints: Vec::new(),
            policy: None,
            timeout: None,
            fail_fast: false,
            cancel: false,
            connections: 1,
            balance: Balance::default().to_string(),
            #[cfg(feature = "tls")]
            tls: None,
            metadata: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            backoff: Backoff::default(),
            keepalive: Some(KeepaliveSettings {
                interval: Duration::from_secs(30),
                timeout: Duration::from_secs(10),
            }),
            dns_refresh: Duration::from_secs(30),
            max_in_flight: 16 << 10,
            limits: Limits::default(),
            connector: None,
            seed,
            builds: PhantomData,
        }
    }

    /// One more endpoint, as it would stand in the URL: `host:port`, or a path where that names Unix
    /// sockets.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoints.push(endpoint.into());
        self
    }

    /// The policy that calls are made under.
    pub fn policy(self, policy: impl Into<Option<Policy>>) -> Self {
        Self { policy: policy.into(), ..self }
    }

    /// How long a call may take whose context has no earlier deadline: 10 s, unless the policy gives it
    /// another time. Too small cuts calls that would have been answered; too large, and a lost peer holds
    /// up its callers.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// Whether a call fails once all endpoints were tried and none could be connected to; otherwise, as by
    /// default, it waits for one of them to come back, within its time. A policy's calls fail so anyway,
    /// as often as it has them tried.
    pub fn fail_fast(self, fail_fast: bool) -> Self {
        Self { fail_fast, ..self }
    }

    /// Whether a net/rpc server is told of calls that are given up, by a call of `_goRPC_.Cancel`. Not
    /// unless it is said: a stock Go server knows no such method, and answers that. Over the native
    /// protocol the peer is always told.
    pub fn cancel(self, cancel: bool) -> Self {
        Self { cancel, ..self }
    }

    /// Connections to each endpoint: 1. More help where one core cannot carry all calls of one
    /// connection, or large messages hold up small ones.
    pub fn connections(self, connections: usize) -> Self {
        Self { connections, ..self }
    }

    /// How calls are spread over endpoints, in the words of the configuration: `round-robin` (unless it
    /// is said), `random`, `least-request`, `peak-ewma`.
    pub fn balance(self, balance: &str) -> Self {
        Self { balance: balance.to_owned(), ..self }
    }

    /// Goes over TLS, and whom it believes; with `+tls` in the URL and without this, the authorities that
    /// the system believes.
    #[cfg(feature = "tls")]
    pub fn tls(self, settings: tls::ClientSettings) -> Self {
        Self { tls: Some(settings), ..self }
    }

    /// Shows this token with every call, as `authorization: Bearer …`. Only the native protocol can.
    pub fn bearer(self, token: &str) -> Self {
        self.metadata("authorization", &format!("Bearer {token}"))
    }

    /// A name and a value that travel with every call. Only the native protocol carries them.
    pub fn metadata(mut self, name: &str, value: &str) -> Self {
        self.metadata.push((name.to_owned(), value.to_owned()));
        self
    }

    /// How long making a connection may take, with all that comes before the first call: 5 s.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        Self { connect_timeout: timeout, ..self }
    }

    /// The waits between tries to connect: anything up to `base` (50 ms) after the first failure, up to
    /// twice that after the next, and so on up to `cap` (5 s).
    pub fn backoff(self, base: Duration, cap: Duration) -> Self {
        Self { backoff: Backoff { base, cap }, ..self }
    }

    /// A peer that has been silent for `interval` (30 s) is asked whether it is there, and given up if it
    /// says nothing for another `timeout` (10 s). Where the protocol has no such question, TCP asks.
    pub fn keepalive(self, interval: Duration, timeout: Duration) -> Self {
        Self { keepalive: Some(KeepaliveSettings { interval, timeout }), ..self }
    }

    /// How often names of hosts are looked up again: every 30 s, besides whenever a connection is lost;
    /// never more than once a second.
    pub fn dns_refresh(self, interval: Duration) -> Self {
        Self { dns_refresh: interval, ..self }
    }

    /// Calls in flight on one connection: 16384. What comes beyond waits, within its time.
    pub fn max_in_flight(self, calls: usize) -> Self {
        Self { max_in_flight: calls, ..self }
    }

    /// Bytes of one message, either way: 16 MiB.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.limits.message = bytes;
        self
    }

    /// What is taken of what a peer sends.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Makes connections by `connect`, which is told the endpoint as it is written, in place of the
    /// system's sockets: for tests, and for ways that the library does not know. Names are not looked up.
    pub fn connector<F, C>(mut self, connect: F) -> Self
    where
        F: Fn(&str) -> C + Send + Sync + 'static,
        C: Future<Output = io::Result<Io>> + Send + 'static,
    {
        self.connector = Some(Arc::new(move |endpoint: &str| Box::pin(connect(endpoint))));
        self
    }

    /// What every random choice follows from.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

impl<P: From<Channel>> Builder<P> {
    /// Makes it. Nothing is connected before the first call, so this may be done anywhere; calls are
    /// made within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// What was said does not make sense; in particular the URL.
    pub fn build(self) -> Result<P, BuildError> {
        let mut target = Target::parse(&self.url)?;
        for endpoint in &self.endpoints {
            let place = match target.places.first() {
                Some(Place::Unix(_)) => Place::Unix(endpoint.into()),
                _ => Place::tcp(endpoint).map_err(|why| BuildError::new(endpoint, why))?,
            };
            target.places.push(place);
        }
        self.check(&target)?;
        let mut metadata = Vec::new();
        Metadata::encode(&self.metadata, &mut metadata);
        let balance = self.parse_balance()?;
        let lost = Arc::new(Notify::new());
        let connection = connection::Settings {
            protocol: target.protocol,
            cancel: self.cancel || target.protocol == Protocol::Native,
            max_in_flight: self.max_in_flight,
            max_message: self.limits.message,
        };
        let dialer = Dialer {
            tunnel: target.connect,
            #[cfg(feature = "tls")]
            tls: self.client_tls(target.tls)?,
            connect_timeout: self.connect_timeout,
            tcp_keepalive: self.keepalive.map(|keepalive| keepalive.interval),
            connector: self.connector,
        };
        let named = dialer.connector.is_some();
        let link = LinkSettings {
            dialer,
            connection,
            limits: self.limits,
            backoff: self.backoff,
            keepalive: self.keepalive.filter(|_| target.protocol == Protocol::Native),
            lost: Arc::clone(&lost),
        };
        let names: Vec<_> = target.places.iter().map(Place::to_string).collect();
        let engine = self.policy.map(|policy| Engine::new(policy, &names.join(",")));
        let endpoints = EndpointSettings {
            balance,
            connections: self.connections,
            link: Arc::new(link),
            policy: engine.as_ref().map(|engine| engine.policy().clone()),
            seed: self.seed,
        };
        let settings = PoolSettings {
            endpoints,
            engine,
            timeout: self.timeout.unwrap_or(TIMEOUT),
            timeout_is_set: self.timeout.is_some(),
            fail_fast: self.fail_fast,
            metadata,
        };
        let (addresses, resolver) = if named {
            (names.into_iter().map(Address::Named).collect(), None)
        } else {
            let fixed: Option<Vec<_>> = target.places.iter().map(Place::fixed).collect();
            match fixed {
                Some(addresses) => (addresses, None),
                None => (Vec::new(), Some(Resolver::new(target.places, self.dns_refresh, lost))),
            }
        };
        Ok(Channel(Arc::new(Pool::new(settings, addresses, resolver))).into())
    }

    fn check(&self, target: &Target) -> Result<(), BuildError> {
        if !self.metadata.is_empty() && target.protocol != Protocol::Native {
            let reason = "only the native protocol carries metadata and tokens; use native://";
            return Err(BuildError::new(&self.url, reason));
        }
        if cfg!(not(feature = "tls")) && target.tls {
            let reason = "this build has no TLS; enable the feature `tls`";
            return Err(BuildError::new(&self.url, reason));
        }
        let numbers = [
            ("connections", self.connections),
            ("max_in_flight", self.max_in_flight),
            ("max_message", self.limits.message),
        ];
        for (name, number) in numbers {
            if number == 0 {
                return Err(BuildError::new(name, "with 0 no call could be made; use at least 1"));
            }
        }
        let times = [
            ("timeout", self.timeout.unwrap_or(TIMEOUT)),
            ("connect_timeout", self.connect_timeout),
        ];
        for (name, time) in times {
            if time.is_zero() {
                return Err(BuildError::new(name, "no call could be made in no time"));
            }
        }
        Ok(())
    }

    fn parse_balance(&self) -> Result<Balance, BuildError> {
        let balance = self.balance.parse::<Balance>();
        match balance.map_err(|error| BuildError::new(&self.balance, error.to_string()))? {
            Balance::Hash(_) | Balance::Sticky(_) => Err(BuildError::new(
                &self.balance,
                "it goes by what a proxy's clients send; use round-robin, random, least-request or \
                 peak-ewma",
            )),
            balance => Ok(balance),
        }
    }

    #[cfg(feature = "tls")]
    fn client_tls(&self, wanted: bool) -> Result<Option<tls::ClientSettings>, BuildError> {
        match &self.tls {
            Some(settings) => Ok(Some(settings.clone())),
            None if wanted => tls::ClientSettings::new()
                .map(Some)
                .map_err(|error| BuildError::new(&self.url, error.to_string())),
            None => Ok(None),
        }
    }
}

/// What is secret is not shown.
impl<P> fmt::Debug for Builder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("url", &self.url)
            .field("endpoints", &self.endpoints)
            .field("policy", &self.policy.as_ref().map(Policy::name))
            .finish_non_exhaustive()
    }
}

const TIMEOUT: Duration = Duration::from_secs(10);
