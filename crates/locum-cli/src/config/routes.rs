//! What routes have to hold: one place to go, patterns that parse, a chance to be reached.

use std::collections::HashMap;

use locum_proxy::rewrite::server_length;
use locum_proxy::route::{HostPattern, PathPattern};

use super::fields::{check_edits, is_field_value, is_token};
use super::file::{
    Auth, AuthKind, Cors, File, Listener, Match, Mirror, Rewrite, Route, Transcode,
    UpstreamProtocol,
};
use super::findings::Findings;
use super::value::host_and_port;
use super::{answers, resolve, traffic, types};

pub(super) fn check(file: &File, findings: &mut Findings<'_>) {
    for (index, route) in file.routes.iter().enumerate() {
        check_route(index, route, file, findings);
    }
    check_names(file, findings);
    check_reach(file, findings);
}

impl Route {
    /// Its name, given or made up from what it matches and its place.
    pub(crate) fn name_at(&self, index: usize) -> String {
        let Match { path, call, sni, .. } = &self.matches;
        let matched = path.as_ref().or(call.as_ref()).or(sni.as_ref());
        self.name.as_ref().or(matched).cloned().unwrap_or_else(|| format!("route-{index}"))
    }
}

fn check_route(index: usize, route: &Route, file: &File, findings: &mut Findings<'_>) {
    let path = |key: &str| format!("routes.{index}.{key}");
    if let Some(listener) = &route.listener {
        findings.reference(&path("listener"), "listener", "listeners", listener, &file.listeners);
    }
    if let Some(policy) = &route.policy {
        findings.reference(&path("policy"), "policy", "policies", policy, &file.policies);
    }
    check_target(index, route, file, findings);
    traffic::check(index, route, file, findings);
    check_auth(index, route, file, findings);
    check_match(&path("match"), &route.matches, findings);
    if let Some(host) = &route.host
        && !matches!(host.as_str(), "preserve" | "upstream")
        && host_and_port(host).is_none()
    {
        let remedy = "write \"preserve\", \"upstream\" or a name such as \"users.internal\"";
        findings.error(&path("host"), format!("`{}` is no host", host.escape_debug()), remedy);
    }
    if let Some(priority) = route.priority.filter(|priority| *priority > 3) {
        let reason = format!("there is no priority {priority}");
        findings.error(&path("priority"), reason, "write 0 (shed first), 1, 2 or 3 (shed last)");
    }
    if let Some(rewrite) = &route.rewrite {
        check_rewrite(&path("rewrite"), rewrite, &route.matches, findings);
    }
    if let Some(mirror) = &route.mirror {
        check_mirror(&path("mirror"), mirror, file, findings);
    }
    if let Some(cors) = &route.cors {
        check_cors(&path("cors"), cors, findings);
    }
    check_edits(&path("request_headers"), &route.request_headers, findings);
    check_edits(&path("response_headers"), &route.response_headers, findings);
}

