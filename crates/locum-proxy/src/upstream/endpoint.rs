//! One address of an upstream, and how it stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::EndpointSettings;
use crate::label::Label;
use crate::tls::Connector;

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
    pub(super) fn new(settings: &EndpointSettings, tls: Option<Connector>) -> Self {
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
