//! Where calls go: the endpoints of one service, and which is taken next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use locum_policy::balance::{Ask, Balancer, Ejection, Seen};
use locum_policy::gates::breaker::{Per, Watch};
use locum_policy::{Bound, Policy, Time};
use rustc_hash::FxHashMap;
use rustls::ClientConfig;

use crate::clock;
use crate::label::Label;
use crate::plan::Error;
use crate::roster::Roster;
use crate::rpc::methods::Methods;

pub use locum_policy::balance::Balance;
pub use locum_wire::gob::Declared as TypeSettings;
pub use locum_wire::proxy_protocol::Version as ProxyProtocol;

use discover::Discovery;
pub use endpoint::Endpoint;
pub(crate) use endpoint::InFlight;
pub use settings::{Address, EndpointSettings, MethodTypes, PoolSettings, Protocol, Settings};
use view::{Sparing, View};
use zones::Zones;

pub mod discover;
mod endpoint;
pub mod health;
pub(crate) mod pool;
mod settings;
pub(crate) mod sticky;
mod view;
mod zones;

/// An upstream of a running plan.
pub struct Upstream {
    /// What it was built from.
    pub settings: Settings,
    /// Those of its endpoints that are used, in the order of the list.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// All of them.
    pub listed: Vec<Listed>,
    pub(crate) label: Label,
    /// Which of those that are used are near, if it is only some.
    zones: Option<Zones>,
    tls: Option<Arc<ClientConfig>>,
    /// The policy of each endpoint, in the same order; empty without one.
    guards: Vec<Bound>,
    /// The breakers of these, likewise.
    watches: Vec<Watch>,
    balancer: Balancer,
    ejection: Ejection,
    /// Whether anything could eject an endpoint, whatever the route.
    ejects: bool,
    /// How look-ups of its endpoints went. Kept for as long as they are the same.
    pub(crate) discovery: Discovery,
    /// How often an endpoint was chosen as if none were ejected. Counted on over reloads.
    panics: Arc<AtomicU64>,
    /// How many calls went to another upstream. Likewise.
    failovers: Arc<AtomicU64>,
    /// What is known of its methods. Kept over reloads.
    pub(crate) methods: Arc<Methods>,
}

/// An endpoint in the list of its upstream.
pub struct Listed {
    /// What the list says of it.
    pub settings: EndpointSettings,
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its place among those that are used; `None`: it was taken out.
    pub place: Option<u32>,
}

