//! A breaker as it is seen by whoever chooses among endpoints.

use std::sync::Arc;

use crate::Time;

use super::{Breaker, Snapshot};

/// The breaker of one endpoint, to be looked at before an attempt is sent there. Looking takes no
/// lock and changes nothing.
#[derive(Clone)]
pub struct Watch(Arc<Breaker>);

impl Watch {
    pub(crate) const fn new(breaker: Arc<Breaker>) -> Self {
        Self(breaker)
    }

    /// Whether the endpoint is ejected at `now`: its breaker would refuse whoever comes. Once the wait
    /// is over it is not, so that a probe finds its way there.
    pub fn is_ejected(&self, now: Time) -> bool {
        self.0.is_shut(now)
    }

    /// Whether it refuses whoever comes at `now` although its wait is over: as many probes are under way as may be.
    pub fn is_busy(&self, now: Time) -> bool {
        self.0.is_busy(now)
    }

    /// How the breaker stands.
    pub fn snapshot(&self, now: Time) -> Snapshot {
        self.0.snapshot(now)
    }
}
