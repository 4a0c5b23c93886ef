//! What runs: every name resolved, every number checked, nothing left to go wrong.
//!
//! A [`Plan`] is built whole from [`Settings`] and then never changes; a reload builds a new one and
//! swaps a pointer. What a reload did not change is taken over from the previous plan, so its state
//! (breakers, buckets, pools, counters) lives on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use locum_policy::gates::breaker::{Per, Watch};
use locum_policy::{Bound, Policy};
use rustc_hash::FxHashMap;

use crate::auth::{self, Check};
use crate::label::Label;
use crate::listener::{self, Listener};
use crate::roster::Roster;
use crate::route::{self, Forced, Owned, Route, Router, Subject};
use crate::upstream::{self, Upstream};

/// What a plan is built from: plain values, references by name. By default it serves nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Where calls come in.
    pub listeners: Vec<listener::Settings>,
    /// Where they go.
    pub upstreams: Vec<upstream::Settings>,
    /// How they are tried, by name.
    pub policies: Vec<(String, locum_policy::Settings)>,
    /// How callers show who they are, by name.
    pub auth: Vec<(String, auth::Settings)>,
    /// Which goes where, in the order of the file.
    pub routes: Vec<route::Settings>,
    /// Where the proxy stands: calls stay with endpoints of this zone as long as enough of them work.
    pub zone: Option<String>,
    /// How long a drain may take before what is left is cut off.
    pub drain: Duration,
    /// What every random choice follows from, so that the same calls at the same times are decided
    /// the same way again; `None`: they differ from process to process.
    pub seed: Option<u64>,
}

/// Everything that runs, resolved.
pub struct Plan {
    /// What it was built from.
    pub settings: Settings,
    /// Where calls come in.
    pub listeners: Vec<Arc<Listener>>,
    /// Where they go.
    pub upstreams: Vec<Arc<Upstream>>,
    /// How they are tried.
    pub policies: Vec<Arc<Policy>>,
    /// How callers show who they are, in the order of the settings.
    pub(crate) auth: Vec<Arc<Check>>,
    /// Which goes where, in the order of the settings.
    pub routes: Vec<Arc<Route>>,
    /// By listener.
    routers: FxHashMap<Label, Router>,
    /// What is known of endpoints beside the settings.
    roster: Roster,
}

/// Why settings make no plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// The place, as a path of configuration keys: `policies.careful.breaker.failure_rate`.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

impl Error {
    pub(crate) fn new(
        path: impl Into<String>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { path: path.into(), reason: reason.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.path, self.reason, self.remedy)
    }
}

impl std::error::Error for Error {}

impl Plan {
    /// Resolves `settings`; what `previous` has unchanged is taken over with its state.
    ///
    /// # Errors
    ///
    /// The first reference or value that does not hold.
    pub fn build(settings: Settings, previous: Option<&Self>) -> Result<Self, Error> {
        let roster = Self::roster_for(&settings, previous);
        Self::build_with(settings, roster, previous)
    }

    /// What `previous` knows of the endpoints that `settings` know.
    pub(crate) fn roster_for(settings: &Settings, previous: Option<&Self>) -> Roster {
        let Some(previous) = previous else { return Roster::default() };
        let mut roster = previous.roster.clone();
        roster.follow(settings, &previous.settings);
        roster
    }

    /// Whether it is so of what is known of endpoints.
    pub(crate) fn knows(&self, is_so: impl FnOnce(&Roster) -> bool) -> bool {
        is_so(&self.roster)
    }

    /// The same plan, but for what is known of endpoints beside the settings.
    ///
    /// # Errors
    ///
    /// None that building it has not met before.
    pub(crate) fn with(&self, change: impl FnOnce(&mut Roster)) -> Result<Self, Error> {
        let mut roster = self.roster.clone();
        change(&mut roster);
        Self::build_with(self.settings.clone(), roster, Some(self))
    }

