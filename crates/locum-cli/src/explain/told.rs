//! The answer, for people.

use serde_json::Value;

/// What `answer` says, in lines.
pub(super) fn told(answer: &Value) -> String {
    let mut lines = Lines(String::new());
    match answer["call"].as_str() {
        Some(method) => lines.add(0, format!("{method} as a remote call")),
        None => lines.add(0, request(answer)),
    }
    let listeners = list(&answer["listeners"]);
    if listeners.is_empty() {
        lines.add(0, "no listener takes it".to_owned());
    }
    for listener in listeners {
        lines.listener(listener);
    }
    lines.0
}

fn request(answer: &Value) -> String {
    let host = match answer["host"].as_str() {
        None | Some("") => "(none)",
        Some(host) => host,
    };
    format!("{} {} for host {host}", word(&answer["method"]), word(&answer["path"]))
}

/// Lines, indented.
struct Lines(String);

impl Lines {
    fn add(&mut self, depth: usize, words: String) {
        self.0.push_str(&"  ".repeat(depth));
        self.0.push_str(&words);
        self.0.push('\n');
    }

    fn listener(&mut self, listener: &Value) {
        let request = listener["request"].as_str();
        let request = request.map_or_else(String::new, |request| format!(", as {request}"));
        self.add(0, format!("listener {}{request}", word(&listener["listener"])));
        if let Some(reason) = listener["refused"].as_str() {
            return self.add(1, format!("refused before any route: {reason}"));
        }
        for candidate in list(&listener["candidates"]) {
            let why = match candidate["passed_over"].as_str() {
                None => "takes it".to_owned(),
                Some(why) => format!("passed over: {why}"),
            };
            let matches = &candidate["match"];
            let what = matches["call"].as_str().or_else(|| matches["path"].as_str());
            let what = what.unwrap_or("any path");
            self.add(1, format!("route {} ({what}): {why}", word(&candidate["route"])));
        }
        if listener["route"].is_null() {
            return self
                .add(1, "no route takes it, so it is told that there is no such thing".to_owned());
        }
        for (name, auth) in listener["auth"].as_object().into_iter().flatten() {
            self.add(1, format!("only for who passes {name}: {auth}"));
        }
        if let Some(status) = listener["redirect"]["status"].as_u64() {
            let to = word(&listener["redirect"]["to"]);
            return self.add(1, format!("redirected with {status} to {to}"));
        }
        if listener["transcode"].is_object() {
            self.add(1, "made as a remote call".to_owned());
        }
        for upstream in list(&listener["upstreams"]) {
            self.upstream(upstream);
        }
        self.policy(&listener["policy"]);
        for guard in list(&listener["endpoint_policies"]) {
            self.add(1, format!("endpoint policy {}, for each attempt", word(&guard["name"])));
            self.gates(&guard["gates"]);
        }
    }

    fn upstream(&mut self, upstream: &Value) {
        let endpoints: Vec<_> =
            list(&upstream["endpoints"]).iter().map(|one| word(&one["name"])).collect();
        let tls = if upstream["tls"].is_null() { "" } else { " over TLS" };
        self.add(
            1,
            format!(
                "upstream {}: {} by {}, over {}{tls}",
                word(&upstream["name"]),
                endpoints.join(", "),
                word(&upstream["balance"]),
                word(&upstream["protocol"]),
            ),
        );
    }

    fn policy(&mut self, policy: &Value) {
        if policy.is_null() {
            return self.add(1, "no policy: tried once, without any limit".to_owned());
        }
        self.add(1, format!("policy {}", word(&policy["name"])));
        if let Some(method) = policy["method"].as_str() {
            self.add(2, format!("with what `methods` says of {method}"));
        }
        let (timeout, attempt) = (word(&policy["timeout"]), word(&policy["attempt_timeout"]));
        self.add(2, format!("timeout {timeout}, attempt_timeout {attempt}"));
        match policy["idempotent"].as_bool() {
            Some(true) => self.add(2, "calling it twice does no harm".to_owned()),
            Some(false) => {
                self.add(2, "tried again only where nobody can have begun it".to_owned());
            }
            None => {}
        }
        self.gates(&policy["gates"]);
        self.worst_case(&policy["worst_case"]);
        for doubt in list(&policy["doubts"]) {
            let (key, reason) = (word(&doubt["key"]), word(&doubt["reason"]));
            self.add(2, format!("mind {key}: {reason}; {}", word(&doubt["remedy"])));
        }
    }

    fn gates(&mut self, gates: &Value) {
        for gate in list(gates) {
            self.add(2, format!("{} {}", word(&gate["gate"]), gate["settings"]));
        }
    }

    fn worst_case(&mut self, worst: &Value) {
        self.add(
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
        self.add(
            2,
            format!(
                "amplification: {} attempts of a call, {} under a caller that does the same, {} times the load when everything fails",
                worst["attempts"],
                worst["attempts_under_a_caller_that_does_the_same"],
                worst["load_when_everything_fails"]
            ),
        );
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "no bound".to_owned(),
        other => other.to_string(),
    }
}
