//! Trouble made on purpose, as clients and everything around the attempts see it.

use std::time::Duration;

use locum_testkit::clock::now;
use locum_testkit::{Upstream, script};

use crate::setup::Config;

#[test]
fn an_attempt_is_aborted_with_an_answer_that_says_so() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).policy("fault = { abort = 418, abort_rate = 1 }").start();
    let mut client = locum.client();
    for _ in 0..2 {
        let answer = client.get("/").unwrap();
        assert_eq!(answer.status, 418);
        assert_eq!(answer.headers.get("content-type"), Some("application/problem+json"));
        assert_eq!(answer.json()["reason"], "fault");
        assert!(answer.headers.get("proxy-status").unwrap().contains("on purpose"));
    }
    assert_eq!(upstream.deliveries(), 0);
    let injected = [("kind", "fault"), ("decision", "apply"), ("reason", "abort")];
    locum.counts("locum_policy_decisions_total", &injected, 2.0);
}

#[test]
fn everything_around_an_attempt_takes_a_fault_for_the_upstreams() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream)
        .policy(
            "fault = { abort = 503, abort_rate = 1 }\n\
             retry = { attempts = 2, base = \"1ms\" }\n\
             breaker = { min_calls = 4, failure_rate = 1 }",
        )
        .start();
    let mut client = locum.client();
    let reasons: Vec<_> =
        (0..3).map(|_| client.get("/").unwrap().json()["reason"].to_string()).collect();
    assert_eq!(reasons, ["\"fault\"", "\"fault\"", "\"open\""]);
    locum.counts("locum_attempts_total", &[("kind", "retry"), ("outcome", "failure")], 2.0);
}

#[test]
fn an_attempt_is_delayed() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum =
        Config::to(&upstream).policy("fault = { delay = \"200ms\", delay_rate = 1 }").start();
    let begin = now();
    assert_eq!(locum.get("/").text(), "ok");
    assert!(begin.elapsed() >= Duration::from_millis(200), "{:?}", begin.elapsed());
}