    /// As [`build`](Self::build), with what is known of endpoints beside the settings.
    pub(crate) fn build_with(
        settings: Settings,
        roster: Roster,
        previous: Option<&Self>,
    ) -> Result<Self, Error> {
        let policies = build_policies(&settings, previous)?;
        let auth = build_auth(&settings, previous)?;
        let policies_by_name: FxHashMap<_, _> =
            policies.iter().map(|policy| (policy.name(), policy)).collect();
        let policy_named = |name: &str| policies_by_name.get(name).copied();

        let before = previous.map_or(&[][..], |plan| &plan.upstreams);
        let before: FxHashMap<_, _> =
            before.iter().map(|upstream| (&*upstream.settings.name, upstream)).collect();
        let mut upstreams = Vec::with_capacity(settings.upstreams.len());
        for wanted in &settings.upstreams {
            let kept = before.get(&*wanted.name).copied();
            let guard = match &wanted.endpoint_policy {
                None => None,
                Some(name) => {
                    let path = format!("upstreams.{}.endpoint_policy", wanted.name);
                    let Some(policy) = policy_named(name) else {
                        return Err(missing("policy", "policies", name, path));
                    };
                    policy.settings().check_for_endpoint().map_err(|error| {
                        let reason = format!("`{}` of `{name}`: {}", error.path, error.reason);
                        Error::new(path, reason, error.remedy)
                    })?;
                    Some(policy)
                }
            };
            upstreams.push(Upstream::build(
                wanted,
                &roster,
                settings.zone.as_deref(),
                guard,
                kept,
            )?);
        }

        let listeners = settings.listeners.iter().map(|wanted| {
            let kept = previous.and_then(|plan| plan.listener(&wanted.name));
            Listener::build(wanted, kept)
        });
        let listeners = listeners.collect::<Result<Vec<_>, _>>()?;

        // What tells an upstream who calls is nobody else's to write, on any route.
        let owned: Owned = settings.auth.iter().flat_map(|(_, auth)| auth.owned()).collect();
        let upstreams_by_name: FxHashMap<_, _> =
            upstreams.iter().map(|upstream| (&*upstream.settings.name, upstream)).collect();
        let mut routes = Vec::with_capacity(settings.routes.len());
        for (index, wanted) in settings.routes.iter().enumerate() {
            let path = |key: &str| format!("routes.{index}.{key}");
            if let Some(name) = &wanted.listener
                && !listeners.iter().any(|listener| listener.settings.name == *name)
            {
                return Err(missing("listener", "listeners", name, path("listener")));
            }
            let policy = match &wanted.policy {
                None => None,
                Some(name) => Some(
                    policy_named(name)
                        .ok_or_else(|| missing("policy", "policies", name, path("policy")))?,
                ),
            };
            let bind = |name: &str| {
                let upstream = upstreams_by_name
                    .get(name)
                    .copied()
                    .ok_or_else(|| missing("upstream", "upstreams", name, path("upstream")))?;
                let bound = policy.map_or_else(Bound::open, |policy| policy.bind(name));
                Ok((Arc::clone(upstream), bound))
            };
            let checks = wanted.auth.iter().map(|name| {
                let at = settings.auth.iter().position(|(defined, _)| defined == name);
                let at = at.ok_or_else(|| missing("auth", "auth", name, path("auth")))?;
                Ok(Arc::clone(&auth[at]))
            });
            let checks = checks.collect::<Result<_, _>>()?;
            let route = Route::build(wanted, index, checks, &owned, bind)?;
            routes.push(Arc::new(match roster.maintained(&wanted.name) {
                Some(forced) => route.forced(forced),
                None => route,
            }));
        }
        let routers = listeners
            .iter()
            .map(|listener| {
                let settings = &listener.settings;
                (listener.label, Router::new(routes.iter().filter(|route| route.serves(settings))))
            })
            .collect();

        Ok(Self { settings, listeners, upstreams, policies, auth, routes, routers, roster })
    }

    /// Whether the requests of that route are served, if somebody has decided that beside the settings.
    pub fn forced_maintenance(&self, route: &str) -> Option<&Forced> {
        self.roster.maintained(route)
    }

    /// The listener of that name.
    pub fn listener(&self, name: &str) -> Option<&Arc<Listener>> {
        self.listeners.iter().find(|listener| listener.settings.name == name)
    }

    /// The route that a request on `listener` takes.
    pub(crate) fn route(&self, listener: Label, subject: &Subject<'_>) -> Option<&Arc<Route>> {
        self.router(listener)?.find(subject)
    }

    /// The route that a remote call on `listener` takes.
    pub(crate) fn route_of_call(&self, listener: Label, method: &str) -> Option<&Arc<Route>> {
        self.router(listener)?.find_call(method)
    }

    pub(crate) fn router(&self, listener: Label) -> Option<&Router> {
        self.routers.get(&listener)
    }

