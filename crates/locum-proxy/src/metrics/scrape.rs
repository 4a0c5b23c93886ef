//! Everything that is counted, and how things stand, as text.

use std::sync::Arc;

use locum_policy::Time;
use locum_policy::gates::breaker::State;
use locum_policy::gates::rate_limit;
use locum_policy::policy::Snapshot;

use super::{Counts, Direction, Exposition, Shard};
use crate::plan::Plan;
use crate::upstream::{Listed, Upstream};

/// Writes the counts of all `shards` and the state of `plan`.
pub(crate) fn render(out: &mut Exposition, plan: &Plan, shards: &[Arc<Shard>], now: Time) {
    render_counts(out, &Counts::sum(shards));
    render_auth(out, plan);
    render_fetches(out, plan);
    render_connections(out, plan);
    render_endpoints(out, plan, now);
    render_policies(out, plan, now);
}

/// Writes what the logs that there are have lost.
pub(crate) fn render_dropped(out: &mut Exposition, access: Option<u64>, decisions: Option<u64>) {
    if let Some(dropped) = access {
        out.counter("locum_access_log_dropped_bytes", "Bytes of the access log that were lost.");
        out.count(&[], dropped);
    }
    if let Some(dropped) = decisions {
        out.counter(
            "locum_decision_log_dropped_bytes",
            "Bytes of the decision log that were lost.",
        );
        out.count(&[], dropped);
    }
}

/// Spans that a collector has taken, and that were lost.
pub(crate) fn render_spans(out: &mut Exposition, [sent, dropped]: [u64; 2]) {
    out.counter("locum_telemetry_spans", "Spans by whether the collector has taken them.");
    out.count(&[("result", "sent")], sent);
    out.count(&[("result", "dropped")], dropped);
}

fn render_counts(out: &mut Exposition, counts: &Counts) {
    out.counter("locum_calls", "Calls by how they ended and the status the client was sent.");
    for (key, count) in counts.calls.iter() {
        let labels = [
            ("listener", &*key.listener.name()),
            ("route", &*key.route.name()),
            ("upstream", &*key.upstream.name()),
            ("protocol", &*key.protocol),
            ("outcome", &*key.outcome),
            ("code", &key.code.to_string()),
        ];
        out.count(&labels, count);
    }
    out.histogram("locum_call_duration_seconds", "From a call's head to its answer's last byte.");
    for ((route, upstream), durations) in counts.call_durations.iter() {
        let labels = [("route", &*route.name()), ("upstream", &*upstream.name())];
        out.durations(&labels, durations);
    }
    out.counter("locum_attempts", "Attempts by why they were made and how they ended.");
    for (key, count) in counts.attempts.iter() {
        let upstream = key.upstream.name();
        let labels = [("upstream", &*upstream), ("kind", &*key.kind), ("outcome", &*key.outcome)];
        out.count(&labels, count);
    }
    out.histogram(
        "locum_attempt_duration_seconds",
        "From an attempt's start to its answer's head.",
    );
    for ((upstream, endpoint), durations) in counts.attempt_durations.iter() {
        let labels = [("upstream", &*upstream.name()), ("endpoint", &*endpoint.name())];
        out.durations(&labels, durations);
    }
    out.counter("locum_policy_decisions", "What each part of each policy decided.");
    for (decision, count) in counts.decisions.iter() {
        let labels = [
            ("policy", &*decision.policy.name()),
            ("kind", decision.kind.name()),
            ("decision", &*decision.decision),
            ("reason", &*decision.reason),
        ];
        out.count(&labels, count);
    }
    out.counter("locum_refused", "Requests and connections refused before they were calls.");
    for ((listener, reason), count) in counts.refused.iter() {
        out.count(&[("listener", &*listener.name()), ("reason", reason)], count);
    }
    out.counter(
        "locum_malformed_timeouts",
        "What trusted peers said of a call's time and could not be read.",
    );
    for (listener, count) in counts.malformed_timeouts.iter() {
        out.count(&[("listener", &*listener.name())], count);
    }
    out.counter("locum_mirrored", "Calls made once more for nobody, or that were to be.");
    for ((upstream, outcome), count) in counts.mirrored.iter() {
        out.count(&[("upstream", &*upstream.name()), ("outcome", outcome)], count);
    }
    out.counter("locum_panics", "Connections that a fault in this program ended.");
    out.count(&[], counts.panics);
    out.counter("locum_bytes", "Bytes of bodies in, and of answers out.");
    for ((listener, direction), count) in counts.bytes.iter() {
        let direction = match direction {
            Direction::In => "in",
            Direction::Out => "out",
        };
        out.count(&[("listener", &*listener.name()), ("direction", direction)], count);
    }
}

