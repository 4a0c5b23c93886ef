//! What is allowed, but hardly meant.

use std::time::Duration;

use locum_policy::gates::breaker::{Per, Window};
use locum_policy::{Mode, Settings, text};

use super::check::Findings;
use super::file::File;

/// Warns of policies that cost more than they seem to or do nothing, and of what nobody uses.
pub(super) fn lint(file: &File, findings: &mut Findings<'_>) {
    for (name, policy) in &file.policies {
        lint_times(name, policy, findings);
        lint_amplification(name, policy, findings);
        lint_breaker(name, policy, findings);
    }
    lint_use(file, findings);
}

fn lint_times(name: &str, policy: &Settings, findings: &mut Findings<'_>) {
    let path = |key: &str| format!("policies.{name}.{key}");
    if let (Some(timeout), Some(attempt)) = (policy.timeout, policy.attempt_timeout)
        && attempt >= timeout
    {
        let (timeout, attempt) = (text::duration(timeout), text::duration(attempt));
        findings.warning(
            &path("attempt_timeout"),
            format!("an attempt may take {attempt}, the whole call only {timeout}"),
            "shorten it below `timeout`, or remove it",
        );
    }
    let Some(retry) = policy.retry.as_ref().filter(|retry| retry.attempts > 1) else { return };
    let Some(attempt) = policy.attempt_timeout else {
        if policy.timeout.is_none() {
            findings.warning(
                &path("retry"),
                "a call has no end: neither it nor its attempts have a timeout",
                "set `timeout` and `attempt_timeout`",
            );
        }
        return;
    };
    // Attempts that time out, and between them the longest waits that the back-off may draw.
    let waits = (1..retry.attempts).map(|retry_number| {
        let doubled =
            retry.base.saturating_mul(1_u32.checked_shl(retry_number - 1).unwrap_or(u32::MAX));
        doubled.min(retry.cap)
    });
    let attempts = attempt.saturating_mul(retry.attempts);
    let worst = waits.fold(attempts, Duration::saturating_add);
    match policy.timeout {
        Some(timeout) if attempts > timeout => findings.warning(
            &path("attempt_timeout"),
            format!(
                "{} attempts of {} take {}, longer than the {} of `timeout`: the last are cut off or never made",
                retry.attempts,
                text::duration(attempt),
                text::duration(attempts),
                text::duration(timeout),
            ),
            "shorten `attempt_timeout`, or lengthen `timeout`",
        ),
        Some(_) => {}
        None => findings.warning(
            &path("retry"),
            format!("a call may take {} in the worst case", text::duration(worst)),
            "set `timeout` to what a caller will wait",
        ),
    }
}

/// Warns if one call may become many.
fn lint_amplification(name: &str, policy: &Settings, findings: &mut Findings<'_>) {
    let Some(retry) = &policy.retry else { return };
    let unbounded = retry.budget.ratio >= 1.0;
    if retry.attempts > MANY_ATTEMPTS || (unbounded && retry.attempts > 1) {
        let most = f64::from(retry.attempts).min(1.0 + retry.budget.ratio);
        findings.warning(
            &format!("policies.{name}.retry"),
            format!(
                "when everything fails, the upstream gets {most} times the load (one call up to {} times)",
                retry.attempts
            ),
            "lower `attempts`, or `budget.ratio` below 1",
        );
    }
}

/// Warns of a breaker that can never trip.
fn lint_breaker(name: &str, policy: &Settings, findings: &mut Findings<'_>) {
    let Some(breaker) = &policy.breaker else { return };
    let path = format!("policies.{name}.breaker");
    if breaker.mode.unwrap_or(policy.mode) == Mode::Off {
        return;
    }
    let Window::Time(window) = breaker.window else { return };
    // As many calls as the limit lets through in the window.
    let admitted = policy.rate_limit.iter().filter(|limit| limit.key.is_empty()).map(|limit| {
        let share = window.as_secs_f64() / limit.rate.period().as_secs_f64();
        limit.rate.count.get() as f64 * share + limit.burst.unwrap_or(0) as f64
    });
    let most = admitted.fold(f64::INFINITY, f64::min);
    if breaker.per == Per::Upstream
        && breaker.consecutive.is_none()
        && most < breaker.min_calls as f64
    {
        findings.warning(
            &format!("{path}.min_calls"),
            format!(
                "the breaker can never trip: the rate limit lets {most:.0} calls through in {}, fewer than {}",
                text::duration(window),
                breaker.min_calls
            ),
            "lower `min_calls`, or widen `window`",
        );
    }
    let attempts = policy.attempt_timeout.or(policy.timeout);
    if let (Some(slow), Some(longest)) = (&breaker.slow, attempts)
        && slow.threshold >= longest
    {
        findings.warning(
            &format!("{path}.slow"),
            format!("no attempt is ever slow: it ends after {} anyway", text::duration(longest)),
            "lower `threshold` below the timeout",
        );
    }
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

/// More than this is rarely meant: what fails three times fails four times.
const MANY_ATTEMPTS: u32 = 5;
