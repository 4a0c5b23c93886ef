//! What all connections of a server share.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use slab::Slab;
use tokio::sync::{Semaphore, watch};

use super::Bearer;
use super::directory::Directory;
use super::guard::Guard;
use super::limits::{Deadlines, Limits};
use super::outbox::Outbox;
use crate::metrics;

pub(super) struct Core {
    pub(super) directory: Directory,
    pub(super) limits: Limits,
    pub(super) deadlines: Deadlines,
    pub(super) guard: Option<Guard>,
    pub(super) bearer: Option<Bearer>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<crate::transport::tls::ServerSettings>,
    /// Room for calls being handled.
    pub(super) room: Arc<Semaphore>,
    pub(super) counts: Counts,
    phase: watch::Sender<Phase>,
    /// Those who are to hear of another phase.
    connections: Mutex<Slab<Arc<Outbox>>>,
}

/// What is counted of the server as a whole.
pub(super) struct Counts {
    /// Open now.
    pub(super) connections: AtomicUsize,
    pub(super) accepted: AtomicU64,
    /// Closed before they had said anything: there were too many, or they were too slow, or not understood.
    pub(super) refused: AtomicU64,
    pub(super) panics: AtomicU64,
    /// Calls of what there is not.
    pub(super) unknown: metrics::Calls,
}

/// What a server is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It serves.
    Serving,
    /// It answers what has begun, begins what was on its way, and closes.
    Draining,
    /// It leaves everything as it is.
    Over,
}

/// Waits until the server serves no more.
///
/// # Cancel safety
///
/// Nothing is missed.
pub(super) async fn drains(phases: &mut watch::Receiver<Phase>) {
    // An error says that the core, which sends, has gone; whoever waits holds it.
    let _ = phases.wait_for(|phase| *phase != Phase::Serving).await;
}

impl Core {
    pub(super) fn new(
        directory: Directory,
        limits: Limits,
        deadlines: Deadlines,
        guard: Option<Guard>,
        bearer: Option<Bearer>,
        #[cfg(feature = "tls")] tls: Option<crate::transport::tls::ServerSettings>,
    ) -> Self {
        Self {
            directory,
            limits,
            deadlines,
            guard,
            bearer,
            #[cfg(feature = "tls")]
            tls,
            room: Arc::new(Semaphore::new(limits.calls.min(Semaphore::MAX_PERMITS))),
            counts: Counts {
                connections: AtomicUsize::new(0),
                accepted: AtomicU64::new(0),
                refused: AtomicU64::new(0),
                panics: AtomicU64::new(0),
                unknown: metrics::Calls::new(),
            },
            phase: watch::Sender::new(Phase::Serving),
            connections: Mutex::default(),
        }
    }

    /// Hears of phases.
    pub(super) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Goes on to `phase`, unless it has gone further.
    pub(super) fn enter(&self, phase: Phase) {
        let entered = self.phase.send_if_modified(|now| {
            let further = match phase {
                Phase::Serving => false,
                Phase::Draining => *now == Phase::Serving,
                Phase::Over => *now != Phase::Over,
            };
            if further {
                *now = phase;
            }
            further
        });
        if entered {
            self.connections().iter().for_each(|(_, outbox)| outbox.nudge());
        }
    }

    /// Sees to it that the connection of `outbox` is woken when there is another phase.
    pub(super) fn register(self: &Arc<Self>, outbox: &Arc<Outbox>) -> Registered {
        let key = self.connections().insert(Arc::clone(outbox));
        Registered { core: Arc::clone(self), key }
    }

    /// Calls being handled.
    pub(super) fn in_flight(&self) -> usize {
        self.limits.calls.saturating_sub(self.room.available_permits())
    }

    fn connections(&self) -> std::sync::MutexGuard<'_, Slab<Arc<Outbox>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that hears of phases until this is dropped.
pub(super) struct Registered {
    core: Arc<Core>,
    key: usize,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.core.connections().remove(self.key);
    }
}

/// An open connection, counted.
pub(super) struct Open(Arc<Core>);

impl Open {
    /// `None`: there are too many.
    pub(super) fn new(core: &Arc<Core>) -> Option<Self> {
        let counts = &core.counts;
        let open = Self(Arc::clone(core));
        if counts.connections.fetch_add(1, Ordering::Relaxed) < core.limits.connections {
            counts.accepted.fetch_add(1, Ordering::Relaxed);
            Some(open)
        } else {
            counts.refused.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counts.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// While a server drains, a connection on which nothing happens for so long is closed.
pub(super) const QUIET: Duration = Duration::from_millis(50);

/// While a server drains, a connection whose protocol cannot say so is read from for so long.
pub(super) const GRACE: Duration = Duration::from_secs(1);
