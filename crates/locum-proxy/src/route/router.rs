//! Finds the route of a request among those of one listener.
//!
//! First match wins, in the order: most specific host, then exact path, template, longest prefix,
//! regex, then the order of the file. Exact hosts and exact paths are looked up; the rest of a
//! host's routes are tried in that order.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::matcher::{HostPattern, PathPattern, Subject};
use super::{Route, Traffic};

/// The routes of one listener.
pub(crate) struct Router {
    exact: FxHashMap<Box<[u8]>, Group>,
    /// Longest suffix first.
    suffix: Vec<(Box<[u8]>, Group)>,
    any: Group,
    calls: Calls,
    connections: Connections,
}

/// The routes of remote calls.
#[derive(Default)]
struct Calls {
    /// By `Service.Method`.
    exact: FxHashMap<Box<str>, Arc<Route>>,
    /// By `Service`.
    services: FxHashMap<Box<str>, Arc<Route>>,
    any: Option<Arc<Route>>,
}

/// The routes of connections.
#[derive(Default)]
struct Connections {
    /// By the server that the client names.
    exact: FxHashMap<Box<[u8]>, Arc<Route>>,
    /// By what is above it; longest first.
    suffix: Vec<(Box<[u8]>, Arc<Route>)>,
    any: Option<Arc<Route>>,
}

/// The routes of one host pattern.
#[derive(Default)]
struct Group {
    exact: FxHashMap<Box<[u8]>, Vec<Arc<Route>>>,
    rest: Vec<Arc<Route>>,
}

