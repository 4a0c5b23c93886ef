//! What routes, listeners and upstreams carry: requests of HTTP, remote calls, or connections as they are.

use locum_proxy::route::HostPattern;

use super::file::{File, HeaderEdits, Listener, ListenerProtocol, Match, Route, UpstreamProtocol};
use super::findings::Findings;
use super::types::is_method;

/// What a route is for, its listener takes, its upstreams speak, and nothing is said of it that means nothing
/// there.
pub(super) fn check(index: usize, route: &Route, file: &File, findings: &mut Findings<'_>) {
    let path = |key: &str| format!("routes.{index}.{key}");
    if let Some(call) = &route.matches.call {
        check_call(&path("match.call"), call, findings);
    }
    if let Some(sni) = &route.matches.sni
        && let Err((reason, remedy)) = HostPattern::parse(sni)
    {
        findings.error(&path("match.sni"), reason, remedy);
    }
    match route.traffic(file) {
        Traffic::Http => {}
        Traffic::Calls => check_keys(index, route, "remote calls", findings),
        Traffic::Bytes => {
            check_keys(index, route, "connections", findings);
            if route.matches.call.is_some() {
                let remedy = "keep one of `call` and `sni`";
                findings.error_in_key(&path("match.call"), "a connection is no call", remedy);
            }
        }
    }
    check_fallback(index, route, file, findings);
    check_upstreams(index, route, file, findings);
    check_listeners(index, route, file, findings);
}

fn check_call(path: &str, call: &str, findings: &mut Findings<'_>) {
    let of_service = || {
        let service = call.strip_suffix(".*")?;
        is_method(&format!("{service}.Any")).then_some(())
    };
    if call != "*" && !is_method(call) && of_service().is_none() {
        let reason = format!("`{}` is no call", call.escape_debug());
        findings.error(path, reason, "write \"Arith.Divide\", \"Arith.*\" or \"*\"");
    }
}

/// What means something of HTTP requests only.
fn check_keys(index: usize, route: &Route, what: &str, findings: &mut Findings<'_>) {
    let matches = &route.matches;
    let given = [
        ("match.host", matches.host.is_some()),
        ("match.path", matches.path.is_some()),
        ("match.methods", !matches.methods.is_empty()),
        ("match.headers", !matches.headers.is_empty()),
        ("match.query", !matches.query.is_empty()),
        ("files", route.files.is_some()),
        ("respond", route.respond.is_some()),
        ("redirect", route.redirect.is_some()),
        ("maintenance", !route.maintenance.is_off()),
        ("cors", route.cors.is_some()),
        ("mirror", route.mirror.is_some()),
        ("compress", !route.compress.is_off()),
        ("split_key", route.split_key.is_some()),
        ("transcode", route.transcode.is_some()),
        ("host", route.host.is_some()),
        ("rewrite", route.rewrite.is_some()),
        ("request_headers", !route.request_headers.is_empty()),
        ("response_headers", !route.response_headers.is_empty()),
        ("max_body", route.max_body.is_some()),
    ];
    for (key, _) in given.iter().filter(|(_, given)| *given) {
        findings.error_in_key(
            &format!("routes.{index}.{key}"),
            format!("it is for HTTP requests, and the route is for {what}"),
            "remove it, or give it a route of its own",
        );
    }
}

/// What a policy has in store for a call takes the place of what the service would have returned.
fn check_fallback(index: usize, route: &Route, file: &File, findings: &mut Findings<'_>) {
    if route.traffic(file) == Traffic::Http && route.transcode.is_none() {
        return;
    }
    let Some(name) = &route.policy else { return };
    let fallback = file.policies.get(name).and_then(|policy| policy.fallback.as_ref());
    if fallback.is_some() && route.traffic(file) == Traffic::Bytes {
        let reason = format!("`{name}` has a fallback, and a connection cannot be answered");
        findings.error(&format!("routes.{index}.policy"), reason, "name another policy");
        return;
    }
    let is_json = |text: &str| serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
    if fallback.is_some_and(|fallback| !is_json(&fallback.body)) {
        let reason = format!("the fallback of `{name}` is no JSON, which a call is answered with");
        let remedy = "write its `body` in JSON, such as \"[]\", or name another policy";
        findings.error(&format!("routes.{index}.policy"), reason, remedy);
    }
}

fn check_upstreams(index: usize, route: &Route, file: &File, findings: &mut Findings<'_>) {
    let traffic = route.traffic(file);
    for (key, name) in route.leads_to() {
        let Some(upstream) = file.upstreams.get(name) else { continue };
        let (speaks, path) = (upstream.speaks(), format!("routes.{index}.{key}"));
        let wants = if route.transcode.is_some() { Traffic::Calls } else { traffic };
        if wants == speaks.carries() {
            continue;
        }
        let (reason, remedy) = match (wants, speaks.carries()) {
            (Traffic::Http, Traffic::Calls) => (
                format!("`{name}` speaks {}, and the route is for HTTP requests", speaks.name()),
                format!("match by `call`, or write transcode = {{ upstream = \"{name}\" }}"),
            ),
            (Traffic::Http, _) => (
                format!("`{name}` speaks {}, and the route is for HTTP requests", speaks.name()),
                "match by `sni` or anything, or name an upstream that speaks http1".to_owned(),
            ),
            (Traffic::Calls, _) => (
                format!("`{name}` speaks {}, which carries no remote calls", speaks.name()),
                "name an upstream whose `protocol` is gob, gob-http, json-rpc, json-rpc2 or native"
                    .to_owned(),
            ),
            (Traffic::Bytes, _) => (
                format!("`{name}` speaks {}, and the route is for connections", speaks.name()),
                "name an upstream whose `protocol` is tcp".to_owned(),
            ),
        };
        findings.error(&path, reason, remedy);
    }
}

