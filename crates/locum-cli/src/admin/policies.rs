//! Policies as they stand, and the switch beside their breakers.

use std::collections::BTreeSet;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use locum_policy::gates::breaker::{self, Override, Per};
use locum_policy::gates::rate_limit;
use locum_policy::{Policy, Time, text};
use locum_proxy::now;
use locum_proxy::plan::Plan;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, body_of, json, problem, seconds, wrong_method};
use crate::running::Running;

/// All of them.
pub(super) fn all(running: &Running) -> Value {
    let now = now();
    running.proxy.plan().policies.iter().map(|policy| shown(policy, now)).collect()
}

/// Answers for what lies below `/api/v1/policies/`.
///
/// # Cancel safety
///
/// A switch is thrown whole or not at all.
pub(super) async fn below(path: &str, request: Request<Incoming>, running: &Running) -> Answer {
    let (name, part) = path.split_once('/').unwrap_or((path, ""));
    let plan = running.proxy.plan();
    let name = decoded(name);
    let Some(policy) = plan.policies.iter().find(|policy| policy.name() == name) else {
        let known = listed(plan.policies.iter().map(|policy| policy.name()));
        let detail = format!("there is no policy `{name}`; {known}");
        return problem(StatusCode::NOT_FOUND, &detail);
    };
    match (part, request.method()) {
        ("", &Method::GET | &Method::HEAD) => json(StatusCode::OK, &shown(policy, now())),
        ("", _) => wrong_method("GET, HEAD"),
        ("breaker/override", &Method::PUT) => throw(request, policy, &plan).await,
        ("breaker/override", _) => wrong_method("PUT"),
        _ => problem(StatusCode::NOT_FOUND, "there is nothing at this path"),
    }
}

/// What the switch is to be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    r#override: String,
    r#for: Option<String>,
    target: Option<String>,
}

/// Throws the switch beside the breakers of `policy`, as the body says.
async fn throw(request: Request<Incoming>, policy: &Policy, plan: &Plan) -> Answer {
    let bad = |detail: &str| problem(StatusCode::BAD_REQUEST, detail);
    let body = match body_of(request).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let switch: Switch = match serde_json::from_str(&body) {
        Ok(switch) => switch,
        Err(error) => {
            return bad(&format!(
                "the body cannot be read: {error}; write {{\"override\": \"force_open\"}}, and \
                 \"for\" or \"target\" beside it"
            ));
        }
    };
    let forced = match &*switch.r#override {
        "force_open" => Some(Override::ForceOpen),
        "force_closed" => Some(Override::ForceClosed),
        "none" => None,
        other => {
            return bad(&format!(
                "`{other}` is no override; write \"force_open\", \"force_closed\" or \"none\""
            ));
        }
    };
    let now = now();
    let expiry = match switch.r#for.as_deref().map(text::parse_duration) {
        None => Time::NEVER,
        Some(Ok(time)) if time > Duration::ZERO => now + time,
        Some(Ok(_)) => return bad("`for` is no time at all; write one such as \"10m\""),
        Some(Err(malformed)) => return bad(&format!("`for`: {malformed}")),
    };
    let Some(breaker) = &policy.settings().breaker else {
        let detail = format!(
            "the policy `{0}` has no breaker; add `breaker = {{}}` to `[policies.{0}]`",
            policy.name()
        );
        return bad(&detail);
    };
    if let Some(target) = &switch.target
        && let Some(known) = targets(policy, breaker.per, plan)
        && !known.contains(target)
    {
        let known = listed(known.iter().map(String::as_str));
        let detail =
            format!("the breaker of `{}` has no target `{target}`; {known}", policy.name());
        return problem(StatusCode::NOT_FOUND, &detail);
    }
    if !policy.force(switch.target.as_deref(), forced, expiry, now) {
        let detail = "the target shares a breaker with others, as there are too many; leave `target` \
                      out to mean all of them";
        return problem(StatusCode::CONFLICT, detail);
    }
    tracing::info!(
        policy = policy.name(),
        target = switch.target.as_deref().unwrap_or("all"),
        until = switch.r#for.as_deref().unwrap_or("further notice"),
        "a breaker's switch was thrown: {}",
        switch.r#override,
    );
    json(StatusCode::OK, &shown(policy, now))
}