impl Upstream {
    pub(crate) fn build(
        settings: &Settings,
        roster: &Roster,
        zone: Option<&str>,
        guard: Option<&Arc<Policy>>,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, Error> {
        if settings.endpoints.is_empty() && settings.discover.is_none() {
            return Err(Error::new(
                format!("upstreams.{}.endpoints", settings.name),
                "the list is empty, so no call could go anywhere",
                "name at least one \"host:port\"",
            ));
        }
        // What its connections are like; those of another kind cannot be taken over, nor tickets with them.
        let alike = previous.filter(|previous| {
            previous.settings.tls == settings.tls
                && previous.settings.alpn() == settings.alpn()
                && previous.settings.proxy_protocol == settings.proxy_protocol
        });
        let path = format!("upstreams.{}.tls", settings.name);
        let tls = match (&settings.tls, alike) {
            (_, Some(alike)) => alike.tls.clone(),
            (None, None) => None,
            (Some(tls), None) => Some(tls.build(settings.alpn(), &path)?),
        };
        // One that comes to others is new; those that come together are as new as each other.
        let joins = previous.is_some_and(|previous| !previous.listed.is_empty());
        let usable_since = if joins { clock::now() } else { Time::ZERO };
        let before = alike.map_or(&[][..], |previous| &previous.listed);
        // Of several that are the same the first stays.
        let before: FxHashMap<_, _> =
            before.iter().rev().map(|listed| (listed.endpoint.identity(), listed)).collect();
        let endpoint = |wanted: &EndpointSettings| {
            if let Some(kept) = before.get(&wanted.identity()) {
                return Ok(Arc::clone(&kept.endpoint));
            }
            let connector = settings.tls.as_ref().zip(tls.as_ref());
            let host = wanted
                .host
                .as_deref()
                .unwrap_or_else(|| endpoint::host(&wanted.address, &wanted.name));
            let connector =
                connector.map(|(settings, config)| settings.connector(config, host, &path));
            Ok(Arc::new(Endpoint::new(
                wanted,
                connector.transpose()?,
                settings.proxy_protocol,
                usable_since,
            )))
        };
        let list = match settings.discover {
            Some(_) => roster.found(&settings.name).map_or(&[][..], Vec::as_slice),
            None => &settings.endpoints,
        };
        let mut endpoints = Vec::with_capacity(list.len());
        let mut listed = Vec::with_capacity(list.len());
        for wanted in list {
            let endpoint = endpoint(wanted)?;
            let place = match roster.is_drained(&settings.name, &wanted.name) {
                true => None,
                false => u32::try_from(endpoints.len()).ok(),
            };
            endpoints.extend(place.map(|_| Arc::clone(&endpoint)));
            listed.push(Listed { settings: wanted.clone(), endpoint, place });
        }
        let used =
            || listed.iter().filter(|listed| listed.place.is_some()).map(|listed| &listed.settings);
        let guards = guard.map_or_else(Vec::new, |policy| {
            used().map(|endpoint| policy.bind(&endpoint.name)).collect()
        });
        let watches: Vec<_> = guard.map_or_else(Vec::new, |policy| {
            let of = |endpoint: &EndpointSettings| {
                policy.watch(&endpoint.name, &[Per::Upstream, Per::Endpoint])
            };
            used().filter_map(of).collect()
        });
        let ejection = Ejection::new(settings.max_ejected).map_err(|error| {
            let path = format!("upstreams.{}.{}", settings.name, error.path);
            Error::new(path, error.reason, error.remedy)
        })?;
        let (names, weights): (Vec<_>, Vec<_>) =
            used().map(|endpoint| (&endpoint.name, endpoint.weight)).unzip();
        let zones = Zones::of(used(), zone);
        let balancer = Balancer::new(&settings.balance, &names, &weights);
        if let Some(previous) = previous {
            balancer.inherit(&previous.balancer);
        }
        Ok(Arc::new(Self {
            settings: settings.clone(),
            label: Label::of(&settings.name),
            endpoints,
            listed,
            zones,
            tls,
            ejects: settings.health.is_some() || !watches.is_empty(),
            guards,
            watches,
            balancer,
            ejection,
            methods: Methods::build(&settings.types, previous.map(|previous| &previous.methods))
                .map_err(|error| Error {
                    path: format!("upstreams.{}.types.{}", settings.name, error.path),
                    ..error
                })?,
            discovery: previous
                .filter(|previous| previous.settings.discover == settings.discover)
                .map(|previous| previous.discovery.clone())
                .unwrap_or_default(),
            panics: previous.map(|previous| Arc::clone(&previous.panics)).unwrap_or_default(),
            failovers: previous.map(|previous| Arc::clone(&previous.failovers)).unwrap_or_default(),
        }))
    }

    /// The next endpoint, by its place in the list. `watches` are breakers of the route's policy, in
    /// the order of the list, where each endpoint has one there.
    pub(crate) fn pick(&self, watches: &[Watch], ask: &Ask<'_>) -> Option<u32> {
        let view = View::new(self, watches, ask.now);
        let picked = match self.zones.is_none() && self.settings.slow_start.is_none() {
            true => self.balancer.pick(&view, ask),
            false => self.balancer.pick(&Sparing::new(&view, ask), ask),
        };
        if view.has_panicked() {
            self.panics.fetch_add(1, Ordering::Relaxed);
        }
        picked
    }

    /// Whether any endpoint may be used, as things stand.
    pub(crate) fn is_available(&self, watches: &[Watch], now: Time) -> bool {
        View::new(self, watches, now).is_available()
    }

    /// Whether so many endpoints are ejected that all are used.
    pub(crate) fn panics(&self, watches: &[Watch], now: Time) -> bool {
        View::new(self, watches, now).panics()
    }

    /// Whether its endpoints speak HTTP/2, or may.
    pub(crate) fn speaks_http2(&self) -> bool {
        matches!(self.settings.protocol, Protocol::Http2 | Protocol::Grpc | Protocol::Auto)
    }

    /// Whether the endpoint speaks HTTP/2, or is to say whether it does.
    pub(crate) fn asks_for_http2(&self, endpoint: &Endpoint) -> bool {
        match self.settings.protocol {
            Protocol::Http2 | Protocol::Grpc => true,
            Protocol::Auto => endpoint.tls.is_some() && !endpoint.http1.load(Ordering::Relaxed),
            _ => false,
        }
    }

    /// An attempt at an endpoint has ended.
    pub(crate) fn observe(&self, index: u32, took: Duration, seen: Seen, now: Time) {
        self.balancer.observe(index, took, seen, now);
    }

    /// How often an endpoint was chosen as if none were ejected.
    pub fn panicked(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// A call goes to another upstream.
    pub(crate) fn fail_over(&self) {
        self.failovers.fetch_add(1, Ordering::Relaxed);
    }

    /// How many calls went to another upstream, because this one could not take them.
    pub fn failed_over(&self) -> u64 {
        self.failovers.load(Ordering::Relaxed)
    }

    /// The time that an answer of an endpoint is expected to take, where `balance` follows it and one
    /// was seen.
    pub fn expected(&self, index: u32, now: Time) -> Option<Duration> {
        self.balancer.expected(index, now)
    }

    /// How look-ups of its endpoints went, if it lists none.
    pub fn discovery(&self) -> Option<discover::Status> {
        self.settings.discover.is_some().then(|| self.discovery.status())
    }

    pub(crate) fn guard(&self, index: u32) -> Option<&Bound> {
        self.guards.get(index as usize)
    }
}
