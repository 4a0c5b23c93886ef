//! What policies do to calls through the running program, and what a client is told of it.

use std::time::Duration;

use locum_testkit::clock::now;
use locum_testkit::{Connection, Gate, Load, Response, Upstream, eventually, script};

use crate::setup::Config;

#[test]
fn a_rate_limit_answers_429_and_says_when_to_come_back() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream)
        .policy("rate_limit = { algorithm = \"token-bucket\", rate = \"5/s\", burst = 5 }")
        .start();
    let mut client = locum.client();
    let answers: Vec<_> = (0..20).map(|_| client.get("/").unwrap()).collect();
    let passed = answers.iter().filter(|a| a.status == 200).count();
    assert!((5..20).contains(&passed), "{passed} of 20 passed");

    let refused = answers.iter().find(|a| a.status == 429).unwrap();
    assert_eq!(refused.headers.get("retry-after"), Some("1"));
    assert_eq!(refused.headers.get("ratelimit-policy"), Some("\"careful\";q=5;w=1"));
    let left = refused.headers.get("ratelimit").unwrap();
    assert!(left.starts_with("\"careful\";r=0;t="), "{left}");
    let problem = problem(refused, 429);
    assert_eq!(problem["kind"], "rate_limit");
    assert_eq!(problem["reason"], "limited");
    let wait = problem["retry_after"].as_f64().unwrap();
    assert!(wait > 0.0 && wait <= 0.2, "{wait}");

    let rejected = [("policy", "careful"), ("kind", "rate_limit"), ("decision", "reject")];
    locum.counts("locum_policy_decisions_total", &rejected, (20 - passed) as f64);
    assert_eq!(upstream.deliveries(), passed);
}

#[test]
fn a_limit_is_kept_for_each_key() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream)
        .policy("rate_limit = { rate = \"1/min\", burst = 1, key = \"header:x-client\" }")
        .start();
    let mut client = locum.client();
    let mut ask = |who: &str| {
        client.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-Client: {who}\r\n\r\n"));
        client.response("GET").unwrap().status
    };
    assert_eq!(["a", "a", "b", "b", "a"].map(&mut ask), [200, 429, 200, 429, 429]);
}

#[test]
fn a_leaky_bucket_spreads_calls_over_time() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream)
        .policy("rate_limit = { algorithm = \"leaky-bucket\", rate = \"20/s\", burst = 100 }")
        .start();
    let begin = now();
    let report = Load::get(locum.address("web"), "/").clients(5).requests(11).run();
    assert_eq!(report.ok(), 11, "{report:?}");
    assert!(begin.elapsed() >= Duration::from_millis(480), "{:?}", begin.elapsed());
}

#[test]
fn a_breaker_opens_and_answers_for_the_upstream() {
    let upstream = Upstream::start(script::says("503 Service Unavailable"));
    let locum = Config::to(&upstream).policy(&breaker("30s")).start();
    let mut client = locum.client();
    for _ in 0..20 {
        let answer = client.get("/").unwrap();
        assert_eq!(answer.text(), "503 Service Unavailable", "the upstream's own answer");
    }
    let refused = client.get("/").unwrap();
    let after: u64 = refused.headers.get("retry-after").unwrap().parse().unwrap();
    assert!((25..=33).contains(&after), "{after}");
    assert!(refused.headers.has("proxy-status"));
    let problem = problem(&refused, 503);
    assert_eq!(problem["kind"], "breaker");
    assert_eq!(problem["reason"], "open");
    assert!(problem["retry_after"].as_f64().unwrap() <= after as f64);
    assert_eq!(upstream.deliveries(), 20);
    locum.counts("locum_breaker_state", &[("policy", "careful")], 2.0);
    let opened = [("policy", "careful"), ("from", "closed"), ("to", "open")];
    locum.counts("locum_breaker_transitions_total", &opened, 1.0);
}

#[test]
fn a_breaker_closes_once_probes_succeed() {
    let upstream = Upstream::start(script::fails_first(20, "500 Internal Server Error"));
    let locum = Config::to(&upstream).policy(&breaker("100ms")).start();
    let mut client = locum.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").unwrap().status, 500);
    }
    eventually("a probe is let through", || client.get("/").unwrap().status == 200);
    eventually("the breaker is closed", || {
        client.get("/").unwrap().status == 200
            && locum.metric("locum_breaker_state", &[("policy", "careful")]) == 0.0
    });
}

