//! What is allowed, but hardly meant.

use std::collections::HashSet;

use locum_policy::Settings;

use super::file::{AuthKind, File, ListenerProtocol, Route};
use super::findings::Findings;
use super::suspect;
use super::types::is_method;

/// Warns of policies that cost more than they seem to or do nothing, and of what nobody uses.
pub(super) fn lint(file: &File, findings: &mut Findings<'_>) {
    for (name, policy) in &file.policies {
        for doubt in suspect::doubts(policy) {
            findings.warning(&format!("policies.{name}.{}", doubt.key), doubt.reason, doubt.remedy);
        }
    }
    lint_keys(file, findings);
    lint_use(file, findings);
}

/// Warns of keys that may come in the clear: an `auto` listener takes clients without TLS beside those with.
fn lint_keys(file: &File, findings: &mut Findings<'_>) {
    for (name, listener) in &file.listeners {
        let may_be_plain = listener.protocol == ListenerProtocol::Auto
            && listener.tls.as_ref().is_some_and(|tls| tls.client_ca.is_none());
        let is_key =
            |auth: &String| file.auth.get(auth).is_some_and(|auth| auth.kind == AuthKind::ApiKey);
        let takes_key = |route: &Route| {
            route.auth.iter().any(is_key) && route.served(file).any(|(served, _)| served == name)
        };
        let mut routes = file.routes.iter().enumerate();
        if may_be_plain && let Some((index, route)) = routes.find(|(_, route)| takes_key(route)) {
            let reason = format!(
                "clients may speak without TLS to it, and `{}` (routes[{index}]) asks them for a key, which others could read then",
                route.name_at(index)
            );
            let remedy = "take \"http\" and \"rpc\" on a listener each, where `tls` is a must";
            findings.warning(&format!("listeners.{name}.protocol"), reason, remedy);
        }
    }
}

/// Warns of what is defined and not used.
fn lint_use(file: &File, findings: &mut Findings<'_>) {
    if file.listeners.is_empty() && file.upstreams.is_empty() && file.routes.is_empty() {
        // Nothing but policies: a file for the simulator and the library.
        return;
    }
    for name in file.listeners.keys() {
        let serves = |route: &Route| route.served(file).any(|(served, _)| served == name);
        if !file.routes.iter().any(serves) {
            let reason = "no route serves it, so it has no answer to any call";
            findings.warning(&format!("listeners.{name}"), reason, "add `[[routes]]`");
        }
    }
    let of_routes = file.routes.iter().flat_map(Route::upstreams);
    let failovers = file.upstreams.values().filter_map(|upstream| upstream.failover.as_deref());
    let used: HashSet<&str> = of_routes.chain(failovers).collect();
    for name in file.upstreams.keys().filter(|name| !used.contains(name.as_str())) {
        findings.warning(
            &format!("upstreams.{name}"),
            "no route leads to it",
            "remove it, or add a route",
        );
    }
    for name in file.auth.keys() {
        if !file.routes.iter().any(|route| route.auth.contains(name)) {
            let remedy = "name it in a route's `auth`, or remove it";
            findings.warning(&format!("auth.{name}"), "nothing uses it", remedy);
        }
    }
    for (name, policy) in &file.policies {
        lint_methods(name, policy, file, findings);
        let of_route = file.routes.iter().any(|route| route.policy.as_ref() == Some(name));
        let guards =
            |upstream: &super::file::Upstream| upstream.endpoint_policy.as_ref() == Some(name);
        if !of_route && !file.upstreams.values().any(guards) {
            let remedy = "name it in a route's `policy`, or remove it";
            findings.warning(&format!("policies.{name}"), "nothing uses it", remedy);
        }
    }
}

/// Warns of methods that no call under the policy goes by: a name that is mistyped says nothing at all.
fn lint_methods(name: &str, policy: &Settings, file: &File, findings: &mut Findings<'_>) {
    let under: Vec<_> = file
        .routes
        .iter()
        .enumerate()
        .filter(|(_, route)| route.policy.as_deref() == Some(name))
        .collect();
    if under.is_empty() {
        return;
    }
    for method in policy.methods.keys() {
        let goes_by = |(index, route): &(usize, &Route)| match route.calls(file) {
            Some(calls) => covers(calls, method),
            None if route.transcode.is_some() => is_method(method),
            None => route.name_at(*index) == *method,
        };
        if !under.iter().any(goes_by) {
            let path = format!("policies.{name}.methods.{method}");
            let remedy = "write the method of a remote call, or the name of a route";
            findings.warning(&path, "no call under this policy goes by that name", remedy);
        }
    }
}

/// Whether `calls`, such as `Arith.*`, holds `method`.
fn covers(calls: &str, method: &str) -> bool {
    match (calls.strip_suffix(".*"), method.rsplit_once('.')) {
        _ if calls == "*" => is_method(method),
        (Some(service), Some((of, _))) => service == of,
        _ => calls == method,
    }
}