impl Router {
    pub(crate) fn new<'a>(routes: impl Iterator<Item = &'a Arc<Route>>) -> Self {
        let mut router = Self {
            exact: FxHashMap::default(),
            suffix: Vec::new(),
            any: Group::default(),
            calls: Calls::default(),
            connections: Connections::default(),
        };
        for route in routes {
            match route.traffic() {
                Traffic::Calls => router.calls.push(route),
                Traffic::Bytes => router.connections.push(route),
                Traffic::Http => router.group(&route.matcher.host).push(Arc::clone(route)),
            }
        }
        router.connections.suffix.sort_by_key(|(suffix, _)| usize::MAX - suffix.len());
        router.suffix.sort_by_key(|(suffix, _)| usize::MAX - suffix.len());
        let groups =
            router.exact.values_mut().chain(router.suffix.iter_mut().map(|(_, group)| group));
        for group in groups.chain([&mut router.any]) {
            // A stable sort keeps the order of the file within a rank.
            group.rest.sort_by_key(|route| route.matcher.rank());
        }
        router
    }

    fn group(&mut self, host: &HostPattern) -> &mut Group {
        match host {
            HostPattern::Any => &mut self.any,
            HostPattern::Exact(name) => self.exact.entry(name.clone()).or_default(),
            HostPattern::Suffix(suffix) => {
                let at = self.suffix.iter().position(|(known, _)| known == suffix);
                let at = at.unwrap_or_else(|| {
                    self.suffix.push((suffix.clone(), Group::default()));
                    self.suffix.len() - 1
                });
                &mut self.suffix[at].1
            }
        }
    }

    /// The route that `subject` takes.
    pub(crate) fn find(&self, subject: &Subject<'_>) -> Option<&Arc<Route>> {
        self.find_exact_host(subject)
            .or_else(|| self.find_suffix(subject))
            .or_else(|| self.any.find(subject))
    }

    /// The route that a remote call takes: that of the method before that of its service before any.
    pub(crate) fn find_call(&self, method: &str) -> Option<&Arc<Route>> {
        let Calls { exact, services, any } = &self.calls;
        let of_service = || match services.is_empty() {
            true => None,
            false => services.get(method.rsplit_once('.')?.0),
        };
        exact.get(method).or_else(of_service).or(any.as_ref())
    }

    /// The route that a connection takes whose client names that server, or none: that of the name before those of
    /// the names above it, the nearest first, before any.
    pub(crate) fn find_connection(&self, server_name: Option<&str>) -> Option<&Arc<Route>> {
        let Connections { exact, suffix, any } = &self.connections;
        let named = server_name.and_then(|name| {
            let name = name.as_bytes();
            let above = || suffix.iter().find(|(suffix, _)| is_below(name, suffix));
            exact.get(name).or_else(|| above().map(|(_, route)| route))
        });
        named.or(any.as_ref())
    }

    /// Whether any route is for connections.
    pub(crate) fn carries_connections(&self) -> bool {
        self.connections.any.is_some() || self.asks_for_server_names()
    }

    /// Whether it matters to connections which server their clients name.
    pub(crate) fn asks_for_server_names(&self) -> bool {
        let Connections { exact, suffix, .. } = &self.connections;
        !exact.is_empty() || !suffix.is_empty()
    }

    /// The routes of remote calls, in the order in which they are looked at.
    pub(super) fn calls_in_order(&self) -> Vec<&Arc<Route>> {
        let Calls { exact, services, any } = &self.calls;
        let in_file = |routes: &mut [&Arc<Route>]| routes.sort_by_key(|route| route.index);
        let (mut exact, mut services): (Vec<_>, Vec<_>) =
            (exact.values().collect(), services.values().collect());
        in_file(&mut exact);
        in_file(&mut services);
        exact.into_iter().chain(services).chain(any).collect()
    }

    /// The routes that are looked at for `subject`, in order.
    pub(super) fn in_order<'a>(&'a self, subject: &Subject<'_>) -> Vec<&'a Arc<Route>> {
        let exact = self.exact.get(&*subject.host.to_ascii_lowercase());
        let below = self.suffix.iter().filter(|(suffix, _)| is_below(subject.host, suffix));
        let groups = exact.into_iter().chain(below.map(|(_, group)| group)).chain([&self.any]);
        groups
            .flat_map(|group| {
                let exact = group.exact.get(subject.path).into_iter().flatten();
                exact.chain(&group.rest)
            })
            .collect()
    }

    fn find_exact_host(&self, subject: &Subject<'_>) -> Option<&Arc<Route>> {
        if self.exact.is_empty() {
            return None;
        }
        let group = match self.exact.get(subject.host) {
            Some(group) => Some(group),
            None if subject.host.iter().any(u8::is_ascii_uppercase) => {
                self.exact.get(&*subject.host.to_ascii_lowercase())
            }
            None => None,
        };
        group?.find(subject)
    }

    fn find_suffix(&self, subject: &Subject<'_>) -> Option<&Arc<Route>> {
        self.suffix.iter().find_map(|(suffix, group)| {
            if is_below(subject.host, suffix) { group.find(subject) } else { None }
        })
    }
}

/// Whether `host` is a name below the one that `suffix` stands for.
fn is_below(host: &[u8], suffix: &[u8]) -> bool {
    let at = host.len().checked_sub(suffix.len());
    at.is_some_and(|at| at > 0 && host[at..].eq_ignore_ascii_case(suffix))
}

impl Connections {
    /// Adds a route; of several for the same connections the first of the file wins.
    fn push(&mut self, route: &Arc<Route>) {
        let route = Arc::clone(route);
        match &route.matcher.sni {
            HostPattern::Any => drop(self.any.get_or_insert(route)),
            HostPattern::Exact(name) => drop(self.exact.entry(name.clone()).or_insert(route)),
            HostPattern::Suffix(suffix) => {
                if !self.suffix.iter().any(|(known, _)| known == suffix) {
                    self.suffix.push((suffix.clone(), route));
                }
            }
        }
    }
}

impl Calls {
    /// Adds a route; of several for the same calls the first of the file wins.
    fn push(&mut self, route: &Arc<Route>) {
        let route = Arc::clone(route);
        match route.settings.matches.call.as_deref() {
            None | Some("*") => {
                self.any.get_or_insert(route);
            }
            Some(call) => {
                let (map, key) = match call.strip_suffix(".*") {
                    Some(service) => (&mut self.services, service),
                    None => (&mut self.exact, call),
                };
                map.entry(key.into()).or_insert(route);
            }
        }
    }
}

