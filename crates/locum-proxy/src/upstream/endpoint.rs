//! One address of an upstream, and how it stands.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use locum_policy::Time;
use locum_wire::proxy_protocol;

use super::health::{self, Health};
use super::{Address, EndpointSettings};
use crate::label::Label;
use crate::tls::Connector;

/// One endpoint of a running plan; it outlives every plan that does not touch it.
pub struct Endpoint {
    /// As it is written, `host:port` or `unix:/path`.
    pub name: String,
    /// Where it is.
    pub address: Address,
    /// Whom it is believed to be, where that is not what its name says.
    pub(super) host: Option<String>,
    pub(crate) label: Label,
    /// How it is spoken to under TLS, if it is.
    pub(crate) tls: Option<Connector>,
    /// How it is told, first on each connection, for whom it is.
    pub(crate) proxy_protocol: Option<proxy_protocol::Version>,
    /// Unique in the process: what pools go by.
    pub(crate) uid: u32,
    in_flight: AtomicU32,
    /// Connections held by all workers, in use or idle.
    pub(crate) open: AtomicU32,
    /// Its checks say that it does not work.
    down: AtomicBool,
    /// It is to get no more calls: it was taken out, or is not there any more.
    retired: AtomicBool,
    /// Since when it may be used, in nanoseconds; 0: always.
    usable_since: AtomicU64,
    health: Mutex<Health>,
    /// Asked which of HTTP's versions it wants, it has chosen HTTP/1.1.
    pub(crate) http1: AtomicBool,
}

/// Name, address, and whom it is believed to be; of whatever weight and zone.
pub(super) type Identity<'a> = (&'a str, &'a Address, Option<&'a str>);

impl EndpointSettings {
    /// What it is known by over reloads.
    pub(super) fn identity(&self) -> Identity<'_> {
        (&self.name, &self.address, self.host.as_deref())
    }
}

impl Endpoint {
    /// `usable_since`: when it came to an upstream that had others; zero if it came with all of them.
    pub(crate) fn new(
        settings: &EndpointSettings,
        tls: Option<Connector>,
        proxy_protocol: Option<proxy_protocol::Version>,
        usable_since: Time,
    ) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self {
            name: settings.name.clone(),
            address: settings.address.clone(),
            host: settings.host.clone(),
            label: Label::of(&settings.name),
            tls,
            proxy_protocol,
            uid: NEXT.fetch_add(1, Ordering::Relaxed),
            in_flight: AtomicU32::new(0),
            open: AtomicU32::new(0),
            down: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            usable_since: AtomicU64::new(usable_since.as_nanos()),
            health: Mutex::default(),
            http1: AtomicBool::new(false),
        }
    }

    /// What it is called as the Host of a request.
    pub(crate) fn host(&self) -> &str {
        host(&self.address, &self.name)
    }

    /// What it is known by over reloads.
    pub(super) fn identity(&self) -> Identity<'_> {
        (&self.name, &self.address, self.host.as_deref())
    }

    /// Attempts under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Connections over all workers, in use and idle.
    pub fn connections(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether its checks say that it does not work.
    pub fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// What its checks have shown.
    pub fn health(&self) -> Health {
        self.lock().clone()
    }

    /// Since when it may be used; zero: always.
    pub(super) fn usable_since(&self) -> Time {
        Time::from_nanos(self.usable_since.load(Ordering::Relaxed))
    }

    /// Takes note of a check that ended at `now`. Tells whether it is thought to work from now on, if that
    /// has changed.
    pub(crate) fn learn(
        &self,
        checked: Result<(), String>,
        settings: &health::Settings,
        now: Time,
    ) -> Option<bool> {
        let changed = self.lock().learn(checked, settings, now);
        if let Some(up) = changed {
            // Before it is used, so that whoever uses it finds out since when that may be.
            self.usable_since.store(now.as_nanos(), Ordering::Relaxed);
            self.down.store(!up, Ordering::Relaxed);
        }
        changed
    }

    /// Forgets what checks have shown: there are none any more.
    pub(crate) fn forget_health(&self) {
        *self.lock() = Health::default();
        self.down.store(false, Ordering::Relaxed);
    }

    /// Whether it gets no more calls.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// It gets no more calls, of those either who still have it in a plan of before.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// It gets calls, from `now` on if it got none.
    pub(crate) fn enlist(&self, now: Time) {
        if self.is_retired() {
            self.usable_since.store(now.as_nanos(), Ordering::Relaxed);
            self.retired.store(false, Ordering::Relaxed);
        }
    }

    /// Counts an attempt until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who an endpoint is: a path is no name of a host, and what is found by one is on this machine.
pub(super) fn host<'n>(address: &Address, name: &'n str) -> &'n str {
    match address {
        Address::Tcp(_) => name,
        Address::Unix(_) => "localhost",
    }
}

/// One attempt under way at an endpoint.
pub(crate) struct InFlight(Arc<Endpoint>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