    /// The breakers that may eject `endpoint` from an upstream, each with the name of its policy: that of
    /// the upstream's own endpoint policy, and those of the policies of routes to it.
    pub fn ejectors(&self, upstream: &upstream::Settings, endpoint: &str) -> Vec<(&str, Watch)> {
        let leading = self.leading_to(&upstream.name);
        let leads = |name: &str| leading.contains(&name);
        let leads_there = |route: &route::Settings| match &route.action {
            route::Action::Forward(names) => names.iter().any(|(name, _)| leads(name)),
            route::Action::Redirect { .. }
            | route::Action::Respond(_)
            | route::Action::Files(_) => false,
            route::Action::Transcode { upstream: name, .. } => leads(name),
        };
        let routes = self.settings.routes.iter().filter(|route| leads_there(route));
        let of_routes: Vec<_> = routes.filter_map(|route| route.policy.as_deref()).collect();
        let watch = |policy: &Policy| {
            let guards = upstream.endpoint_policy.as_deref() == Some(policy.name());
            let pers: &[Per] = match guards {
                true => &[Per::Upstream, Per::Endpoint],
                false if of_routes.contains(&policy.name()) => &[Per::Endpoint],
                false => &[],
            };
            policy.watch(endpoint, pers)
        };
        let policies = self.policies.iter();
        policies.filter_map(|policy| Some((policy.name(), watch(policy)?))).collect()
    }

    /// That upstream, and those whose calls go there when they cannot take them.
    fn leading_to<'a>(&'a self, name: &'a str) -> Vec<&'a str> {
        let mut leading = vec![name];
        let mut seen = 0;
        while let Some(to) = leading.get(seen).copied() {
            let before: Vec<_> = self
                .upstreams
                .iter()
                .map(|upstream| &upstream.settings)
                .filter(|other| other.failover.as_deref() == Some(to))
                .map(|other| &*other.name)
                .filter(|name| !leading.contains(name))
                .collect();
            leading.extend(before);
            seen += 1;
        }
        leading
    }

    /// The upstream of that name.
    pub fn upstream(&self, name: &str) -> Option<&Arc<Upstream>> {
        self.upstreams.iter().find(|upstream| upstream.settings.name == name)
    }
}

#[cfg(test)]
impl Plan {
    /// One that serves nothing.
    pub(crate) fn of_nothing() -> Self {
        Self::build(Settings::default(), None).expect("nothing can be built")
    }
}

fn build_policies(settings: &Settings, previous: Option<&Plan>) -> Result<Vec<Arc<Policy>>, Error> {
    let mut policies: Vec<Arc<Policy>> = Vec::with_capacity(settings.policies.len());
    let before = previous.map_or(&[][..], |plan| &plan.policies);
    let before: FxHashMap<_, _> = before.iter().map(|policy| (policy.name(), policy)).collect();
    for (name, wanted) in &settings.policies {
        let kept = before.get(&**name).copied();
        if let Some(kept) = kept.filter(|kept| kept.settings() == wanted) {
            policies.push(Arc::clone(kept));
            continue;
        }
        let seed = settings.seed.unwrap_or_else(crate::random::seed);
        let policy = Policy::build(name, wanted, seed, kept.map(Arc::as_ref)).map_err(|error| {
            Error::new(format!("policies.{name}.{}", error.path), error.reason, error.remedy)
        })?;
        policies.push(Arc::new(policy));
    }
    Ok(policies)
}

/// What is known of keys that were verified is kept as long as the settings are.
fn build_auth(settings: &Settings, previous: Option<&Plan>) -> Result<Vec<Arc<Check>>, Error> {
    let kept = |wanted: &(String, auth::Settings)| {
        let previous = previous?;
        let at = previous.settings.auth.iter().position(|known| known == wanted)?;
        Some(Arc::clone(&previous.auth[at]))
    };
    let build = |wanted: &(String, auth::Settings)| match kept(wanted) {
        Some(kept) => Ok(kept),
        None => {
            let named = |check: &&Arc<Check>| check.name() == wanted.0;
            let before = previous.and_then(|plan| plan.auth.iter().find(named));
            Check::build(&wanted.0, &wanted.1, before.map(Arc::as_ref)).map(Arc::new)
        }
    };
    settings.auth.iter().map(build).collect()
}

fn missing(kind: &str, section: &str, name: &str, path: String) -> Error {
    Error::new(path, format!("{kind} `{name}` is not defined"), format!("add `[{section}.{name}]`"))
}
