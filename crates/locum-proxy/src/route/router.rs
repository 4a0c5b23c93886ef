//! Finds the route of a request among those of one listener.
//!
//! First match wins, in the order: most specific host, then exact path, template, longest prefix,
//! regex, then the order of the file. All but expressions are looked up (table.rs).

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::matcher::{HostPattern, PathPattern, Subject};
use super::table::{ByLength, Paths};
use super::{Route, Traffic};

/// The routes of one listener.
#[derive(Default)]
pub(crate) struct Router {
    hosts: Hosts<Group>,
    calls: Calls,
    /// By the server that the client of a connection names.
    connections: Hosts<Option<Arc<Route>>>,
}

/// What there is for hosts, by their patterns.
#[derive(Default)]
struct Hosts<T> {
    exact: FxHashMap<Box<[u8]>, T>,
    /// By what is above them.
    suffix: ByLength<T>,
    any: T,
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

/// The routes of one host pattern.
#[derive(Default)]
struct Group {
    paths: Paths,
    /// The same ones, in the order in which they are told of: by rank, then by their order in the file.
    in_order: Vec<Arc<Route>>,
}

impl Router {
    pub(crate) fn new<'a>(routes: impl Iterator<Item = &'a Arc<Route>>) -> Self {
        let mut router = Self::default();
        for route in routes {
            match route.traffic() {
                Traffic::Calls => router.calls.push(route),
                Traffic::Http => router.hosts.at(&route.matcher.host).push(Arc::clone(route)),
                // Of several for the same connections the first of the file wins.
                Traffic::Bytes => {
                    let first = router.connections.at(&route.matcher.sni);
                    first.get_or_insert_with(|| Arc::clone(route));
                }
            }
        }
        for group in router.hosts.values_mut() {
            // A stable sort keeps the order of the file within a rank.
            group.in_order.sort_by_key(|route| route.matcher.rank());
        }
        router
    }

    /// The route that `subject` takes.
    pub(crate) fn find(&self, subject: &Subject<'_>) -> Option<&Arc<Route>> {
        self.hosts.find(subject.host, |group| group.paths.find(subject))
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
        match server_name {
            Some(name) => self.connections.find(name.as_bytes(), Option::as_ref),
            None => self.connections.any.as_ref(),
        }
    }

    /// Whether any route is for connections.
    pub(crate) fn carries_connections(&self) -> bool {
        self.connections.any.is_some() || self.asks_for_server_names()
    }

    /// Whether it matters to connections which server their clients name.
    pub(crate) fn asks_for_server_names(&self) -> bool {
        !self.connections.exact.is_empty() || !self.connections.suffix.is_empty()
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

    /// The routes that are looked at for `subject`, in order; of those for exact paths, those for its own.
    pub(super) fn in_order<'a>(&'a self, subject: &Subject<'_>) -> Vec<&'a Arc<Route>> {
        let mut routes = Vec::new();
        self.hosts.find(subject.host, |group| {
            routes.extend(group.in_order.iter().filter(|route| match &route.matcher.path {
                PathPattern::Exact(path) => **path == *subject.path,
                _ => true,
            }));
            None::<()>
        });
        routes
    }
}

impl<T: Default> Hosts<T> {
    fn at(&mut self, host: &HostPattern) -> &mut T {
        match host {
            HostPattern::Any => &mut self.any,
            HostPattern::Exact(name) => self.exact.entry(name.clone()).or_default(),
            HostPattern::Suffix(suffix) => self.suffix.at(suffix),
        }
    }

    fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.exact.values_mut().chain(self.suffix.values_mut()).chain([&mut self.any])
    }
}

