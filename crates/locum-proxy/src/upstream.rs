//! Where calls go: the endpoints of one service, and which is taken next.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use locum_policy::{Bound, Policy};

use crate::label::Label;
use crate::plan::Error;

pub use balance::Balance;

mod balance;
pub(crate) mod pool;

/// One upstream as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// Its endpoints; at least one.
    pub endpoints: Vec<EndpointSettings>,
    /// Which endpoint the next attempt takes.
    pub balance: Balance,
    /// How connections are kept.
    pub pool: PoolSettings,
    /// A policy run for each endpoint, inside the retries.
    pub endpoint_policy: Option<String>,
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
    /// The policy of each endpoint, in the same order; empty without one.
    guards: Vec<Bound>,
    balancer: balance::Balancer,
}

/// One endpoint of a running plan; it outlives reloads that do not touch it.
pub struct Endpoint {
    /// What it was built from.
    pub settings: EndpointSettings,
    pub(crate) label: Label,
    /// Unique in the process: what pools go by.
    pub(crate) uid: u32,
    in_flight: AtomicU32,
    /// Connections held by all workers, in use or idle.
    pub(crate) open: AtomicU32,
}

impl Endpoint {
    fn new(settings: &EndpointSettings) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self {
            settings: settings.clone(),
            label: Label::of(&settings.name),
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
        let endpoints = settings.endpoints.iter().map(|wanted| {
            let kept = previous.and_then(|previous| {
                previous.endpoints.iter().find(|endpoint| endpoint.settings == *wanted)
            });
            kept.cloned().unwrap_or_else(|| Arc::new(Endpoint::new(wanted)))
        });
        let guards = guard.map_or_else(Vec::new, |policy| {
            settings.endpoints.iter().map(|endpoint| policy.bind(&endpoint.name)).collect()
        });
        Ok(Arc::new(Self {
            settings: settings.clone(),
            label: Label::of(&settings.name),
            endpoints: endpoints.collect(),
            guards,
            balancer: balance::Balancer::new(settings),
        }))
    }

    /// The next endpoint, one that `tried` does not name if there is one; by its place in the list.
    pub(crate) fn pick(&self, tried: &[u32], random: u64) -> u32 {
        self.balancer.pick(self, tried, random)
    }

    pub(crate) fn guard(&self, index: u32) -> Option<&Bound> {
        self.guards.get(index as usize)
    }
}
