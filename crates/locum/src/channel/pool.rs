//! What a channel is: endpoints with their connections, and how a call finds its way to one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use locum_policy::balance::{Balance, Seen};
use locum_policy::{Clock as _, Time, seed};
use tokio::sync::Notify;
use tokio::time::timeout_at;

use super::answer::{Answered, Undone};
use super::connection::{Connection, Until};
use super::dial::{Address, Unconnected};
use super::endpoints::{EndpointSettings, Endpoints};
use super::link::{Link, Patience};
use super::metrics::Metrics;
use super::outgoing::Outgoing;
use super::policy::Engine;
use super::resolve::Resolver;
use super::send::{Unsent, send};
use crate::{CallError, Clock, Cx, Delivery, TransportKind};

/// The inside of a channel, shared by its clones.
pub(super) struct Pool {
    pub(super) settings: PoolSettings,
    pub(super) metrics: Metrics,
    endpoints: ArcSwap<Endpoints>,
    /// Told when the endpoints are others, or could not be found.
    changed: Notify,
    /// Looks names up; `None`: there are none.
    resolver: Option<Resolver>,
    /// Why the last look-up failed, unless a later one did not.
    unresolved: Mutex<Option<Arc<str>>>,
    closed: AtomicBool,
    clock: Clock,
    calls: AtomicU64,
}

/// What a channel goes by.
pub(super) struct PoolSettings {
    pub(super) endpoints: EndpointSettings,
    pub(super) engine: Option<Engine>,
    /// How long a call may take that nobody gave a time.
    pub(super) timeout: Duration,
    /// Whether that was said; otherwise a policy's time goes before it.
    pub(super) timeout_is_set: bool,
    /// Whether a call fails when no endpoint can be connected to.
    pub(super) fail_fast: bool,
    /// What travels with every call.
    pub(super) metadata: Vec<u8>,
}

/// The way to one endpoint.
pub(super) struct Way {
    pub(super) index: u32,
    pub(super) link: Arc<Link>,
    pub(super) connection: Option<Arc<Connection>>,
    pub(super) patience: Patience,
}

impl Pool {
    pub(super) fn new(
        settings: PoolSettings,
        addresses: Vec<Address>,
        resolver: Option<Resolver>,
    ) -> Self {
        let endpoints = Endpoints::new(addresses, &settings.endpoints, None);
        Self {
            settings,
            metrics: Metrics::default(),
            endpoints: ArcSwap::from_pointee(endpoints),
            changed: Notify::new(),
            resolver,
            unresolved: Mutex::default(),
            closed: AtomicBool::new(false),
            clock: Clock::start(),
            calls: AtomicU64::new(0),
        }
    }

    /// Makes a call, without a policy.
    pub(super) async fn call(
        self: &Arc<Self>,
        cx: &Cx,
        call: &Outgoing<'_>,
    ) -> Result<Answered, Undone> {
        let timeout = self.settings.timeout;
        let mut until = match cx.deadline() {
            None => Until::After(timeout),
            Some(deadline) => {
                let own = tokio::time::Instant::now().checked_add(timeout);
                Until::At(own.map_or(deadline, |own| own.min(deadline)))
            }
        };
        let mut tried = Vec::new();
        loop {
            let Some(way) = self.way(&tried) else {
                self.resolved(&mut until).await?;
                continue;
            };
            let Way { index, link, connection, patience } = way;
            let begun = self.begun();
            match send(&link, connection, call, 1, until, patience).await {
                Ok(answered) => {
                    self.observe(index, begun, &answered);
                    return Ok(answered);
                }
                // Somebody else may be there; once nobody was, the first may be back.
                Err(unconnected @ Unsent::Unconnected(_))
                    if patience == Patience::Fail && !until.is_over() =>
                {
                    tried.push(index);
                    if tried.len() >= self.endpoints.load().len() {
                        if self.settings.fail_fast {
                            return Err(unconnected.into_error());
                        }
                        tried.clear();
                    }
                }
                Err(Unsent::Gone) if !self.is_closed() => {}
                Err(unsent) => return Err(unsent.or_closed(self).into_error()),
            }
            until.settle();
        }
    }