impl<T> Hosts<T> {
    /// What `take` takes first of what there is for `host`: for its name, for the names above it, the nearest first,
    /// for any.
    fn find<'a, R>(&'a self, host: &[u8], mut take: impl FnMut(&'a T) -> Option<R>) -> Option<R> {
        if self.exact.is_empty() && self.suffix.is_empty() {
            return take(&self.any);
        }
        let host = match host.iter().any(u8::is_ascii_uppercase) {
            true => Cow::Owned(host.to_ascii_lowercase()),
            false => Cow::Borrowed(host),
        };
        // A name is not above itself.
        let above = |length: usize| host.len().checked_sub(length).filter(|at| *at > 0);
        let exact = self.exact.get(&*host).and_then(&mut take);
        exact
            .or_else(|| self.suffix.longest(|length| Some(&host[above(length)?..]), &mut take))
            .or_else(|| take(&self.any))
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
        self.in_order.push(Arc::clone(&route));
        self.paths.push(route);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Action, Match, Settings};
    use super::*;

    fn route(index: usize, host: Option<&str>, path: Option<&str>) -> Arc<Route> {
        let name = format!("{}{}", host.unwrap_or("-"), path.unwrap_or("-"));
        let action = Action::Redirect { status: 308, to: "/".into() };
        let [host, path] = [host, path].map(|part| part.map(Into::into));
        let matches = Match { host, path, ..Match::default() };
        let settings = Settings { matches, ..Settings::new(&name, action) };
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

    /// How far from a host's own name a pattern is that it is for.
    fn distance(pattern: &HostPattern, host: &str) -> Option<usize> {
        let host = host.to_ascii_lowercase();
        match pattern {
            HostPattern::Any => Some(usize::MAX),
            HostPattern::Exact(name) => (**name == *host.as_bytes()).then_some(0),
            HostPattern::Suffix(suffix) => {
                let name = host.as_bytes().strip_suffix(&**suffix)?;
                (!name.is_empty()).then_some(name.len())
            }
        }
    }

    #[test]
    fn what_is_looked_up_is_what_a_look_at_all_finds() {
        let hosts =
            [None, Some("a.test"), Some("b.a.test"), Some("*.test"), Some("*.a.test"), Some("*.t")];
        let paths = "/ /a /a/ /a/b /{x} /{x}/b /a/{y} /{x}/{y} /{x}/ /{x}/{y}/c /* /a/* /a/b/* /a//* ~/a/.* ~/[ab]";
        let paths: Vec<_> = [None].into_iter().chain(paths.split(' ').map(Some)).collect();
        let asked_hosts = ["a.test", "B.a.test", "c.b.a.test", ".test", "test", "x.t", "at", ""];
        let asked_paths =
            "/ /a /a/ /a/b /a/b/ /a//x /b /b/b /c/d /c/ /x/y/c /a/b/c /a/b/c/d // * /ab";
        let mut random = 7_u32;
        let mut chance = |of: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) % of
        };
        for _ in 0..60 {
            let pairs = hosts.iter().flat_map(|host| paths.iter().map(move |path| (*host, *path)));
            let mut pairs: Vec<_> = pairs.filter(|_| chance(3) == 0).collect();
            pairs.sort_by_cached_key(|_| chance(1 << 20));
            let routes: Vec<_> =
                (0..).zip(pairs).map(|(index, (host, path))| route(index, host, path)).collect();
            let router = Router::new(routes.iter());
            for host in asked_hosts {
                for path in asked_paths.split(' ') {
                    let fitting = routes.iter().filter_map(|route| {
                        let distance = distance(&route.matcher.host, host)?;
                        let fits = route.matcher.path.matches(path.as_bytes());
                        fits.then(|| ((distance, route.matcher.rank(), route.index), route))
                    });
                    let first = fitting.min_by_key(|(order, _)| *order);
                    let first = first.map_or("none", |(_, route)| &route.settings.name);
                    assert_eq!(found(&router, host, path), first, "{host}{path}");
                }
            }
        }
    }

    #[test]
    fn no_route_is_no_route() {
        let routes = [route(0, Some("a.test"), None)];
        let router = Router::new(routes.iter());
        assert_eq!(found(&router, "b.test", "/"), "none");
        assert_eq!(found(&router, "a.test", "/"), "a.test-");
    }
}