fn check_listeners(index: usize, route: &Route, file: &File, findings: &mut Findings<'_>) {
    let traffic = route.traffic(file);
    let (what, protocol) = match traffic {
        Traffic::Http => ("HTTP requests", "http"),
        Traffic::Calls => ("remote calls", "rpc"),
        Traffic::Bytes => ("connections as they are", "tcp"),
    };
    if let Some(name) = &route.listener
        && let Some(listener) = file.listeners.get(name)
        && !listener.protocol.carries(traffic)
    {
        let reason = format!("`{name}` takes no {what}, which the route is for");
        let remedy = format!("name a listener whose `protocol` is \"{protocol}\" or \"auto\"");
        findings.error(&format!("routes.{index}.listener"), reason, remedy);
    }
    let carries = |listener: &Listener| listener.protocol.carries(traffic);
    if route.listener.is_none()
        && !file.listeners.is_empty()
        && !file.listeners.values().any(carries)
    {
        let reason = format!("it is never reached: no listener takes {what}, which it is for");
        let remedy = format!("add a listener with protocol = \"{protocol}\" or \"auto\"");
        findings.error_in_key(&format!("routes.{index}"), reason, remedy);
    }
}

/// What a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    /// Requests of HTTP.
    Http,
    /// Remote calls.
    Calls,
    /// Connections, as they are.
    Bytes,
}

impl UpstreamProtocol {
    pub(super) fn carries(self) -> Traffic {
        match self {
            Self::Tcp => Traffic::Bytes,
            _ if self.is_rpc() => Traffic::Calls,
            _ => Traffic::Http,
        }
    }
}

impl ListenerProtocol {
    pub(super) fn carries(self, traffic: Traffic) -> bool {
        match self {
            Self::Auto => true,
            Self::Http => traffic == Traffic::Http,
            Self::Rpc => traffic == Traffic::Calls,
            Self::Tcp => traffic == Traffic::Bytes,
        }
    }
}

impl Route {
    /// What it is for. A route that matches anything goes by its upstream.
    pub(super) fn traffic(&self, file: &File) -> Traffic {
        if self.matches.sni.is_some() {
            return Traffic::Bytes;
        }
        if self.matches.call.is_some() {
            return Traffic::Calls;
        }
        let anything = self.matches.is_anything();
        if !anything
            || self.respond.is_some()
            || self.redirect.is_some()
            || self.transcode.is_some()
        {
            return Traffic::Http;
        }
        let mut known = self.upstreams().filter_map(|name| file.upstreams.get(name));
        known.next().map_or(Traffic::Http, |upstream| upstream.speaks().carries())
    }

    /// The remote calls that it is for, if it is for these: `Arith.Divide`, `Arith.*` or `*`.
    pub(super) fn calls(&self, file: &File) -> Option<&str> {
        match self.traffic(file) {
            Traffic::Calls => Some(self.matches.call.as_deref().unwrap_or("*")),
            Traffic::Http | Traffic::Bytes => None,
        }
    }

    /// The upstreams that it leads to.
    pub(super) fn upstreams(&self) -> impl Iterator<Item = &str> {
        let shares = self.split.iter().map(|share| &share.upstream);
        let transcode = self.transcode.iter().map(|to| &to.upstream);
        let mirror = self.mirror.iter().map(|to| &to.upstream);
        let all = self.upstream.iter().chain(shares).chain(transcode).chain(mirror);
        all.map(String::as_str)
    }

    /// The same, each with the key that names it.
    pub(super) fn leads_to(&self) -> impl Iterator<Item = (String, &str)> {
        let one = self.upstream.iter().map(|_| "upstream".to_owned());
        let shares = (0..self.split.len()).map(|at| format!("split.{at}.upstream"));
        let transcode = self.transcode.iter().map(|_| "transcode.upstream".to_owned());
        let mirror = self.mirror.iter().map(|_| "mirror.upstream".to_owned());
        one.chain(shares).chain(transcode).chain(mirror).zip(self.upstreams())
    }

    /// The listeners that it serves.
    pub(super) fn served<'a>(
        &self,
        file: &'a File,
    ) -> impl Iterator<Item = (&'a String, &'a Listener)> {
        let traffic = self.traffic(file);
        file.listeners.iter().filter(move |(name, listener)| {
            listener.protocol.carries(traffic)
                && self.listener.as_ref().is_none_or(|wanted| wanted == *name)
        })
    }
}

impl Match {
    fn is_anything(&self) -> bool {
        let Self { host, path, methods, headers, query, call, sni } = self;
        host.is_none()
            && path.is_none()
            && methods.is_empty()
            && headers.is_empty()
            && query.is_empty()
            && call.is_none()
            && sni.is_none()
    }
}

impl HeaderEdits {
    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}