    /// The way to the endpoint for the next attempt; `None`: none is known, or the channel is closed.
    fn way(&self, tried: &[u32]) -> Option<Way> {
        let endpoints = self.endpoints.load();
        if self.is_closed() {
            return None;
        }
        let alone = endpoints.len() == 1;
        let random = if alone { 0 } else { self.random() };
        let now = if alone { Time::ZERO } else { self.clock.now() };
        let index = endpoints.pick(tried, random, now)?;
        let link = endpoints.get(index)?.link();
        let waits = alone && !self.settings.fail_fast;
        let patience = if waits { Patience::Wait } else { Patience::Fail };
        Some(Way { index, connection: link.connection(), link: Arc::clone(link), patience })
    }

    /// The endpoints as they are known now, once any is.
    ///
    /// # Errors
    ///
    /// Why none is, when the time is over.
    pub(super) async fn endpoints(
        self: &Arc<Self>,
        until: &mut Until,
    ) -> Result<Arc<Endpoints>, Undone> {
        loop {
            let endpoints = self.endpoints.load_full();
            if !endpoints.is_empty() && !self.is_closed() {
                return Ok(endpoints);
            }
            self.resolved(until).await?;
        }
    }

    /// Waits until the endpoints have been looked up.
    async fn resolved(self: &Arc<Self>, until: &mut Until) -> Result<(), Undone> {
        let mut changed = std::pin::pin!(self.changed.notified());
        changed.as_mut().enable();
        if self.is_closed() {
            return Err(Unsent::Closed.into_error());
        }
        if !self.endpoints.load().is_empty() {
            return Ok(());
        }
        if let Some(resolver) = &self.resolver {
            resolver.start(self);
        }
        let in_time = match until.settle() {
            Some(at) => timeout_at(at, changed).await.is_ok(),
            None => {
                changed.await;
                true
            }
        };
        let unresolved = self.unresolved.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let reason = match unresolved {
            Some(reason) if self.settings.fail_fast => reason,
            _ if in_time => return Ok(()),
            reason => reason.unwrap_or_else(|| "no address was found in time".into()),
        };
        Err(Unsent::Unconnected(Unconnected { reason, timed_out: !in_time }).into_error())
    }

    /// A look-up found these.
    pub(super) fn found(&self, addresses: Vec<Address>) {
        *self.unresolved.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let known = self.endpoints.load();
        if !known.addresses().eq(&addresses) && !self.is_closed() {
            let endpoints = Endpoints::new(addresses, &self.settings.endpoints, Some(&known));
            self.endpoints.store(Arc::new(endpoints));
            self.changed.notify_waiters();
        }
    }

    /// A look-up failed. What was found before stays.
    pub(super) fn not_found(&self, why: Arc<str>) {
        *self.unresolved.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        self.changed.notify_waiters();
    }

    /// An attempt at the endpoint `index` that began then was answered so.
    fn observe(&self, index: u32, begun: Option<Time>, answered: &Answered) {
        let Some(begun) = begun else { return };
        let now = self.clock.now();
        let seen = Seen::of(answered.cause());
        self.endpoints.load().balancer().observe(index, begun.until(now), seen, now);
    }

    /// When an attempt begins, if that is of interest.
    fn begun(&self) -> Option<Time> {
        let follows = self.settings.endpoints.balance == Balance::PeakEwma;
        follows.then(|| self.clock.now())
    }

    /// A random word that follows from the seed.
    pub(super) fn random(&self) -> u64 {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        seed::of_pick(self.settings.endpoints.seed, number)
    }

    /// All connections that are there.
    pub(super) fn connections(&self) -> Vec<Arc<Connection>> {
        let endpoints = self.endpoints.load();
        let links = endpoints.iter().flat_map(|endpoint| endpoint.links());
        links.flat_map(|link| link.connections()).collect()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// No call begins any more; connections close once their calls are answered.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for endpoint in self.endpoints.load().iter() {
            endpoint.links().iter().for_each(|link| link.close());
        }
        self.changed.notify_waiters();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

impl Unsent {
    /// Endpoints are gone also because all are.
    pub(super) fn or_closed(self, pool: &Pool) -> Self {
        match self {
            Self::Gone if pool.is_closed() => Self::Closed,
            other => other,
        }
    }

    pub(super) fn into_error(self) -> Undone {
        let unsent = |kind, reason: &str| CallError::transport(kind, Delivery::NotSent, reason);
        match self {
            Self::Unconnected(error) => unsent(TransportKind::Connect, &error.reason),
            Self::Late => CallError::deadline(Delivery::NotSent),
            Self::Gone => unsent(TransportKind::Connect, "its endpoint is there no more"),
            Self::Closed => unsent(TransportKind::Closed, "the channel is closed"),
            Self::Unsendable(reason) => unsent(TransportKind::Unsupported, &reason),
        }
    }
}
