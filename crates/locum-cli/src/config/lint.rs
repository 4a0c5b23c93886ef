//! What is allowed, but hardly meant.

use super::check::Findings;
use super::file::File;
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
        let served = |listener: &Option<String>| listener.as_ref().is_none_or(|one| one == name);
        if !file.routes.iter().any(|route| served(&route.listener)) {
            let reason = "no route serves it, so every call is answered 404";
            findings.warning(&format!("listeners.{name}"), reason, "add `[[routes]]`");
        }
    }
    for name in file.upstreams.keys() {
        let takes = |upstream: &String| upstream == name;
        let used = file.routes.iter().any(|route| {
            route.upstream.as_ref().is_some_and(takes)
                || route.split.iter().any(|share| takes(&share.upstream))
        });
        if !used {
            findings.warning(
                &format!("upstreams.{name}"),
                "no route leads to it",
                "remove it, or add a route",
            );
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
