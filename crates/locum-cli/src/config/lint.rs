//! What is allowed, but hardly meant.

use super::check::Findings;
use super::file::{File, Route};
use super::suspect;

/// Warns of policies that cost more than they seem to or do nothing, and of what nobody uses.
pub(super) fn lint(file: &File, findings: &mut Findings<'_>) {
    for (name, policy) in &file.policies {
        for doubt in suspect::doubts(policy) {
            findings.warning(&format!("policies.{name}.{}", doubt.key), doubt.reason, doubt.remedy);
        }
    }
    lint_use(file, findings);
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
    for name in file.upstreams.keys() {
        let leads_there = |route: &Route| route.leads_to().iter().any(|(_, to)| to == name);
        if !file.routes.iter().any(leads_there) {
            findings.warning(
                &format!("upstreams.{name}"),
                "no route leads to it",
                "remove it, or add a route",
            );
        }
    }
    for name in file.auth.keys() {
        if !file.routes.iter().any(|route| route.auth.contains(name)) {
            let remedy = "name it in a route's `auth`, or remove it";
            findings.warning(&format!("auth.{name}"), "nothing uses it", remedy);
        }
    }
    for name in file.policies.keys() {
        let of_route = file.routes.iter().any(|route| route.policy.as_ref() == Some(name));
        let guards =
            |upstream: &super::file::Upstream| upstream.endpoint_policy.as_ref() == Some(name);
        if !of_route && !file.upstreams.values().any(guards) {
            let remedy = "name it in a route's `policy`, or remove it";
            findings.warning(&format!("policies.{name}"), "nothing uses it", remedy);
        }
    }
}