fn render_auth(out: &mut Exposition, plan: &Plan) {
    out.counter("locum_auth_refused", "Callers that a check has refused, and why.");
    for check in &plan.auth {
        for (reason, count) in check.refusals.all() {
            out.count(&[("auth", check.name()), ("reason", reason)], count);
        }
    }
}

fn render_fetches(out: &mut Exposition, plan: &Plan) {
    out.counter("locum_jwks_fetches", "Fetches of the keys of issuers.");
    for check in &plan.auth {
        let Some([failed, ok]) = check.fetches() else { continue };
        for (result, count) in [("error", failed), ("ok", ok)] {
            out.count(&[("auth", check.name()), ("result", result)], count);
        }
    }
}

fn render_connections(out: &mut Exposition, plan: &Plan) {
    out.gauge("locum_connections", "Client connections open.");
    for listener in &plan.listeners {
        out.value(&[("listener", &listener.settings.name)], listener.connections());
    }
    out.gauge("locum_upstream_connections", "Connections to upstreams, in use and idle.");
    for upstream in &plan.upstreams {
        let endpoints = || upstream.listed.iter().map(|listed| &listed.endpoint);
        let open: u32 = endpoints().map(|endpoint| endpoint.connections()).sum();
        let busy: u32 = endpoints().map(|endpoint| endpoint.in_flight()).sum();
        let name = &*upstream.settings.name;
        out.value(&[("upstream", name), ("state", "active")], busy.min(open));
        out.value(&[("upstream", name), ("state", "idle")], open.saturating_sub(busy));
    }
}

fn render_endpoints(out: &mut Exposition, plan: &Plan, now: Time) {
    out.gauge(
        "locum_endpoint_up",
        "1 if an endpoint is used; 0 if its checks fail, its breaker is open, or it was taken out.",
    );
    for upstream in &plan.upstreams {
        for Listed { endpoint, place, .. } in &upstream.listed {
            let name = &*endpoint.name;
            let ejectors = plan.ejectors(&upstream.settings, name);
            let ejected = place.is_none()
                || endpoint.is_down()
                || ejectors.iter().any(|(_, watch)| watch.is_ejected(now));
            let labels = [("upstream", &*upstream.settings.name), ("endpoint", name)];
            out.value(&labels, u8::from(!ejected));
        }
    }
    out.gauge("locum_upstream_endpoints", "Endpoints that an upstream lists, or has found.");
    for upstream in &plan.upstreams {
        out.value(&[("upstream", &upstream.settings.name)], upstream.listed.len());
    }
    let discovering = || {
        let of = |upstream: &'_ Arc<Upstream>| Some((Arc::clone(upstream), upstream.discovery()?));
        plan.upstreams.iter().filter_map(of)
    };
    out.counter("locum_discovery_lookups", "Look-ups of endpoints by whether they found any.");
    for (upstream, status) in discovering() {
        for (result, count) in ["found", "failed"].iter().zip(status.counts) {
            out.count(&[("upstream", &upstream.settings.name), ("result", result)], count);
        }
    }
    out.gauge("locum_discovery_failing_seconds", "For how long no look-up has found endpoints.");
    for (upstream, status) in discovering() {
        let failing = status.failing.map_or(0.0, |(since, _)| since.until(now).as_secs_f64());
        out.value(&[("upstream", &upstream.settings.name)], failing);
    }
    out.counter("locum_health_checks", "Checks of endpoints by how they ended.");
    for upstream in plan.upstreams.iter().filter(|upstream| upstream.settings.health.is_some()) {
        for Listed { endpoint, .. } in &upstream.listed {
            for (result, count) in ["pass", "fail"].iter().zip(endpoint.health().counts) {
                let labels = [
                    ("upstream", &*upstream.settings.name),
                    ("endpoint", &*endpoint.name),
                    ("result", result),
                ];
                out.count(&labels, count);
            }
        }
    }
    out.counter(
        "locum_upstream_failovers",
        "Calls that went to the failover, because no endpoint could be used.",
    );
    for upstream in plan.upstreams.iter().filter(|upstream| upstream.settings.failover.is_some()) {
        out.count(&[("upstream", &upstream.settings.name)], upstream.failed_over());
    }
    out.counter(
        "locum_upstream_panics",
        "Choices of an endpoint as if none were ejected, because too many were.",
    );
    for upstream in &plan.upstreams {
        out.count(&[("upstream", &upstream.settings.name)], upstream.panicked());
    }
}

