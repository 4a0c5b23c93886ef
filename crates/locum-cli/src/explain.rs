//! `locum explain`: what would become of a request, and why.

use std::fmt::Write as _;
use std::time::Duration;

use locum_policy::gates::{self, Gate};
use locum_policy::settings::Method;
use locum_policy::{Mode, Settings, text};
use locum_proxy::plan::Plan;
use locum_proxy::route::{Action, Question, Route};
use serde_json::{Value, json};

use crate::config::{Config, suspect};
use crate::print::out;
use crate::worst_case::WorstCase;
use crate::{Failure, args, demo, print};

/// `locum explain`.
pub(crate) fn run(args: &args::Explain) -> Result<(), Failure> {
    if let Some(name) = &args.docs {
        return docs(name);
    }
    let asked = Asked::parse(&args.request).map_err(Failure::Usage)?;
    let path = args.config.as_deref().expect("clap asks for it where there is no --docs");
    let config = Config::load(path)?;
    let settings = config.settings(demo::NOWHERE)?;
    let plan = Plan::build(settings, None).map_err(|error| config.failure(vec![error]))?;
    let question = Question {
        method: &asked.method,
        host: &asked.host,
        path: &asked.path,
        query: asked.query.as_deref(),
        headers: &args.headers,
    };
    let listeners = plan.listeners.iter().map(|listener| {
        let name = &listener.settings.name;
        explain(&plan, name, &question)
    });
    let answer = json!({
        "method": asked.method, "host": asked.host, "path": asked.path, "query": asked.query,
        "listeners": listeners.collect::<Vec<_>>(),
    });
    out(&if args.json { format!("{answer:#}\n") } else { told(&answer) })
}

/// What a request is asked to be.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    method: String,
    host: String,
    path: String,
    query: Option<String>,
}

impl Asked {
    /// Reads `GET http://host/path`, in one word or two, a URL, or a path.
    fn parse(words: &[String]) -> Result<Self, String> {
        let line = words.join(" ");
        let (method, target) = line.trim().rsplit_once(' ').unwrap_or_else(|| ("GET", line.trim()));
        let rest = target.strip_prefix("http://").or_else(|| target.strip_prefix("https://"));
        let (authority, path) = match rest {
            Some(rest) => rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())),
            None if target.starts_with('/') => ("", target),
            None if !target.contains('/') && target.contains('.') => {
                return Err(format!("`{target}` is a call; routes by call are not served yet"));
            }
            None => return Err(format!("`{target}` is no URL and no path; write \"GET /path\"")),
        };
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (path, None),
        };
        let path = if path.is_empty() { "/" } else { path };
        let port = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
        let host = &authority[..port.unwrap_or(authority.len())];
        let method = method.trim().to_ascii_uppercase();
        Ok(Self { method, host: host.to_owned(), path: path.to_owned(), query })
    }
}

/// What becomes of the request on one listener.
fn explain(plan: &Plan, listener: &str, question: &Question<'_>) -> Value {
    let candidates = match plan.candidates(listener, question) {
        Ok(candidates) => candidates,
        Err(reason) => return json!({ "listener": listener, "refused": reason }),
    };
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
    match &route.settings.action {
        Action::Transcode { upstream, .. } => {
            answer["transcode"] = json!({ "upstream": upstream });
        }
        Action::Redirect { status, to } => {
            answer["redirect"] = json!({ "status": status, "to": to })
        }
        Action::Forward(shares) => {
            let upstreams = shares.iter().filter_map(|(name, weight)| {
                let upstream = &plan.upstream(name)?.settings;
                let mut told = print::upstream(upstream);
                told["weight"] = json!(weight);
                Some(told)
            });
            answer["upstreams"] = upstreams.collect();
            answer["policy"] = policy(plan, route);
            let guards = shares
                .iter()
                .filter_map(|(name, _)| plan.upstream(name)?.settings.endpoint_policy.as_deref());
            answer["endpoint_policies"] = guards
                .filter_map(|name| named(plan, name))
                .map(|(name, guard)| json!({ "name": name, "gates": gates_of(guard) }))
                .collect();
        }
    }
    answer
}

fn named<'a>(plan: &'a Plan, name: &str) -> Option<(&'a str, &'a Settings)> {
    let found = plan.settings.policies.iter().find(|(known, _)| known == name)?;
    Some((&found.0, &found.1))
}

