//! Where a route's calls go: to one of several upstreams, or to one that stands in for it.

use std::iter::successors;
use std::sync::Arc;

use locum_policy::balance::hash_of_key;
use locum_policy::gates::breaker::{Per, Watch};
use locum_policy::{Bound, Time};

use crate::label::Label;
use crate::plan::Error;
use crate::upstream::{Endpoint, Upstream};

/// Upstreams of a route, each with the route's policy bound to it.
pub(crate) struct Split {
    choices: Vec<Choice>,
    total: u64,
}

pub(crate) struct Choice {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) policy: Bound,
    /// Its breakers of the upstream's endpoints, in the order of these; empty if it has none.
    pub(crate) watches: Box<[Watch]>,
    /// The policy's name.
    pub(crate) label: Label,
    weight: u32,
    /// The policy's breaker of the whole upstream, if it has one.
    fuse: Option<Watch>,
    /// Where calls go while this cannot take any.
    failover: Option<Box<Self>>,
}

impl Choice {
    /// The upstream of that name, and after it those that stand in for it. `bind` finds an upstream, and binds the
    /// route's policy to it.
    ///
    /// # Errors
    ///
    /// `bind` finds none, or they stand in for each other in a circle.
    pub(super) fn build(
        name: &str,
        weight: u32,
        label: Label,
        bind: &impl Fn(&str) -> Result<(Arc<Upstream>, Bound), Error>,
    ) -> Result<Self, Error> {
        let one = |name: &str| {
            let (upstream, policy) = bind(name)?;
            let watch =
                |endpoint: &Arc<Endpoint>| policy.policy()?.watch(&endpoint.name, &[Per::Endpoint]);
            let watches = upstream.endpoints.iter().filter_map(watch).collect();
            let fuse = policy.policy().and_then(|policy| policy.watch(name, &[Per::Upstream]));
            Ok(Self { upstream, policy, watches, label, weight, fuse, failover: None })
        };
        let mut chain = vec![one(name)?];
        while let Some(next) = chain.last().and_then(|last| last.upstream.settings.failover.clone())
        {
            if chain.iter().any(|choice| choice.upstream.settings.name == next) {
                return Err(in_circles(&next));
            }
            chain.push(one(&next)?);
        }
        let last_first = chain.into_iter().rev();
        let link =
            |after: Option<Self>, choice| Some(Self { failover: after.map(Box::new), ..choice });
        Ok(last_first.fold(None, link).expect("invariant: a chain has a first"))
    }

    /// Where a call goes that comes now: here, or to the first after it that can take one. If none can,
    /// here.
    pub(crate) fn at(&self, now: Time) -> &Self {
        if self.failover.is_none() || self.takes(now) {
            return self;
        }
        let mut after = successors(self.failover.as_deref(), |choice| choice.failover.as_deref());
        let Some(other) = after.find(|choice| choice.takes(now)) else { return self };
        self.upstream.fail_over();
        other
    }

    /// Whether the upstream takes a call: neither does its breaker refuse it nor are all of its endpoints out. Of one that
    /// is half open, as many are taken as may probe.
    fn takes(&self, now: Time) -> bool {
        let refuses = |fuse: &Watch| fuse.is_ejected(now) || fuse.is_busy(now);
        !self.fuse.as_ref().is_some_and(refuses) && self.upstream.is_available(&self.watches, now)
    }
}

impl Split {
    /// Between these; `None` if all weights are 0.
    pub(super) fn between(choices: Vec<Choice>) -> Option<Self> {
        let total = choices.iter().map(|choice| u64::from(choice.weight)).sum();
        (total > 0).then_some(Self { choices, total })
    }

    /// Whether that is so of every upstream.
    pub(super) fn is_all(&self, is: impl Fn(&Upstream) -> bool) -> bool {
        self.choices.iter().all(|choice| is(&choice.upstream))
    }

    /// The choice that `random` falls on, as it stands `now`.
    pub(crate) fn choose(&self, random: u64, now: Time) -> &Choice {
        self.fall_on(random).at(now)
    }

    /// The choice that whoever has `key` falls on, every time and everywhere. When weights change, only those
    /// change over who have to.
    pub(crate) fn choose_for(&self, key: &[u8], now: Time) -> &Choice {
        let place = u128::from(hash_of_key(key)) * u128::from(self.total);
        let mut ticket = (place >> 64) as u64;
        let found = self.choices.iter().find(|choice| {
            let weight = u64::from(choice.weight);
            let here = ticket < weight;
            ticket = ticket.saturating_sub(weight);
            here
        });
        found.unwrap_or(&self.choices[0]).at(now)
    }

    fn fall_on(&self, random: u64) -> &Choice {
        if let [only] = &*self.choices {
            return only;
        }
        let mut ticket = random % self.total;
        for choice in &self.choices {
            let weight = u64::from(choice.weight);
            if ticket < weight {
                return choice;
            }
            ticket -= weight;
        }
        unreachable!("invariant: `total` is the sum of the weights")
    }
}

fn in_circles(upstream: &str) -> Error {
    Error::new(
        format!("upstreams.{upstream}.failover"),
        "it leads back to where it begins",
        "let one upstream of the circle have none",
    )
}
