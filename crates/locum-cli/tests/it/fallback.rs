//! The answer that a policy has in store for its failures and refusals.

use locum_testkit::{Locum, Response, Upstream, eventually, refused, script};

use crate::setup::Config;

const FALLBACK: &str =
    "fallback = { status = 203, headers = { \"content-type\" = \"text/plain\" }, body = \"[]\" }";

#[test]
fn a_failing_answer_is_replaced() {
    let upstream = Upstream::start(script::says("503 Service Unavailable"));
    let locum = Config::to(&upstream)
        .policy(&format!("{FALLBACK}\nretry = {{ attempts = 2, base = \"1ms\" }}"))
        .and("[log]\naccess = \"stdout\"")
        .start();
    let mut client = locum.client();
    for _ in 0..2 {
        let answer = client.get("/").unwrap();
        is_fallback(&answer, "received-status=503");
    }
    assert_eq!(upstream.deliveries(), 4, "every attempt failed before");
    tells_of(&locum, "status", 2);
    let attempts = [("upstream", "up"), ("outcome", "failure")];
    locum.counts("locum_attempts_total", &attempts, 4.0);
}

#[test]
fn an_answer_that_is_replaced_does_not_cost_its_connection() {
    let upstream = Upstream::start(script::says("503 Service Unavailable"));
    let locum = Config::to(&upstream).policy(FALLBACK).start();
    let mut client = locum.client();
    (0..5).for_each(|_| is_fallback(&client.get("/").unwrap(), "received-status=503"));
    assert_eq!((upstream.deliveries(), upstream.accepted()), (5, 1));
}

#[test]
fn an_upstream_that_cannot_be_reached_is_replaced() {
    let locum = Config::to_addresses([refused()]).policy(FALLBACK).start();
    is_fallback(&locum.get("/"), "error=connection_refused");
}

#[test]
fn a_call_that_took_too_long_is_replaced() {
    let upstream = Upstream::start(script::hangs());
    let locum = Config::to(&upstream).policy(&format!("{FALLBACK}\ntimeout = \"100ms\"")).start();
    is_fallback(&locum.get("/"), "error=http_response_timeout");
    eventually("the attempt is cancelled upstream", || upstream.open() == 0);
}

#[test]
fn a_refusal_is_replaced() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream)
        .policy(&format!("{FALLBACK}\nrate_limit = {{ rate = \"1/h\", burst = 1 }}"))
        .and("[log]\naccess = \"stdout\"")
        .start();
    let mut client = locum.client();
    assert_eq!(client.get("/").unwrap().status, 200);
    is_fallback(&client.get("/").unwrap(), "error=http_request_denied");
    tells_of(&locum, "limited", 1);
    let rejected = [("kind", "rate_limit"), ("decision", "reject"), ("reason", "limited")];
    locum.counts("locum_policy_decisions_total", &rejected, 1.0);
}

#[test]
fn what_the_caller_did_wrong_is_its_own() {
    let upstream = Upstream::start(script::says("404 Not Found"));
    let locum = Config::to(&upstream).policy(FALLBACK).start();
    assert_eq!(locum.get("/").text(), "404 Not Found");
}

#[test]
fn a_fallback_in_shadow_replaces_nothing() {
    let upstream = Upstream::start(script::says("503 Service Unavailable"));
    let locum = Config::to(&upstream).policy(&format!("mode = \"shadow\"\n{FALLBACK}")).start();
    assert_eq!(locum.get("/").text(), "503 Service Unavailable");
}

#[test]
fn head_is_told_the_length_and_sent_no_body_and_the_connection_goes_on() {
    let upstream = Upstream::start(script::says("500 Internal Server Error"));
    let locum = Config::to(&upstream).policy(FALLBACK).start();
    let mut client = locum.client();
    client.send("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let answer = client.response("HEAD").unwrap();
    assert_eq!((answer.status, answer.headers.get("content-length")), (203, Some("2")));
    is_fallback(&client.get("/").unwrap(), "received-status=500");
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi");
    is_fallback(&client.response("POST").unwrap(), "received-status=500");
    is_fallback(&client.get("/").unwrap(), "received-status=500");
}

#[test]
fn an_answer_without_content_has_no_length() {
    let locum = Config::to_addresses([refused()]).policy("fallback = { status = 204 }").start();
    let mut client = locum.client();
    for _ in 0..2 {
        let answer = client.get("/").unwrap();
        assert_eq!((answer.status, answer.headers.get("content-length")), (204, None));
    }
}

#[test]
fn the_edits_of_a_route_apply() {
    let locum = Config::to_addresses([refused()])
        .route("response_headers = { set = { \"content-type\" = \"text/html\", \"x-a\" = \"1\" } }")
        .policy(FALLBACK)
        .start();
    let answer = locum.get("/");
    assert_eq!(answer.headers.all("content-type").collect::<Vec<_>>(), ["text/html"]);
    assert_eq!(answer.headers.get("x-a"), Some("1"));
}

fn is_fallback(answer: &Response, says: &str) {
    assert_eq!((answer.status, &*answer.text()), (203, "[]"));
    assert_eq!(answer.headers.get("content-type"), Some("text/plain"));
    let said = answer.headers.get("proxy-status").unwrap();
    assert!(said.contains(says) && said.contains("details=\"fallback: "), "{said}");
}

/// The metrics and the access log know so many calls that were answered so, for this reason.
fn tells_of(locum: &Locum, reason: &str, calls: usize) {
    let labels = [("outcome", "fallback"), ("code", "203")];
    locum.counts("locum_calls_total", &labels, calls as f64);
    let lines = || {
        let output = locum.output();
        let lines: Vec<serde_json::Value> = output
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|line: &serde_json::Value| line["outcome"] == "fallback")
            .collect();
        lines
    };
    eventually("they are in the access log", || lines().len() == calls);
    assert!(lines().iter().all(|line| line["reason"] == reason && line["status"] == 203));
}