fn render_policies(out: &mut Exposition, plan: &Plan, now: Time) {
    let snapshots: Vec<_> = plan.policies.iter().map(|policy| policy.snapshot(now)).collect();
    let breakers = || {
        let of = |snapshot: &'_ Snapshot| (snapshot.policy.clone(), snapshot.breakers.clone());
        snapshots.iter().map(of).flat_map(|(policy, breakers)| {
            breakers.into_iter().map(move |breaker| (policy.clone(), breaker))
        })
    };
    out.gauge("locum_breaker_state", "0 closed, 1 half-open, 2 open, 3 ramp.");
    for (policy, breaker) in breakers() {
        let labels = [("policy", &*policy), ("target", &*breaker.target)];
        out.value(&labels, state_number(breaker.met()));
    }
    out.gauge("locum_breaker_override", "1 if a breaker is forced open or closed by hand.");
    for (policy, breaker) in breakers() {
        let labels = [("policy", &*policy), ("target", &*breaker.target)];
        out.value(&labels, u8::from(breaker.forced.is_some()));
    }
    out.counter("locum_breaker_open_seconds", "Time that breakers have been open.");
    for (policy, breaker) in breakers() {
        let labels = [("policy", &*policy), ("target", &*breaker.target)];
        out.count(&labels, breaker.open_for.as_secs_f64());
    }
    out.counter("locum_breaker_transitions", "State changes of breakers.");
    for (policy, breaker) in breakers() {
        for (from, to, trigger, count) in &breaker.transitions {
            let labels = [
                ("policy", &*policy),
                ("target", &*breaker.target),
                ("from", from.name()),
                ("to", to.name()),
                ("cause", trigger.name()),
            ];
            out.count(&labels, count);
        }
    }
    out.gauge(
        "locum_limit_remaining",
        "Units left of a rate limit without keys, or of its overflow.",
    );
    for (snapshot, limit) in limits(&snapshots) {
        out.value(&[("policy", &snapshot.policy)], limit.state.remaining);
    }
    out.gauge("locum_limit_keys", "Keys of rate limits with a bucket of their own.");
    for (snapshot, limit) in limits(&snapshots) {
        out.value(&[("policy", &snapshot.policy)], limit.keys);
    }
    out.gauge("locum_retry_budget_balance", "Retries that the budget would grant now.");
    for snapshot in &snapshots {
        if let Some(balance) = snapshot.retry_balance {
            out.value(&[("policy", &snapshot.policy)], balance);
        }
    }
    out.gauge("locum_hedge_delay_seconds", "How long an attempt is under way before it is hedged.");
    for snapshot in &snapshots {
        for hedge in &snapshot.hedges {
            let labels = [("policy", &*snapshot.policy), ("upstream", &*hedge.upstream)];
            if let Some(delay) = hedge.delay {
                out.value(&labels, delay.as_secs_f64());
            }
        }
    }
    out.gauge(
        "locum_throttle_kept_back_ratio",
        "The share of attempts that a throttle keeps back.",
    );
    for snapshot in &snapshots {
        for throttle in &snapshot.throttles {
            let labels = [("policy", &*snapshot.policy), ("target", &*throttle.target)];
            out.value(&labels, throttle.kept_back as f64 / 1e3);
        }
    }
    let concurrency = || {
        let of = |snapshot: &Snapshot| Some((snapshot.policy.clone(), snapshot.concurrency?));
        snapshots.iter().filter_map(of)
    };
    out.gauge("locum_concurrency_limit", "The cap on calls in flight.");
    for (policy, concurrency) in concurrency() {
        out.value(&[("policy", &*policy)], concurrency.limit);
    }
    out.gauge("locum_concurrency_in_flight", "Calls in flight.");
    for (policy, concurrency) in concurrency() {
        out.value(&[("policy", &*policy)], concurrency.in_flight);
    }
    out.gauge("locum_queue_depth", "Calls that wait for a place.");
    for (policy, concurrency) in concurrency() {
        out.value(&[("policy", &*policy)], concurrency.waiting);
    }
}

/// The first limit of each policy; a policy with several is told by its tightest in the headers.
fn limits(snapshots: &[Snapshot]) -> impl Iterator<Item = (&Snapshot, &rate_limit::Snapshot)> {
    snapshots.iter().filter_map(|snapshot| Some((snapshot, snapshot.limits.first()?)))
}

fn state_number(state: State) -> u8 {
    match state {
        State::Closed => 0,
        State::HalfOpen => 1,
        State::Open => 2,
        State::Ramp => 3,
    }
}