fn check_target(index: usize, route: &Route, file: &File, findings: &mut Findings<'_>) {
    let path = |key: &str| format!("routes.{index}.{key}");
    let given = [
        ("upstream", route.upstream.is_some()),
        ("split", !route.split.is_empty()),
        ("files", route.files.is_some()),
        ("respond", route.respond.is_some()),
        ("redirect", route.redirect.is_some()),
        ("transcode", route.transcode.is_some()),
    ];
    let given: Vec<_> = given.iter().filter(|(_, given)| *given).map(|(key, _)| *key).collect();
    match given[..] {
        [] => findings.error(
            &format!("routes.{index}"),
            "the route leads nowhere",
            "add `upstream`, `split`, `files`, `respond`, `redirect` or `transcode`",
        ),
        [_] => {}
        [first, second, ..] => findings.error_in_key(
            &path(second),
            format!("the route already has `{first}`"),
            "keep one of `upstream`, `split`, `files`, `respond`, `redirect` and `transcode`",
        ),
    }
    for (key, upstream) in route.leads_to() {
        findings.reference(&path(&key), "upstream", "upstreams", upstream, &file.upstreams);
    }
    if let Some(transcode) = &route.transcode {
        check_transcode(index, transcode, route, findings);
    }
    if !route.split.is_empty() && route.split.iter().all(|share| share.weight == 0) {
        let reason = "all weights are 0, so no call could go anywhere";
        findings.error(&path("split"), reason, "give one upstream a weight above 0");
    }
    answers::check(index, route, findings);
    if let Some(key) = &route.split_key {
        if route.split.is_empty() {
            let reason = "there is nothing to decide between";
            findings.error_in_key(&path("split_key"), reason, "remove it, or add `split`");
        } else if resolve::split_key(key).is_none() {
            let reason = format!("`{}` is no such key", key.escape_debug());
            let remedy = "write \"header:x-user\", \"cookie:session\" or \"client-ip\"";
            findings.error(&path("split_key"), reason, remedy);
        }
    }
    if let Some(redirect) = &route.redirect {
        if !REDIRECTS.contains(&redirect.status) {
            let reason = format!("{} is no redirect", redirect.status);
            findings.error(&path("redirect.status"), reason, "write 301, 302, 303, 307 or 308");
        }
        if redirect.to.is_empty() || !is_field_value(&redirect.to) || redirect.to.contains(' ') {
            let remedy = "write a URL such as \"https://example.com/{id}\"";
            findings.error(&path("redirect.to"), "it is no place to go to", remedy);
        }
        check_parameters(&path("redirect.to"), &redirect.to, &route.matches, findings);
        check_place(&path("redirect.to"), &redirect.to, &route.matches, findings);
    }
}

fn check_mirror(path: &str, mirror: &Mirror, file: &File, findings: &mut Findings<'_>) {
    if !(mirror.percent > 0.0 && mirror.percent <= 100.0) {
        let reason = format!("{} is no share of a hundred calls", mirror.percent);
        findings.error(&format!("{path}.percent"), reason, "write a number above 0, at most 100");
    }
    let speaks = file.upstreams.get(&mirror.upstream).map(|upstream| upstream.speaks());
    if let Some(speaks) = speaks.filter(|speaks| *speaks != UpstreamProtocol::Http1) {
        let reason =
            format!("`{}` speaks {}, which no copy is made in", mirror.upstream, speaks.name());
        findings.error(&format!("{path}.upstream"), reason, "name an upstream that speaks http1");
    }
}

fn check_cors(path: &str, cors: &Cors, findings: &mut Findings<'_>) {
    let key = |key: &str| format!("{path}.{key}");
    if cors.origins.is_empty() {
        let remedy = "add origins = [\"https://app.example.com\"]";
        findings.error_in_key(path, "no page may read anything anyhow", remedy);
    }
    for (index, origin) in cors.origins.iter().enumerate() {
        if origin == "*" && cors.credentials {
            let reason = "with credentials any page could act for whoever looks at it";
            findings.error(&key(&format!("origins.{index}")), reason, "name the origins");
        } else if !is_origin(origin) {
            let reason = format!("`{}` is no origin", origin.escape_debug());
            let remedy = "write one such as \"https://app.example.com\", without a path";
            findings.error(&key(&format!("origins.{index}")), reason, remedy);
        }
    }
    let lists = [("methods", &cors.methods), ("headers", &cors.headers), ("expose", &cors.expose)];
    for (name, list) in lists {
        for (index, item) in list.iter().enumerate().filter(|(_, item)| !is_token(item)) {
            let reason = format!("`{}` is no name", item.escape_debug());
            findings.error(&key(&format!("{name}.{index}")), reason, "use letters, digits and `-`");
        }
    }
}

/// `*`, or a scheme and a host, and perhaps a port; `null` is nobody's own.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return text == "*" };
    let host = host.strip_prefix("*.").unwrap_or(host);
    !scheme.is_empty()
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && host_and_port(host).is_some()
}

/// The method is what follows the prefix of the path.
fn check_transcode(
    index: usize,
    transcode: &Transcode,
    route: &Route,
    findings: &mut Findings<'_>,
) {
    let path = |key: &str| format!("routes.{index}.{key}");
    types::check(&path("transcode.types"), &transcode.types, findings);
    let is_prefix =
        |path: &str| matches!(PathPattern::parse(path), Ok(PathPattern::Prefix(_)) | Err(_));
    if !route.matches.path.as_deref().is_some_and(is_prefix) && route.matches.call.is_none() {
        let reason = "the method to call is what follows a prefix, and the path has none";
        findings.error(&path("match.path"), reason, "match a path such as \"/rpc/*\"");
    }
    let given = [("host", route.host.is_some()), ("rewrite", route.rewrite.is_some())];
    for (key, _) in given.iter().filter(|(_, given)| *given) {
        let reason = "it is for requests that are passed on, and these are made as remote calls";
        findings.error_in_key(&path(key), reason, "remove it");
    }
}

