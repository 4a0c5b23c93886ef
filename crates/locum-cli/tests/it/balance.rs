//! Which endpoint calls go to through the running program, and which are left out.

use std::collections::HashMap;
use std::net::SocketAddr;

use locum_testkit::{Locum, Response, Upstream, eventually, script};
use serde_json::Value;

use crate::setup::Config;

/// Endpoints that answer with their numbers.
fn numbered<const N: usize>() -> [Upstream; N] {
    std::array::from_fn(|number| Upstream::start(script::answers(number.to_string())))
}

fn in_front_of(upstreams: &[Upstream]) -> Config {
    Config::to_addresses(upstreams.iter().map(Upstream::address))
}

/// One call with this field, on a connection of its own.
fn ask(locum: &Locum, method: &str, field: &str) -> Response {
    let mut client = locum.client();
    client.send(format!(
        "{method} / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n{field}\r\n\r\n"
    ));
    client.response(method).unwrap()
}

/// A call is settled when its answer has left: one that comes right then, to another worker, may still
/// find the breaker as it was.
const LATE: usize = 2;

/// What the admin API says of an endpoint of the upstream.
fn endpoint(locum: &Locum, address: SocketAddr) -> Value {
    let upstreams = locum.admin("/api/v1/upstreams").json();
    let endpoints = upstreams[0]["endpoints"].as_array().unwrap();
    endpoints.iter().find(|endpoint| endpoint["name"] == address.to_string()).unwrap().clone()
}

fn is_up(locum: &Locum, address: SocketAddr) -> bool {
    locum.metric("locum_endpoint_up", &[("endpoint", &address.to_string())]) == 1.0
}

#[test]
fn peak_ewma_finds_out_the_slow_and_the_fast_failing_endpoint_by_one_call() {
    let bad = [
        Upstream::start(script::hangs()),
        Upstream::start(script::says("503 Service Unavailable")),
    ];
    for bad in bad {
        let good = Upstream::start(script::answers("ok"));
        let locum = Config::to_addresses([bad.address(), good.address()])
            .upstream("balance = \"peak-ewma\"")
            .policy("attempt_timeout = \"200ms\"\nretry = { attempts = 2, base = \"1ms\" }")
            .start();
        for _ in 0..40 {
            assert_eq!(locum.get("/").text(), "ok");
        }
        assert_eq!(bad.deliveries(), 1);
        let expected =
            |upstream: &Upstream| endpoint(&locum, upstream.address())["ewma_ms"].as_f64();
        assert!(expected(&bad) > Some(1000.0), "a failure is charged 5 s: {:?}", expected(&bad));
        assert!(expected(&good) < Some(200.0), "{:?}", expected(&good));
    }
}

#[test]
fn a_hash_sends_a_key_always_to_the_same_endpoint() {
    let upstreams = numbered::<3>();
    let locum = in_front_of(&upstreams).upstream("balance = \"hash:header:x-user\"").start();
    let mut homes = HashMap::new();
    for user in (0..3).flat_map(|_| 0..20) {
        let answer = ask(&locum, "GET", &format!("X-User: {user}")).text();
        let home = homes.entry(user).or_insert_with(|| answer.clone());
        assert_eq!(*home, answer, "user {user}");
    }
    assert!(upstreams.iter().all(|upstream| upstream.deliveries() > 0), "{homes:?}");
}

#[test]
fn the_hash_of_an_address_sends_a_client_to_one_endpoint() {
    let upstreams = numbered::<3>();
    let locum = in_front_of(&upstreams).upstream("balance = \"hash:client-ip\"").start();
    let home = locum.get("/").text();
    assert!((0..10).all(|_| locum.get("/").text() == home));
}

#[test]
fn a_sticky_cookie_is_set_once_and_followed() {
    let upstreams = numbered::<3>();
    let locum = in_front_of(&upstreams).upstream("balance = \"sticky:session\"").start();
    let first = locum.get("/");
    let set = first.headers.get("set-cookie").unwrap();
    let cookie = set.strip_suffix("; Path=/; HttpOnly").unwrap();
    assert!(cookie.starts_with("session=") && cookie.len() == "session=".len() + 16, "{cookie}");
    for _ in 0..10 {
        let again = ask(&locum, "GET", &format!("Cookie: a=b; {cookie}; c=d"));
        assert_eq!(again.text(), first.text());
        assert!(!again.headers.has("set-cookie"), "it has it already");
    }
    let strange = ask(&locum, "GET", "Cookie: session=0123456789abcdef");
    assert!(strange.headers.has("set-cookie"), "of no endpoint of ours");
}

