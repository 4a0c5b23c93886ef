//! The endpoints of an upstream as one choice among them finds them.

use locum_policy::Time;
use locum_policy::balance::{Endpoints, Standing};
use locum_policy::gates::breaker::Watch;

use super::Upstream;

/// What is known of the endpoints at one moment.
pub(super) struct View<'a> {
    upstream: &'a Upstream,
    /// Breakers of the route's policy.
    watches: &'a [Watch],
    now: Time,
    panics: bool,
}

impl<'a> View<'a> {
    pub(super) fn new(upstream: &'a Upstream, watches: &'a [Watch], now: Time) -> Self {
        let mut view = Self { upstream, watches, now, panics: false };
        if upstream.ejects || !watches.is_empty() {
            let count = upstream.endpoints.len();
            let ejected = (0..count).filter(|index| view.is_ejected(*index)).count();
            view.panics = upstream.ejection.panics(ejected, count);
        }
        view
    }

    /// Whether all endpoints are used as if none were ejected.
    pub(super) const fn panics(&self) -> bool {
        self.panics
    }

    /// Whether it is left out: its checks say that it does not work, or a breaker is open.
    fn is_ejected(&self, index: usize) -> bool {
        let ejects =
            |watches: &[Watch]| watches.get(index).is_some_and(|watch| watch.is_ejected(self.now));
        self.upstream.endpoints[index].is_down()
            || ejects(&self.upstream.watches)
            || ejects(self.watches)
    }
}

impl Endpoints for View<'_> {
    fn len(&self) -> usize {
        self.upstream.endpoints.len()
    }

    fn in_flight(&self, index: u32) -> u32 {
        self.upstream.endpoints[index as usize].in_flight()
    }

    fn standing(&self, index: u32) -> Standing {
        let endpoint = &self.upstream.endpoints[index as usize];
        if endpoint.is_retired() {
            return Standing::Ejected;
        }
        match self.panics || !self.is_ejected(index as usize) {
            true => Standing::Usable,
            // A breaker lets probes through; who is down has checks for that.
            false if endpoint.is_down() => Standing::Out,
            false => Standing::Ejected,
        }
    }
}
