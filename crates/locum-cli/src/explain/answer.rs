//! What would become of it, as JSON.

use std::time::Duration;

use locum_policy::gates::{self, Gate};
use locum_policy::settings::Method;
use locum_policy::{Mode, Settings, text};
use locum_proxy::plan::Plan;
use locum_proxy::route::{Action, Candidate, Question, Route};
use serde_json::{Value, json};

use crate::config::suspect;
use crate::print;
use crate::worst_case::WorstCase;

/// What becomes of a request, on each listener that takes requests.
pub(super) fn to_request(plan: &Plan, question: &Question<'_>) -> Vec<Value> {
    let listeners = plan.listeners.iter().map(|listener| &listener.settings);
    let listeners = listeners.filter(|listener| listener.protocol.takes_http());
    listeners.map(|listener| on_listener(plan, &listener.name, question)).collect()
}

/// What becomes of a remote call, on each listener that takes calls, and on those where a request is made
/// into it.
pub(super) fn to_call(plan: &Plan, method: &str) -> Vec<Value> {
    let mut answers = Vec::new();
    for listener in plan.listeners.iter().map(|listener| &listener.settings) {
        if listener.protocol.takes_rpc() {
            let candidates = plan.candidates_of_call(&listener.name, method);
            answers.push(decided(plan, &listener.name, &candidates, Some(method)));
        }
        if listener.protocol.takes_http() {
            answers.extend(transcoded(plan, &listener.name, method));
        }
    }
    answers
}

/// What becomes of the requests that are made into a call of `method`.
fn transcoded(plan: &Plan, listener: &str, method: &str) -> Vec<Value> {
    let mut answers: Vec<Value> = Vec::new();
    for route in &plan.settings.routes {
        let prefix = route.matches.path.as_deref().and_then(|path| path.strip_suffix("/*"));
        let (Action::Transcode { .. }, Some(prefix)) = (&route.action, prefix) else { continue };
        let host = route.matches.host.as_deref().unwrap_or_default();
        let path = format!("{prefix}/{method}");
        let headers = &route.matches.headers;
        let question = Question { method: "POST", host, path: &path, query: None, headers };
        let mut answer = on_listener(plan, listener, &question);
        // Another route may come before it.
        if answer["route"] == json!(route.name) {
            answer["request"] = json!(format!("POST {host}{path}"));
            answers.push(answer);
        }
    }
    answers
}

/// What becomes of a request on one listener.
fn on_listener(plan: &Plan, listener: &str, question: &Question<'_>) -> Value {
    match plan.candidates(listener, question) {
        Ok(candidates) => {
            let taken = candidates.last().map(|last| &last.route.settings);
            let method = taken.and_then(|route| match (&route.action, &route.matches.path) {
                (Action::Transcode { .. }, Some(path)) => {
                    let prefix = path.strip_suffix('*')?;
                    question.path.strip_prefix(prefix).filter(|method| !method.is_empty())
                }
                _ => None,
            });
            decided(plan, listener, &candidates, method)
        }
        Err(reason) => json!({ "listener": listener, "refused": reason }),
    }
}

/// What the last of `candidates` does with it, which may be a remote call of `method`.
fn decided(plan: &Plan, listener: &str, candidates: &[Candidate], method: Option<&str>) -> Value {
    let looked_at = candidates.iter().map(|candidate| {
        json!({
            "route": candidate.route.settings.name,
            "match": print::route(&candidate.route.settings)["match"],
            "passed_over": candidate.passed_over,
        })
    });
    let mut answer = json!({ "listener": listener, "candidates": looked_at.collect::<Vec<_>>() });
    let taken = candidates.last().filter(|last| last.passed_over.is_none());
    answer["route"] = json!(taken.map(|taken| &taken.route.settings.name));
    let Some(taken) = taken else { return answer };
    let route = &taken.route;
    let known = plan.settings.auth.iter();
    let auth = known.filter(|(name, _)| route.settings.auth.contains(name));
    answer["auth"] = auth.map(|(name, auth)| (name.clone(), print::auth(auth))).collect();
    let shares = match &route.settings.action {
        Action::Files(_) => {
            answer["files"] = print::route(&route.settings)["files"].clone();
            return answer;
        }
        Action::Respond(_) => {
            answer["respond"] = print::route(&route.settings)["respond"].clone();
            return answer;
        }
        Action::Redirect { status, to } => {
            answer["redirect"] = json!({ "status": status, "to": to });
            return answer;
        }
        Action::Transcode { upstream, .. } => {
            answer["transcode"] = print::route(&route.settings)["transcode"].clone();
            vec![(upstream.as_str(), 1)]
        }
        Action::Forward(shares) => {
            shares.iter().map(|(name, weight)| (name.as_str(), *weight)).collect()
        }
    };
    let upstreams = shares.iter().filter_map(|(name, weight)| {
        let upstream = &plan.upstream(name)?.settings;
        let mut told = print::upstream(upstream);
        told["weight"] = json!(weight);
        Some(told)
    });
    answer["upstreams"] = upstreams.collect();
    answer["policy"] = policy(plan, route, method);
    let guards = shares
        .iter()
        .filter_map(|(name, _)| plan.upstream(name)?.settings.endpoint_policy.as_deref());
    answer["endpoint_policies"] = guards
        .filter_map(|name| named(plan, name))
        .map(|(name, guard)| json!({ "name": name, "gates": gates_of(guard) }))
        .collect();
    answer
}