#[test]
fn a_sticky_cookie_is_set_anew_when_another_endpoint_answers() {
    let failing = Upstream::start(script::says("503 Service Unavailable"));
    let working = Upstream::start(script::answers("ok"));
    let locum = Config::to_addresses([failing.address(), working.address()])
        .upstream("balance = \"sticky:session\"")
        .policy("retry = { attempts = 2, base = \"1ms\" }")
        .start();
    // A POST is not tried again, so some answer comes from the one that fails.
    let of_failing = (0..100).map(|_| ask(&locum, "POST", "X-A: b")).find(|a| a.status == 503);
    let set = of_failing.unwrap().headers.get("set-cookie").unwrap().to_owned();
    let (cookie, _) = set.split_once(';').unwrap();
    let answer = ask(&locum, "GET", &format!("Cookie: {cookie}"));
    assert_eq!(answer.text(), "ok");
    assert_ne!(answer.headers.get("set-cookie"), Some(&*set));
    assert!(answer.headers.has("set-cookie"));
}

#[test]
fn an_endpoint_that_fails_is_ejected() {
    let of_upstream = "[policies.guard]\nbreaker = { min_calls = 2, wait = \"60s\" }";
    let of_route = "breaker = { per = \"endpoint\", min_calls = 2, wait = \"60s\" }";
    for by_route in [false, true] {
        let failing = Upstream::start(script::says("500 Internal Server Error"));
        let working = Upstream::start(script::answers("ok"));
        let config = Config::to_addresses([failing.address(), working.address()]);
        let locum = match by_route {
            true => config.policy(of_route).start(),
            false => config.upstream("endpoint_policy = \"guard\"").and(of_upstream).start(),
        };
        assert!(is_up(&locum, failing.address()));
        let answers: Vec<_> = (0..20).map(|_| locum.get("/").status).collect();
        let failed = answers.iter().filter(|status| **status == 500).count();
        assert!((2..=2 + LATE).contains(&failed), "{answers:?}");
        assert_eq!(failing.deliveries(), failed);
        assert!(!is_up(&locum, failing.address()) && is_up(&locum, working.address()));
        let shown = endpoint(&locum, failing.address());
        assert_eq!(
            (&shown["ejected"], &shown["breakers"][0]["state"]),
            (&true.into(), &"open".into())
        );
        assert_eq!(endpoint(&locum, working.address())["ejected"], false);
        locum.counts("locum_upstream_panics_total", &[("upstream", "up")], 0.0);
    }
}

#[test]
fn an_ejected_endpoint_comes_back_once_a_probe_succeeds() {
    let recovering = Upstream::start(script::fails_first(2, "500 Internal Server Error"));
    let working = Upstream::start(script::answers("ok"));
    let guard = "breaker = { min_calls = 2, wait = \"100ms\", half_open = { required = 1 } }";
    let locum = Config::to_addresses([recovering.address(), working.address()])
        .upstream("endpoint_policy = \"guard\"")
        .and(&format!("[policies.guard]\n{guard}"))
        .start();
    for _ in 0..4 {
        locum.get("/");
    }
    eventually("it carries calls again", || {
        locum.get("/");
        recovering.deliveries() > 4
    });
    assert!(is_up(&locum, recovering.address()));
}

#[test]
fn when_too_many_fail_all_are_used() {
    let failing = || Upstream::start(script::says("500 Internal Server Error"));
    for (max_ejected, panics) in [("max_ejected = 0.5", true), ("max_ejected = 1", false)] {
        let upstreams = [failing(), failing()];
        let locum = in_front_of(&upstreams)
            .upstream(max_ejected)
            .upstream("endpoint_policy = \"guard\"")
            .and("[policies.guard]\nbreaker = { min_calls = 2, wait = \"60s\" }")
            .start();
        let answers: Vec<_> = (0..20).map(|_| locum.get("/").status).collect();
        let own = answers.iter().filter(|status| **status == 500).count();
        let delivered: usize = upstreams.iter().map(Upstream::deliveries).sum();
        assert_eq!(own, delivered);
        let panicked = locum.metric("locum_upstream_panics_total", &[("upstream", "up")]);
        if panics {
            assert_eq!(own, 20, "{answers:?}");
            assert!((1.0..=16.0).contains(&panicked), "{panicked}");
        } else {
            assert!((4..=4 + LATE).contains(&own), "{answers:?}");
            assert_eq!(panicked, 0.0);
            let refused = locum.get("/");
            assert_eq!((refused.status, &refused.json()["reason"]), (503, &"open".into()));
        }
    }
}