#[test]
fn failures_of_the_client_do_not_open_a_breaker() {
    let upstream = Upstream::start(script::says("404 Not Found"));
    let locum = Config::to(&upstream).policy(&breaker("30s")).start();
    let mut client = locum.client();
    for _ in 0..60 {
        assert_eq!(client.get("/").unwrap().text(), "404 Not Found");
    }
}

#[test]
fn the_deadline_is_a_504_that_names_it() {
    let upstream = Upstream::start(script::hangs());
    let locum = Config::to(&upstream).policy("timeout = \"200ms\"").start();
    let begin = now();
    let answer = locum.get("/");
    assert!(begin.elapsed() >= Duration::from_millis(150), "{:?}", begin.elapsed());
    assert_eq!(problem(&answer, 504)["kind"], "deadline");
    eventually("the attempt is cancelled upstream", || upstream.open() == 0);
}

#[test]
fn a_retry_goes_to_the_other_endpoint_and_says_which_attempt_it_is() {
    let failing = Upstream::start(script::says("503 Service Unavailable"));
    let working = Upstream::start(script::answers("ok"));
    let locum = Config::to_addresses([failing.address(), working.address()])
        .policy("retry = { attempts = 2, base = \"1ms\" }")
        .start();
    let mut client = locum.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").unwrap().text(), "ok");
    }
    let retried = |upstream: &Upstream| {
        let received = upstream.received();
        let attempts = received.iter().filter_map(|r| r.request.headers.get("x-locum-attempt"));
        attempts.filter(|attempt| *attempt == "2").count()
    };
    assert!(failing.deliveries() > 0, "both carry calls");
    assert_eq!(retried(&working), failing.deliveries(), "each failure is tried elsewhere");
    assert_eq!(retried(&failing), 0);
    let retries = [("upstream", "up"), ("kind", "retry")];
    locum.counts("locum_attempts_total", &retries, failing.deliveries() as f64);
}

#[test]
fn a_post_that_was_answered_is_not_tried_again() {
    let upstream = Upstream::start(script::says("503 Service Unavailable"));
    let locum = Config::to(&upstream).policy("retry = { attempts = 3, base = \"1ms\" }").start();
    let mut client = locum.client();
    assert_eq!(client.post("/", b"pay").unwrap().status, 503);
    assert_eq!(upstream.deliveries(), 1);
    client.send(
        "POST / HTTP/1.1\r\nHost: a.test\r\nIdempotency-Key: 7\r\nContent-Length: 3\r\n\r\npay",
    );
    assert_eq!(client.response("POST").unwrap().status, 503);
    assert_eq!(upstream.deliveries(), 1 + 3, "a key is licence to try again");
    assert!(upstream.received().iter().all(|r| r.request.body == b"pay"));
}

#[test]
fn the_budget_bounds_retries() {
    let upstream = Upstream::start(script::says("503 Service Unavailable"));
    let budget = "budget = { ratio = 0.2, min_per_second = 0, ttl = \"60s\" }";
    let locum = Config::to(&upstream)
        .policy(&format!("retry = {{ attempts = 3, base = \"1ms\", {budget} }}"))
        .start();
    let mut client = locum.client();
    for _ in 0..50 {
        assert_eq!(client.get("/").unwrap().status, 503);
    }
    assert_eq!(upstream.deliveries(), 50 + 10, "retries are a fifth of the calls");
}

#[test]
fn a_call_above_the_concurrency_limit_is_overloaded() {
    let gate = Gate::new();
    let upstream = Upstream::start(answers_behind(&gate));
    let locum = Config::to(&upstream).policy("concurrency = { max = 2, queue = 0 }").start();
    let mut held: Vec<_> = (0..2).map(|_| locum.client()).collect();
    for client in &mut held {
        client.send("GET /held HTTP/1.1\r\nHost: a.test\r\n\r\n");
    }
    eventually("two calls are in flight", || upstream.deliveries() == 2);
    let refused = problem(&locum.get("/"), 503);
    assert_eq!(refused["kind"], "concurrency");
    assert_eq!(refused["reason"], "overloaded");
    locum.counts("locum_concurrency_in_flight", &[("policy", "careful")], 2.0);
    gate.open(2);
    for client in &mut held {
        assert_eq!(client.response("GET").unwrap().status, 200);
    }
    gate.open(1);
    assert_eq!(locum.get("/").status, 200, "the permits came back");
}