/// What is named has to be there, and able to let somebody in.
fn check_auth(index: usize, route: &Route, file: &File, findings: &mut Findings<'_>) {
    for (place, name) in route.auth.iter().enumerate() {
        let path = format!("routes.{index}.auth.{place}");
        findings.reference(&path, "auth", "auth", name, &file.auth);
        let wants_certificate = |auth: &Auth| auth.kind == AuthKind::Mtls;
        if !file.auth.get(name).is_some_and(wants_certificate) {
            continue;
        }
        let asks =
            |listener: &Listener| listener.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let served: Vec<_> = route.served(file).collect();
        if !served.is_empty() && !served.iter().any(|(_, listener)| asks(listener)) {
            let reason = "nobody gets in: no listener of the route asks for certificates";
            findings.error(&path, reason, "add `client_ca` to the `tls` of its listener");
        }
    }
}

fn check_match(path: &str, matches: &Match, findings: &mut Findings<'_>) {
    if let Some(Err((reason, remedy))) = matches.host.as_deref().map(HostPattern::parse) {
        findings.error(&format!("{path}.host"), reason, remedy);
    }
    if let Some(Err((reason, remedy))) = matches.path.as_deref().map(PathPattern::parse) {
        findings.error(&format!("{path}.path"), reason, remedy);
    }
    for (index, method) in matches.methods.iter().enumerate() {
        let path = format!("{path}.methods.{index}");
        if !is_token(method) {
            let reason = format!("`{}` is no method", method.escape_debug());
            findings.error(&path, reason, "write one such as \"GET\"");
        } else if STANDARD.contains(&&*method.to_ascii_uppercase())
            && !STANDARD.contains(&&**method)
        {
            let reason = format!("methods are case-sensitive, and nobody sends `{method}`");
            findings.error(&path, reason, format!("write \"{}\"", method.to_ascii_uppercase()));
        }
    }
    for (name, value) in &matches.headers {
        if !is_token(name) || !is_field_value(value) {
            let remedy = "write { \"x-name\" = \"value\" }";
            findings.error_in_key(
                &format!("{path}.headers.{name}"),
                "no header is like this",
                remedy,
            );
        }
    }
}

fn check_rewrite(path: &str, rewrite: &Rewrite, matches: &Match, findings: &mut Findings<'_>) {
    let given = match (&rewrite.prefix, &rewrite.path) {
        (Some(prefix), None) => ("prefix", prefix),
        (None, Some(path)) => ("path", path),
        (None, None) => {
            findings.error(path, "nothing is said to be rewritten", "add `prefix` or `path`");
            return;
        }
        (Some(_), Some(_)) => {
            let reason = "a path cannot be both replaced and given a prefix";
            findings.error(path, reason, "keep one of `prefix` and `path`");
            return;
        }
    };
    let (key, value) = given;
    let path = format!("{path}.{key}");
    let in_path = |byte: u8| byte.is_ascii_graphic() && !b"?#\\".contains(&byte);
    if !value.starts_with('/') || !value.bytes().all(in_path) {
        let reason = format!("`{}` is no path", value.escape_debug());
        findings.error(&path, reason, "begin with `/`, without space, `?` and `#`");
    }
    if key == "path" {
        check_parameters(&path, value, matches, findings);
    }
}

/// Every `{name}` in `text` has to be a part of the path that the route matches.
fn check_parameters(path: &str, text: &str, matches: &Match, findings: &mut Findings<'_>) {
    let Ok(pattern) = matches.path.as_deref().map_or(Ok(PathPattern::Any), PathPattern::parse)
    else {
        return;
    };
    let names =
        text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    for name in names.filter(|name| !pattern.has_part(name)) {
        let reason = format!("`{{{name}}}` is not in the route's path");
        let remedy = match pattern {
            PathPattern::Regex(_) => {
                "name a group of the expression, such as `(?<id>[0-9]+)`, or its number".to_owned()
            }
            _ => format!("match a path such as \"/things/{{{name}}}\""),
        };
        findings.error(path, reason, remedy);
    }
}