impl Group {
    fn push(&mut self, route: Arc<Route>) {
        match &route.matcher.path {
            PathPattern::Exact(path) => self.exact.entry(path.clone()).or_default().push(route),
            _ => self.rest.push(route),
        }
    }

    fn find(&self, subject: &Subject<'_>) -> Option<&Arc<Route>> {
        let exact = if self.exact.is_empty() { None } else { self.exact.get(subject.path) };
        exact
            .and_then(|routes| routes.iter().find(|route| route.matcher.matches(subject)))
            .or_else(|| self.rest.iter().find(|route| route.matcher.matches(subject)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Action, HeaderEdits, Host, Match, Settings};
    use super::*;

    fn route(index: usize, host: Option<&str>, path: Option<&str>) -> Arc<Route> {
        let settings = Settings {
            name: format!("{}{}", host.unwrap_or("-"), path.unwrap_or("-")),
            listener: None,
            matches: Match {
                host: host.map(Into::into),
                path: path.map(Into::into),
                ..Match::default()
            },
            action: Action::Redirect { status: 308, to: "/".into() },
            split_key: None,
            maintenance: None,
            cors: None,
            mirror: None,
            compress: None,
            policy: None,
            host: Host::Preserve,
            rewrite: None,
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
            max_body: None,
            priority: 1,
            auth: Vec::new(),
        };
        Arc::new(
            Route::build(&settings, index, [].into(), &Default::default(), |_| {
                unreachable!("no upstream")
            })
            .unwrap(),
        )
    }

    fn found<'a>(router: &'a Router, host: &str, path: &str) -> &'a str {
        let subject = Subject {
            method: b"GET",
            host: host.as_bytes(),
            path: path.as_bytes(),
            query: None,
            has_field: &|_, _| false,
        };
        let found = router.find(&subject);
        // What is explained is what is done.
        let mut looked_at = router.in_order(&subject).into_iter();
        let explained = looked_at.find(|route| route.matcher.passes_over(&subject).is_none());
        assert_eq!(found.map(|route| route.index), explained.map(|route| route.index));
        found.map_or("none", |route| &route.settings.name)
    }

    #[test]
    fn the_most_specific_route_wins_whatever_its_place_in_the_file() {
        let routes = [
            route(0, None, Some("/*")),
            route(1, None, Some("~/a/.*")),
            route(2, None, Some("/a/*")),
            route(3, None, Some("/a/b/*")),
            route(4, None, Some("/a/{x}")),
            route(5, None, Some("/a/b")),
            route(6, Some("*.test"), Some("/a/*")),
            route(7, Some("*.b.test"), Some("/a/*")),
            route(8, Some("a.test"), Some("/only")),
        ];
        let router = Router::new(routes.iter());
        assert_eq!(found(&router, "x", "/a/b"), "-/a/b");
        assert_eq!(found(&router, "x", "/a/c"), "-/a/{x}");
        assert_eq!(found(&router, "x", "/a/b/c"), "-/a/b/*");
        assert_eq!(found(&router, "x", "/a/c/d"), "-/a/*");
        assert_eq!(found(&router, "x", "/z"), "-/*");
        assert_eq!(found(&router, "a.B.test", "/a/b"), "*.b.test/a/*");
        assert_eq!(found(&router, "A.test", "/only"), "a.test/only");
        assert_eq!(
            found(&router, "a.test", "/a/b"),
            "*.test/a/*",
            "a host without a match falls through"
        );
        assert_eq!(found(&router, "test", "/a/b"), "-/a/b", "*.test is below test, not test");
    }

    #[test]
    fn no_route_is_no_route() {
        let routes = [route(0, Some("a.test"), None)];
        let router = Router::new(routes.iter());
        assert_eq!(found(&router, "b.test", "/"), "none");
        assert_eq!(found(&router, "a.test", "/"), "a.test-");
    }
}