#[test]
fn a_queued_call_waits_for_a_permit_or_for_its_timeout() {
    let gate = Gate::new();
    let upstream = Upstream::start(answers_behind(&gate));
    let locum = Config::to(&upstream)
        .policy("concurrency = { max = 1, queue = 1, queue_timeout = \"300ms\" }")
        .start();
    let mut first = locum.client();
    first.send("GET /first HTTP/1.1\r\nHost: a.test\r\n\r\n");
    eventually("the first is in flight", || upstream.deliveries() == 1);
    let begin = now();
    assert_eq!(locum.get("/too-late").status, 503);
    assert!(begin.elapsed() >= Duration::from_millis(250), "{:?}", begin.elapsed());

    let mut next = locum.client();
    next.send("GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n");
    eventually("the next waits", || {
        locum.metric("locum_queue_depth", &[("policy", "careful")]) == 1.0
    });
    gate.open(2);
    assert_eq!(first.response("GET").unwrap().status, 200);
    assert_eq!(next.response("GET").unwrap().status, 200);
}

#[test]
fn a_permit_lives_as_long_as_the_streamed_body() {
    let gate = Gate::new();
    let upstream = Upstream::start({
        let gate = gate.clone();
        move |peer| {
            while peer.request().is_some() {
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
                gate.wait();
                peer.send(b"k");
            }
        }
    });
    let locum = Config::to(&upstream).policy("concurrency = { max = 1, queue = 0 }").start();
    let mut streaming = locum.client();
    streaming.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let (mut answer, framing) = streaming.reader().response_head("GET").unwrap();
    assert_eq!(locum.get("/").status, 503, "the body still streams");
    gate.open(2);
    streaming.reader().body(framing, &mut answer.body).unwrap();
    eventually("the permit comes back", || locum.get("/").status == 200);
}

#[test]
fn a_shadow_policy_only_counts() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream)
        .policy("mode = \"shadow\"\nrate_limit = { rate = \"1/min\", burst = 1 }")
        .start();
    let mut client = locum.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").unwrap().status, 200);
    }
    let would = [("policy", "careful"), ("kind", "rate_limit"), ("decision", "would_reject")];
    locum.counts("locum_policy_decisions_total", &would, 19.0);
    let rejected = [("policy", "careful"), ("decision", "reject")];
    locum.counts("locum_policy_decisions_total", &rejected, 0.0);
}

#[test]
fn an_upstream_is_told_how_much_time_is_left() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).policy("timeout = \"2s\"").start();
    assert_eq!(locum.get("/").status, 200);
    let received = upstream.received();
    let left = received[0].request.headers.get("x-request-timeout-ms").unwrap();
    let left: u64 = left.parse().unwrap();
    assert!((1_000..=1_995).contains(&left), "{left}");
}

/// The body of a rejection, after what is the same for all of them.
fn problem(answer: &Response, status: u16) -> serde_json::Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.headers.get("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    for field in ["type", "title", "detail"] {
        assert!(problem[field].is_string(), "{field} in {problem}");
    }
    assert_eq!(problem["policy"], "careful", "{problem}");
    problem
}

fn breaker(wait: &str) -> String {
    format!(
        "breaker = {{ per = \"upstream\", window = \"10s\", min_calls = 20, failure_rate = 0.5, \
         wait = \"{wait}\", half_open = {{ concurrency = 1, required = 1 }} }}"
    )
}

/// Answers each request only when the gate lets it.
fn answers_behind(gate: &Gate) -> impl Fn(&mut Connection) + Send + Sync + 'static {
    let gate = gate.clone();
    move |peer| {
        while let Some(request) = peer.request() {
            gate.wait();
            peer.answer(&request, b"ok");
        }
    }
}