fn named<'a>(plan: &'a Plan, name: &str) -> Option<(&'a str, &'a Settings)> {
    let found = plan.settings.policies.iter().find(|(known, _)| known == name)?;
    Some((&found.0, &found.1))
}

/// The policy of a route: its gates with their numbers, and the worst it lets happen. A remote call goes by
/// the name of its `method`, a request by that of its route.
fn policy(plan: &Plan, route: &Route, method: Option<&str>) -> Value {
    let Some((name, settings)) =
        route.settings.policy.as_deref().and_then(|name| named(plan, name))
    else {
        return Value::Null;
    };
    let key = method.unwrap_or(&route.settings.name);
    let differs = settings.methods.get(key);
    let said = differs.and_then(|differs| differs.idempotent).or(settings.idempotent);
    // A request says it by its own method, a remote call by nothing.
    let idempotent = said.or_else(|| method.map(|_| false));
    let method = differs.cloned().unwrap_or_default();
    let doubts = suspect::doubts(settings).into_iter();
    let doubts = doubts
        .map(|doubt| json!({ "key": doubt.key, "reason": doubt.reason, "remedy": doubt.remedy }));
    json!({
        "name": name,
        "method": differs.map(|_| key),
        "idempotent": idempotent,
        "timeout": method.timeout.or(settings.timeout).map(written),
        "attempt_timeout": method.attempt_timeout.or(settings.attempt_timeout).map(written),
        "gates": gates_of(settings),
        "worst_case": worst(settings, &method),
        "doubts": doubts.collect::<Vec<_>>(),
    })
}

/// The gates that `settings` switch on, outermost first, with every default filled in.
fn gates_of(settings: &Settings) -> Vec<Value> {
    let all = serde_json::to_value(settings).unwrap_or_default();
    let gate = |gate: &Gate| {
        let mut numbers = all.get(gate.name)?.clone();
        let parts = match &mut numbers {
            Value::Array(parts) => parts.as_mut_slice(),
            one => std::slice::from_mut(one),
        };
        for part in parts {
            if part.get("mode").is_none() {
                part["mode"] = json!(settings.mode.name());
            }
        }
        Some(json!({ "gate": gate.name, "settings": numbers }))
    };
    gates::ALL.iter().filter_map(gate).collect()
}

fn worst(settings: &Settings, method: &Method) -> Value {
    let worst = WorstCase::of(settings, method);
    let retry = settings.retry.as_ref();
    let retried = retry.is_some_and(|retry| retry.retry_of_retry);
    json!({
        "latency": worst.latency().map(written),
        "shaping": worst.shaping.map(written),
        "queue": worst.queue.map(written),
        "trying": worst.trying.map(written),
        "backoff": written(worst.backoff),
        "timeout": worst.timeout.map(written),
        "attempts": worst.attempts,
        "attempts_under_a_caller_that_does_the_same": worst.amplification(worst.attempts, retried),
        "load_when_everything_fails": worst.load,
        "shadow": settings.mode == Mode::Shadow,
    })
}

fn written(time: Duration) -> String {
    text::duration(time).to_string()
}