/// Everything that a breaker of `policy` guards, or will once it is called; `None`: anything.
fn targets(policy: &Policy, per: Per, plan: &Plan) -> Option<BTreeSet<String>> {
    let upstreams = plan.upstreams.iter();
    let of_endpoints = |upstream: &locum_proxy::upstream::Upstream| {
        upstream.settings.endpoint_policy.as_deref() == Some(policy.name())
    };
    let endpoints =
        upstreams.clone().filter(|upstream| per == Per::Endpoint || of_endpoints(upstream));
    let endpoints = endpoints.flat_map(|upstream| &upstream.listed);
    let endpoints = endpoints.map(|listed| listed.settings.name.clone());
    match per {
        Per::Method => None,
        Per::Endpoint => Some(endpoints.collect()),
        Per::Upstream => Some(
            upstreams.map(|upstream| upstream.settings.name.clone()).chain(endpoints).collect(),
        ),
    }
}

/// One policy: what it says, and how its parts stand.
fn shown(policy: &Policy, now: Time) -> Value {
    let snapshot = policy.snapshot(now);
    let limit = |limit: &rate_limit::Snapshot| {
        json!({
            "rate": limit.settings.rate.to_string(),
            "remaining": limit.state.remaining,
            "keys": limit.keys,
        })
    };
    let concurrency = snapshot.concurrency.map(
        |cap| json!({ "in_flight": cap.in_flight, "waiting": cap.waiting, "limit": cap.limit }),
    );
    let breakers = snapshot.breakers.iter().map(|breaker| shown_breaker(breaker, now));
    let hedges = snapshot
        .hedges
        .iter()
        .map(|hedge| json!({ "upstream": hedge.upstream, "delay": hedge.delay.map(|delay| delay.as_secs_f64()) }));
    let throttles = snapshot.throttles.iter().map(|throttle| {
        json!({
            "target": throttle.target,
            "requests": throttle.requests,
            "accepts": throttle.accepts,
            "kept_back": throttle.kept_back as f64 / 1e3,
        })
    });
    json!({
        "name": policy.name(),
        "settings": serde_json::to_value(policy.settings()).unwrap_or(Value::Null),
        "breakers": breakers.collect::<Vec<_>>(),
        "rate_limits": snapshot.limits.iter().map(limit).collect::<Vec<_>>(),
        "retry_budget": snapshot.retry_balance,
        "hedge_delays": hedges.collect::<Vec<_>>(),
        "concurrency": concurrency,
        "throttles": throttles.collect::<Vec<_>>(),
    })
}

fn shown_breaker(breaker: &breaker::Snapshot, now: Time) -> Value {
    let forced = breaker.forced;
    let expiry = forced.map(|(_, expiry)| expiry).filter(|expiry| *expiry != Time::NEVER);
    json!({
        "target": breaker.target,
        "state": breaker.met().name(),
        "beneath": breaker.state.name(),
        "calls": breaker.calls,
        "failures": breaker.failures,
        "slow": breaker.slow,
        "retry_after": breaker.until.map(|until| seconds(until.since(now))),
        "trips": breaker.trips,
        "override": match forced {
            None => "none",
            Some((Override::ForceOpen, _)) => "force_open",
            Some((Override::ForceClosed, _)) => "force_closed",
        },
        "override_ends_in": expiry.map(|expiry| seconds(now.until(expiry))),
    })
}

pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    match names.is_empty() {
        true => "there is none".to_owned(),
        false => format!("there is {}", names.join(", ")),
    }
}

/// A path's segment as it was meant: `%20` is a space (RFC 3986 §2.1). What is no UTF-8 is no name.
pub(super) fn decoded(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).filter(|digits| *first == b'%' && is_hex(digits));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_hex(digits: &[u8]) -> bool {
    digits.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn a_name_in_a_path_may_be_escaped() {
        for (path, name) in [
            ("careful", "careful"),
            ("a%20b", "a b"),
            ("%C3%A9", "é"),
            ("100%", "100%"),
            ("%+1", "%+1"),
        ] {
            assert_eq!(decoded(path), name);
        }
    }
}
