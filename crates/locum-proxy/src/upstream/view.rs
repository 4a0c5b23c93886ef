//! The endpoints of an upstream as one choice among them finds them.

use std::cell::OnceCell;

use locum_policy::Time;
use locum_policy::balance::{Ask, Endpoints, SlowStart, Standing};
use locum_policy::gates::breaker::Watch;

use super::Upstream;

/// What is known of the endpoints at one moment.
pub(super) struct View<'a> {
    upstream: &'a Upstream,
    /// Breakers of the route's policy.
    watches: &'a [Watch],
    now: Time,
    /// Asked for once somebody meets an endpoint that is ejected: to know it takes a look at all of them.
    panics: OnceCell<bool>,
}

impl<'a> View<'a> {
    pub(super) fn new(upstream: &'a Upstream, watches: &'a [Watch], now: Time) -> Self {
        Self { upstream, watches, now, panics: OnceCell::new() }
    }

    /// Whether all endpoints are used as if none were ejected.
    pub(super) fn panics(&self) -> bool {
        let Upstream { endpoints, ejection, ejects, .. } = self.upstream;
        if !ejects && self.watches.is_empty() {
            return false;
        }
        *self.panics.get_or_init(|| {
            let count = endpoints.len();
            let ejected = (0..count).filter(|index| self.is_ejected(*index)).count();
            ejection.panics(ejected, count)
        })
    }

    /// Whether an endpoint was met that is ejected, and used all the same.
    pub(super) fn has_panicked(&self) -> bool {
        self.panics.get().is_some_and(|panics| *panics)
    }

    /// Whether any of them may be used: it is neither left out nor gone, nor does it have all the probes that it may.
    pub(super) fn is_available(&self) -> bool {
        let endpoints = self.upstream.endpoints.iter().enumerate();
        let mut all = endpoints.map(|(index, endpoint)| {
            endpoint.is_retired() || self.is_ejected(index) || self.is_busy(index)
        });
        all.any(|left_out| !left_out)
    }

    /// Whether it is left out: its checks say that it does not work, or a breaker is open.
    fn is_ejected(&self, index: usize) -> bool {
        self.upstream.endpoints[index].is_down()
            || self.watches_of(index).any(|watch| watch.is_ejected(self.now))
    }

    /// Whether a breaker is half open and refuses more probes.
    fn is_busy(&self, index: usize) -> bool {
        self.watches_of(index).any(|watch| watch.is_busy(self.now))
    }

    fn watches_of(&self, index: usize) -> impl Iterator<Item = &Watch> {
        [&*self.upstream.watches, self.watches].into_iter().filter_map(move |all| all.get(index))
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
        match !self.is_ejected(index as usize) || self.panics() {
            true => Standing::Usable,
            // A breaker lets probes through; who is down has checks for that.
            false if endpoint.is_down() => Standing::Out,
            false => Standing::Ejected,
        }
    }
}

/// The same for one pick, which is to do without some if there are others: those that start slowly, and
/// those in other zones (or, where its own is failing, those of its own).
pub(super) struct Sparing<'a> {
    view: &'a View<'a>,
    ask: &'a Ask<'a>,
    /// Whether it stays in the zone, where there are others.
    stays: Option<bool>,
}

impl<'a> Sparing<'a> {
    pub(super) fn new(view: &'a View<'a>, ask: &'a Ask<'a>) -> Self {
        let zones = view.upstream.zones.as_ref();
        let stays = zones.map(|zones| zones.stays(view, ask));
        Self { view, ask, stays }
    }

    fn spares(&self, index: u32) -> bool {
        let upstream = self.view.upstream;
        if let (Some(zones), Some(stays)) = (&upstream.zones, self.stays)
            && zones.is_near(index) != stays
        {
            return true;
        }
        let since = upstream.endpoints[index as usize].usable_since();
        let Some(window) = upstream.settings.slow_start.filter(|_| since > Time::ZERO) else {
            return false;
        };
        let share = SlowStart(window).share(since.until(self.view.now));
        share < 1.0 && upstream.balancer.spares(index, share, self.ask)
    }
}

impl Endpoints for Sparing<'_> {
    fn len(&self) -> usize {
        self.view.len()
    }

    fn in_flight(&self, index: u32) -> u32 {
        self.view.in_flight(index)
    }

    fn standing(&self, index: u32) -> Standing {
        match self.view.standing(index) {
            Standing::Usable if self.spares(index) => Standing::Spared,
            standing => standing,
        }
    }
}
