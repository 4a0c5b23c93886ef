//! What is known of endpoints beside the configuration.

use std::collections::BTreeSet;

use crate::plan::Settings;

/// What was decided about endpoints while the program ran. Part of a plan, so that a reload takes it over.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Roster {
    /// Endpoints that were taken out by hand: upstream and name.
    drained: BTreeSet<(String, String)>,
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

    /// Forgets what `settings` do not know any more.
    pub(crate) fn follow(&mut self, settings: &Settings) {
        self.drained.retain(|(upstream, endpoint)| {
            let upstream = settings.upstreams.iter().find(|known| known.name == *upstream);
            upstream.is_some_and(|upstream| {
                upstream.endpoints.iter().any(|known| known.name == *endpoint)
            })
        });
    }
}