/// Where a redirect leads is said by who wrote it, and not by who asks: groups of an expression may be anything.
fn check_place(path: &str, to: &str, matches: &Match, findings: &mut Findings<'_>) {
    let by_groups = matches.path.as_deref().is_some_and(|path| path.starts_with('~'));
    let (server, rest) = to.split_at(server_length(to));
    let decided = match server.is_empty() {
        true => rest.starts_with('/'),
        false => !server.contains('{') && !rest.starts_with('{'),
    };
    if by_groups && to.contains('{') && !decided {
        let reason = "whoever asks would say which server it leads to";
        let remedy = "begin with `/`, or with a server such as \"https://example.com/\"";
        findings.error(path, reason, remedy);
    }
}

/// Metrics and logs tell routes apart by their names.
fn check_names(file: &File, findings: &mut Findings<'_>) {
    let mut first = HashMap::new();
    for (index, route) in file.routes.iter().enumerate() {
        let name = route.name_at(index);
        let path = format!("routes.{index}.name");
        if name.is_empty() || name.len() > 256 || name.chars().any(char::is_control) {
            let reason = format!("`{}` cannot be a name", name.escape_debug());
            findings.error(&path, reason, "use at most 256 characters that can be seen");
        }
        let Some(earlier) = first.insert(name.clone(), index) else { continue };
        // Without a name of its own a route is unreachable rather than misnamed; that is told there.
        if route.name.is_some() {
            let reason = format!("`{name}` is already the name of routes[{earlier}]");
            findings.error(&path, reason, "choose another name");
        }
    }
}

/// A route is never reached if an earlier one of the same rank takes all of its calls.
fn check_reach(file: &File, findings: &mut Findings<'_>) {
    // Each is compared with those alone that are for the same host and path: of thousands, few are.
    let mut alike: HashMap<_, Vec<usize>> = HashMap::new();
    for (index, route) in file.routes.iter().enumerate() {
        let alike = alike.entry(place(&route.matches)).or_default();
        let covering = alike.iter().find(|&&at| covers(&file.routes[at], route, file)).copied();
        alike.push(index);
        let Some(at) = covering else { continue };
        let earlier = &file.routes[at];
        findings.error_in_key(
            &format!("routes.{index}"),
            format!(
                "it is never reached: `{}` (routes[{at}]) takes all of its calls",
                earlier.name_at(at)
            ),
            "remove it, or match more narrowly before it",
        );
    }
}

/// Where a route is in the order of routes: its names, and its path whatever its parameters are called.
fn place(matches: &Match) -> [Option<String>; 3] {
    let lower = |name: &Option<String>| name.as_deref().map(str::to_ascii_lowercase);
    [lower(&matches.sni), lower(&matches.host), matches.path.as_deref().map(shape)]
}

/// Whether the earlier of two routes of the same place takes all calls of the later one.
fn covers(earlier: &Route, later: &Route, file: &File) -> bool {
    let (one, other) = (&earlier.matches, &later.matches);
    let among = |method| one.methods.contains(method);
    (earlier.listener.is_none() || earlier.listener == later.listener)
        && earlier.calls(file) == later.calls(file)
        && earlier.traffic(file) == later.traffic(file)
        && (one.methods.is_empty()
            || (!other.methods.is_empty() && other.methods.iter().all(among)))
        && one.headers.iter().all(|(name, value)| other.headers.get(name) == Some(value))
        && one.query.iter().all(|(name, value)| other.query.get(name) == Some(value))
}

/// A path pattern in which the names of parameters do not matter.
fn shape(path: &str) -> String {
    if path.starts_with('~') {
        return path.to_owned();
    }
    let segment = |segment: &str| match segment.starts_with('{') && segment.ends_with('}') {
        true => "{}".to_owned(),
        false => segment.to_owned(),
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];
/// RFC 9110 §9.1 and RFC 5789.
const STANDARD: [&str; 9] =
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