/// The policy of a route: its gates with their numbers, and the worst it lets happen.
fn policy(plan: &Plan, route: &Route) -> Value {
    let Some((name, settings)) =
        route.settings.policy.as_deref().and_then(|name| named(plan, name))
    else {
        return Value::Null;
    };
    let method = settings.methods.get(&route.settings.name).cloned().unwrap_or_default();
    let doubts = suspect::doubts(settings).into_iter();
    let doubts = doubts
        .map(|doubt| json!({ "key": doubt.key, "reason": doubt.reason, "remedy": doubt.remedy }));
    json!({
        "name": name,
        "method": settings.methods.contains_key(&route.settings.name).then_some(&route.settings.name),
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

/// The answer, for people.
fn told(answer: &Value) -> String {
    let mut text = String::new();
    let word = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "no bound".to_owned(),
        other => other.to_string(),
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut line = |depth: usize, words: String| {
        let _ = writeln!(text, "{}{words}", "  ".repeat(depth));
    };
    line(
        0,
        format!(
            "{} {} for host {}",
            word(&answer["method"]),
            word(&answer["path"]),
            match word(&answer["host"]) {
                host if host.is_empty() => "(none)".to_owned(),
                host => host,
            }
        ),
    );
    for listener in list(&answer["listeners"]) {
        line(0, format!("listener {}", word(&listener["listener"])));
        if let Some(reason) = listener["refused"].as_str() {
            line(1, format!("refused before any route: {reason}"));
            continue;
        }
        for candidate in list(&listener["candidates"]) {
            let why = candidate["passed_over"].as_str();
            let why =
                why.map_or_else(|| "takes it".to_owned(), |why| format!("passed over: {why}"));
            let path = candidate["match"]["path"].as_str().unwrap_or("any path").to_owned();
            line(1, format!("route {} ({path}): {why}", word(&candidate["route"])));
        }
        if listener["route"].is_null() {
            line(1, "no route takes it: 404".to_owned());
            continue;
        }
        if let Some(status) = listener["redirect"]["status"].as_u64() {
            line(1, format!("redirected with {status} to {}", word(&listener["redirect"]["to"])));
            continue;
        }
        for upstream in list(&listener["upstreams"]) {
            let endpoints = list(&upstream["endpoints"]);
            let endpoints: Vec<_> = endpoints.iter().map(|one| word(&one["name"])).collect();
            line(
                1,
                format!(
                    "upstream {}: {} by {}",
                    word(&upstream["name"]),
                    endpoints.join(", "),
                    word(&upstream["balance"])
                ),
            );
        }
        let policy = &listener["policy"];
        if policy.is_null() {
            line(1, "no policy: tried once, without any limit".to_owned());
        } else {
            line(1, format!("policy {}", word(&policy["name"])));
            if let Some(method) = policy["method"].as_str() {
                line(2, format!("with what `methods` says of {method}"));
            }
            line(
                2,
                format!(
                    "timeout {}, attempt_timeout {}",
                    word(&policy["timeout"]),
                    word(&policy["attempt_timeout"])
                ),
            );
            for gate in list(&policy["gates"]) {
                line(2, format!("{} {}", word(&gate["gate"]), gate["settings"]));
            }
            let worst = &policy["worst_case"];
            line(
                2,
                format!(
                    "worst case: {} (shaping {}, queue {}, {} attempts {}, back-off {}, cut at {})",
                    word(&worst["latency"]),
                    word(&worst["shaping"]),
                    word(&worst["queue"]),
                    worst["attempts"],
                    word(&worst["trying"]),
                    word(&worst["backoff"]),
                    word(&worst["timeout"])
                ),
            );
            line(
                2,
                format!(
                    "amplification: {} attempts of a call, {} under a caller that does the same, {} times the load when everything fails",
                    worst["attempts"],
                    worst["attempts_under_a_caller_that_does_the_same"],
                    worst["load_when_everything_fails"]
                ),
            );
            for doubt in list(&policy["doubts"]) {
                line(
                    2,
                    format!(
                        "mind {}: {}; {}",
                        word(&doubt["key"]),
                        word(&doubt["reason"]),
                        word(&doubt["remedy"])
                    ),
                );
            }
        }
        for guard in list(&listener["endpoint_policies"]) {
            line(1, format!("endpoint policy {}, for each attempt", word(&guard["name"])));
            for gate in list(&guard["gates"]) {
                line(2, format!("{} {}", word(&gate["gate"]), gate["settings"]));
            }
        }
    }
    text
}

/// Prints the page of one gate, or the list of them.
fn docs(name: &str) -> Result<(), Failure> {
    if name.is_empty() {
        let title = |gate: &Gate| {
            let line = gate.docs.lines().next().unwrap_or_default();
            format!("{}\n", line.trim_start_matches("# ").replace('`', ""))
        };
        return out(&gates::ALL.iter().map(title).collect::<String>());
    }
    match gates::ALL.iter().find(|gate| gate.name == name) {
        Some(gate) => out(gate.docs),
        None => {
            let known: Vec<_> = gates::ALL.iter().map(|gate| gate.name).collect();
            Err(Failure::Usage(format!(
                "there is no page `{name}`; write one of {}",
                known.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &[&str]) -> Result<(String, String, String, Option<String>), String> {
        let words: Vec<_> = words.iter().map(ToString::to_string).collect();
        Asked::parse(&words).map(|asked| (asked.method, asked.host, asked.path, asked.query))
    }

    #[test]
    fn a_request_is_a_line_a_url_or_a_path() {
        let is = |method: &str, host: &str, path: &str, query: Option<&str>| {
            Ok((method.into(), host.into(), path.into(), query.map(Into::into)))
        };
        assert_eq!(asked(&["GET http://a.test/x?y=1"]), is("GET", "a.test", "/x", Some("y=1")));
        assert_eq!(asked(&["post", "https://a.test:8443"]), is("POST", "a.test", "/", None));
        assert_eq!(asked(&["http://[::1]:80?q"]), is("GET", "[::1]", "/", Some("q")));
        assert_eq!(asked(&["/users/7"]), is("GET", "", "/users/7", None));
        assert!(asked(&["Arith.Multiply"]).unwrap_err().contains("not served yet"));
        assert!(asked(&["users"]).is_err());
    }
}
