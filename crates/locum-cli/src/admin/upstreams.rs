//! Upstreams and their endpoints as they stand, and the switch that takes an endpoint out.

use hyper::{Method, StatusCode};
use locum_policy::Time;
use locum_policy::gates::breaker::Watch;
use locum_proxy::plan::Plan;
use locum_proxy::upstream::health::Health;
use locum_proxy::upstream::{Listed, Upstream, discover};
use locum_proxy::{Unknown, now};
use serde_json::{Value, json};

use super::answer::{Answer, json, problem, seconds, wrong_method};
use super::policies::{decoded, listed};
use crate::print;
use crate::running::Running;

/// All of them.
pub(super) fn all(running: &Running) -> Value {
    let (plan, now) = (running.proxy.plan(), now());
    plan.upstreams.iter().map(|upstream| shown(upstream, &plan, now)).collect()
}

/// Answers for what lies below `/api/v1/upstreams/`.
pub(super) fn below(path: &str, method: &Method, running: &Running) -> Answer {
    let segments: Vec<_> = path.split('/').map(decoded).collect();
    let segments: Vec<_> = segments.iter().map(String::as_str).collect();
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match *segments {
        [name] if reads => {
            let plan = running.proxy.plan();
            match plan.upstream(name) {
                Some(upstream) => json(StatusCode::OK, &shown(upstream, &plan, now())),
                None => unknown(&Unknown::Upstream, name, "", running),
            }
        }
        [_] => wrong_method("GET, HEAD"),
        [name, "endpoints", endpoint, what @ ("drain" | "enable")] => {
            if *method != Method::POST {
                return wrong_method("POST");
            }
            let done = match what {
                "drain" => running.proxy.drain_endpoint(name, endpoint),
                _ => running.proxy.enable_endpoint(name, endpoint),
            };
            if let Err(why) = done {
                return unknown(&why, name, endpoint, running);
            }
            tracing::info!(upstream = name, endpoint, "an endpoint was switched: {what}");
            let (plan, now) = (running.proxy.plan(), now());
            let found = plan.upstream(name).and_then(|upstream| {
                let mut all = upstream.listed.iter();
                let listed = all.find(|listed| listed.settings.name == endpoint)?;
                Some(one(upstream, listed, &plan, now))
            });
            json(StatusCode::OK, &found.unwrap_or_default())
        }
        _ => problem(StatusCode::NOT_FOUND, "there is nothing at this path"),
    }
}

/// That there is no such endpoint, and what there is.
fn unknown(why: &Unknown, upstream: &str, endpoint: &str, running: &Running) -> Answer {
    let plan = running.proxy.plan();
    let detail = match (why, plan.upstream(upstream)) {
        (Unknown::Plan(error), _) => {
            return problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string());
        }
        (Unknown::Endpoint, Some(known)) => {
            let known = listed(known.listed.iter().map(|listed| &*listed.settings.name));
            format!("`{upstream}` has no endpoint `{endpoint}`; {known}")
        }
        _ => {
            let known = listed(plan.upstreams.iter().map(|known| &*known.settings.name));
            format!("there is no upstream `{upstream}`; {known}")
        }
    };
    problem(StatusCode::NOT_FOUND, &detail)
}

fn shown(upstream: &Upstream, plan: &Plan, now: Time) -> Value {
    let mut json = print::upstream(&upstream.settings);
    json["panics"] = upstream.panicked().into();
    json["failovers"] = upstream.failed_over().into();
    json["discovery"] = upstream.discovery().map(|status| discovery(&status, now)).into();
    let endpoints = upstream.listed.iter();
    json["endpoints"] = endpoints.map(|listed| one(upstream, listed, plan, now)).collect();
    json
}

/// One endpoint: what is said of it, and how it stands.
fn one(upstream: &Upstream, listed: &Listed, plan: &Plan, now: Time) -> Value {
    let Listed { settings, endpoint, place } = listed;
    let ejectors = plan.ejectors(&upstream.settings, &endpoint.name);
    let breaker = |(policy, watch): &(&str, Watch)| {
        let state = watch.snapshot(now).met().name();
        json!({ "policy": policy, "state": state, "ejects": watch.is_ejected(now) })
    };
    let ejected = ejectors.iter().any(|(_, watch)| watch.is_ejected(now));
    let expected = place.and_then(|place| upstream.expected(place, now));
    let mut json = print::endpoint(settings);
    json["drained"] = place.is_none().into();
    json["ejected"] = (ejected || endpoint.is_down()).into();
    if upstream.settings.health.is_some() {
        json["health"] = health(&endpoint.health(), now);
    }
    json["breakers"] = ejectors.iter().map(breaker).collect();
    json["in_flight"] = endpoint.in_flight().into();
    json["ewma_ms"] = expected.map(|time| seconds(time) * 1e3).into();
    json["connections"] = endpoint.connections().into();
    json
}

/// How look-ups of endpoints went.
fn discovery(status: &discover::Status, now: Time) -> Value {
    let failing = status.failing.as_ref();
    json!({
        "lookups": status.counts[0],
        "failed": status.counts[1],
        "found_ago": status.found.map(|at| seconds(now.since(at))),
        "failing_for": failing.map(|(since, _)| seconds(now.since(*since))),
        "error": failing.map(|(_, why)| why),
    })
}

/// What the checks of an endpoint have shown.
fn health(health: &Health, now: Time) -> Value {
    let last = health.last.as_ref().map(|(at, ended)| {
        json!({ "ok": ended.is_ok(), "reason": ended.as_ref().err(), "ago": seconds(now.since(*at)) })
    });
    json!({
        "up": !health.down,
        "for": health.since.map(|since| seconds(now.since(since))),
        "passed": health.counts[0],
        "failed": health.counts[1],
        "last": last,
    })
}
