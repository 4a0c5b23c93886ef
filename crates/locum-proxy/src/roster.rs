//! What is known and was decided beside the configuration.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::Settings;
use crate::route::Forced;
use crate::upstream::EndpointSettings;

/// What was found out and decided, of endpoints and routes, while the program ran. Part of a plan, so that a reload takes
/// it over.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Roster {
    /// The endpoints of upstreams that list none.
    found: BTreeMap<String, Vec<EndpointSettings>>,
    /// Endpoints that were taken out by hand: upstream and name.
    drained: BTreeSet<(String, String)>,
    /// Routes that are served or put off by hand, whatever they say themselves.
    maintained: BTreeMap<String, Forced>,
}

impl Roster {
    /// Whether somebody has taken this endpoint out.
    pub(crate) fn is_drained(&self, upstream: &str, endpoint: &str) -> bool {
        // Nothing is made to be looked up: there are few.
        self.drained.iter().any(|(of, name)| of == upstream && name == endpoint)
    }

    /// Takes an endpoint out.
    pub(crate) fn drain(&mut self, upstream: &str, endpoint: &str) {
        self.drained.insert((upstream.to_owned(), endpoint.to_owned()));
    }

    /// Takes an endpoint back in.
    pub(crate) fn enable(&mut self, upstream: &str, endpoint: &str) {
        self.drained.remove(&(upstream.to_owned(), endpoint.to_owned()));
    }

    /// Whether the requests of this route are served, if somebody has decided that.
    pub(crate) fn maintained(&self, route: &str) -> Option<&Forced> {
        self.maintained.get(route)
    }

    /// Decides whether the requests of a route are served; `None` leaves that to the route again.
    pub(crate) fn maintain(&mut self, route: &str, forced: Option<Forced>) {
        match forced {
            Some(forced) => self.maintained.insert(route.to_owned(), forced),
            None => self.maintained.remove(route),
        };
    }

    /// The endpoints that were found for an upstream that lists none.
    pub(crate) fn found(&self, upstream: &str) -> Option<&Vec<EndpointSettings>> {
        self.found.get(upstream)
    }

    /// Takes note of all endpoints of an upstream.
    pub(crate) fn find(&mut self, upstream: &str, endpoints: Vec<EndpointSettings>) {
        self.drained.retain(|(of, name)| {
            of != upstream || endpoints.iter().any(|known| known.name == *name)
        });
        self.found.insert(upstream.to_owned(), endpoints);
    }

    /// Takes over what was found for upstreams of which nothing is known here.
    pub(crate) fn learn(&mut self, other: Self) {
        for (upstream, endpoints) in other.found {
            self.found.entry(upstream).or_insert(endpoints);
        }
    }

    /// Forgets what `settings` do not know any more, or look for elsewhere than those `before` did.
    pub(crate) fn follow(&mut self, settings: &Settings, before: &Settings) {
        self.maintained.retain(|name, _| settings.routes.iter().any(|route| route.name == *name));
        let of = |settings: &'_ Settings, name: &str| {
            settings.upstreams.iter().find(|upstream| upstream.name == name).cloned()
        };
        self.found.retain(|name, _| {
            let discover = |settings| of(settings, name).and_then(|upstream| upstream.discover);
            discover(settings).is_some() && discover(settings) == discover(before)
        });
        let found = &self.found;
        self.drained.retain(|(name, endpoint)| {
            let listed = of(settings, name).map(|upstream| upstream.endpoints).unwrap_or_default();
            let mut known = listed.iter().chain(found.get(name).into_iter().flatten());
            known.any(|known| known.name == *endpoint)
        });
    }
}
