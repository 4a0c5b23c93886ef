//! Endpoints that are checked: who is down, why, and what becomes of calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use locum_testkit::{Grpc, Load, Locum, Upstream, eventually, refused, script};
use serde_json::Value;

use crate::setup::{Config, demo, locum};

/// An upstream that answers calls with its name, and checks as it is told.
pub(crate) struct Checked {
    pub(crate) upstream: Upstream,
    well: Arc<AtomicBool>,
}

impl Checked {
    pub(crate) fn start(name: &'static str) -> Self {
        let well = Arc::new(AtomicBool::new(true));
        let upstream = Upstream::start({
            let well = Arc::clone(&well);
            move |peer| {
                while let Some(request) = peer.request() {
                    match request.target == "/healthz" && !well.load(Ordering::SeqCst) {
                        true => peer.answer_with(&request, "500 Internal Server Error", &[], b""),
                        false => peer.answer(&request, name.as_bytes()),
                    }
                }
            }
        });
        Self { upstream, well }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.upstream.address()
    }

    pub(crate) fn be(&self, well: bool) {
        self.well.store(well, Ordering::SeqCst);
    }
}

/// Checks in quick succession; none of them is late, however busy the machine.
pub(crate) const HEALTH: &str =
    "health = { path = \"/healthz\", every = \"50ms\", timeout = \"10s\", unhealthy = 2 }";

fn in_front_of(upstreams: &[Checked]) -> Config {
    Config::to_addresses(upstreams.iter().map(Checked::address)).upstream(HEALTH)
}

pub(crate) fn endpoint_is_up(locum: &Locum, address: SocketAddr) -> bool {
    locum.metric("locum_endpoint_up", &[("endpoint", &address.to_string())]) == 1.0
}

/// What the admin API says of an endpoint of the upstream.
fn endpoint(locum: &Locum, address: SocketAddr) -> Value {
    let upstreams = locum.admin("/api/v1/upstreams").json();
    let endpoints = upstreams[0]["endpoints"].as_array().unwrap();
    endpoints.iter().find(|endpoint| endpoint["name"] == address.to_string()).unwrap().clone()
}

#[test]
fn failing_checks_take_an_endpoint_out_and_good_ones_bring_it_back() {
    let upstreams = ["a", "b"].map(Checked::start);
    let [a, b] = &upstreams;
    let locum = in_front_of(&upstreams).start();
    assert!(
        endpoint_is_up(&locum, a.address()),
        "it is thought to work until checks say otherwise"
    );
    a.be(false);
    eventually("it is down", || !endpoint_is_up(&locum, a.address()));
    assert!((0..20).all(|_| locum.get("/").text() == "b"));
    let shown = endpoint(&locum, a.address());
    assert_eq!((&shown["health"]["up"], &shown["ejected"]), (&false.into(), &true.into()));
    assert_eq!(shown["health"]["last"]["reason"], "it answered 500");
    assert!(shown["health"]["for"].is_number(), "{shown}");
    assert_eq!(endpoint(&locum, b.address())["health"]["up"], true);
    a.be(true);
    eventually("it is up again", || endpoint_is_up(&locum, a.address()));
    let answers: Vec<_> = (0..4).map(|_| locum.get("/").text()).collect();
    assert!(answers.contains(&"a".to_owned()), "{answers:?}");
}

#[test]
fn an_endpoint_is_asked_once_however_many_workers_there_are() {
    let a = [Checked::start("a")];
    let locum = in_front_of(&a).and("[runtime]\nworkers = 3").start();
    let checks = |result| locum.metric("locum_health_checks_total", &[("result", result)]);
    eventually("some checks were made", || checks("pass") >= 5.0);
    let before = checks("pass");
    let asked =
        a[0].upstream.received().iter().filter(|it| it.request.target == "/healthz").count();
    // Another may have begun or ended between the looks.
    assert!((before..=checks("pass") + 1.0).contains(&(asked as f64)), "{before} {asked}");
    assert_eq!(checks("fail"), 0.0);
    assert_eq!(a[0].upstream.violations(), Vec::<String>::new());
}

#[test]
fn endpoints_of_http2_are_asked_by_http2() {
    let behind = [Checked::start("a")];
    let backend = Config::to(&behind[0].upstream).start();
    let address = backend.address("web");
    let locum =
        Config::to_addresses([address]).upstream("protocol = \"h2\"").upstream(HEALTH).start();
    let passed = || endpoint(&locum, address)["health"]["passed"].as_u64();
    eventually("it was checked some times", || passed() > Some(3));
    assert_eq!(endpoint(&locum, address)["health"]["failed"], 0);
    behind[0].be(false);
    eventually("it is down", || !endpoint_is_up(&locum, address));
    assert_eq!(endpoint(&locum, address)["health"]["last"]["reason"], "it answered 500");
    behind[0].be(true);
    eventually("it is up again", || endpoint_is_up(&locum, address));
    assert_eq!(locum.get("/").text(), "a");
}

#[test]
fn what_is_wrong_with_an_endpoint_is_told() {
    let raw = |bytes: &'static str| Upstream::start(script::sends_raw(bytes));
    let cases = [
        (Upstream::start(script::says("404 Not Found")), "it answered 404"),
        (raw("what?\r\n\r\n"), "it answered malformed HTTP: "),
        (Upstream::start(|_| {}), "it closed the connection unanswered"),
        (Upstream::start(script::hangs()), "it took too long"),
    ];
    for (bad, reason) in cases {
        let health =
            "health = { path = \"/\", every = \"50ms\", timeout = \"100ms\", unhealthy = 1 }";
        let locum = Config::to(&bad).upstream(health).start();
        eventually(reason, || {
            let last = endpoint(&locum, bad.address())["health"]["last"]["reason"].clone();
            last.as_str().is_some_and(|last| last.starts_with(reason))
        });
    }
    let nobody = refused();
    let locum = Config::to_addresses([nobody])
        .upstream("health = { kind = \"tcp\", every = \"50ms\", unhealthy = 1 }")
        .start();
    eventually("nobody listens", || !endpoint_is_up(&locum, nobody));
    let last = endpoint(&locum, nobody)["health"]["last"]["reason"].clone();
    assert!(last.as_str().unwrap().starts_with("cannot connect: "), "{last}");
}

#[test]
fn other_statuses_and_hosts_can_be_asked_for() {
    let upstream = Upstream::start(script::says("404 Not Found"));
    let health = "health = { path = \"/x?y\", host = \"a.test\", status = \"200, 400-404\", every = \"50ms\", timeout = \"10s\" }";
    let locum = Config::to(&upstream).upstream(health).start();
    eventually("it was checked", || {
        locum.metric("locum_health_checks_total", &[("result", "pass")]) > 0.0
    });
    let asked = &upstream.received()[0].request;
    assert_eq!((&*asked.target, asked.headers.get("host")), ("/x?y", Some("a.test")));
}

#[test]
fn when_all_are_down_all_are_used_unless_all_may_be_out() {
    for (max_ejected, status, count) in [("0.5", 200, 2), ("1", 503, 2), ("0.5", 503, 1)] {
        let upstreams: Vec<_> = (0..count).map(|_| Checked::start("a")).collect();
        let locum =
            in_front_of(&upstreams).upstream(&format!("max_ejected = {max_ejected}")).start();
        upstreams.iter().for_each(|upstream| upstream.be(false));
        eventually("all are down", || {
            upstreams.iter().all(|upstream| !endpoint_is_up(&locum, upstream.address()))
        });
        let answer = locum.get("/");
        assert_eq!(answer.status, status, "{max_ejected} of {count}");
        if status == 503 {
            assert_eq!(answer.json()["reason"], "unavailable");
        }
    }
}

#[test]
fn checks_and_breakers_together_make_an_upstream_panic() {
    let upstreams: Vec<_> = (0..2).map(|_| Checked::start("well")).collect();
    let failing = Upstream::start(script::says("500 Internal Server Error"));
    let unchecked = Upstream::start(|peer: &mut locum_testkit::Connection| {
        while let Some(request) = peer.request() {
            match &*request.target {
                "/healthz" => peer.answer(&request, b""),
                _ => peer.answer_with(&request, "500 Internal Server Error", &[], b""),
            }
        }
    });
    let addresses =
        [upstreams[0].address(), upstreams[1].address(), failing.address(), unchecked.address()];
    let locum = Config::to_addresses(addresses)
        .upstream(HEALTH)
        .upstream("max_ejected = 0.25\nendpoint_policy = \"guard\"")
        .and("[policies.guard]\nbreaker = { min_calls = 2, wait = \"60s\" }")
        .start();
    eventually("one is down by its checks", || !endpoint_is_up(&locum, failing.address()));
    let panics = || locum.metric("locum_upstream_panics_total", &[("upstream", "up")]);
    assert_eq!(panics(), 0.0, "one of four may be out");
    eventually("another is out by its breaker, which is one too many", || {
        locum.get("/");
        panics() > 0.0
    });
    assert!(!endpoint_is_up(&locum, unchecked.address()));
}

#[test]
fn a_reload_that_leaves_an_endpoint_alone_leaves_its_health_alone() {
    let upstreams = ["a", "b"].map(Checked::start);
    let [a, _] = &upstreams;
    let config = in_front_of(&upstreams);
    let locum = config.start();
    a.be(false);
    eventually("it is down", || !endpoint_is_up(&locum, a.address()));
    // From now on no check would find out anything.
    let slowly = HEALTH.replace("50ms", "1h");
    let config = Config::to_addresses(upstreams.iter().map(Checked::address)).upstream(&slowly);
    locum.reload(&config.policy("timeout = \"5s\"").to_string());
    assert!(!endpoint_is_up(&locum, a.address()));
    assert!((0..10).all(|_| locum.get("/").text() == "b"));
    locum.reload(&Config::to_addresses(upstreams.iter().map(Checked::address)).to_string());
    eventually("without checks nobody knows of anything", || endpoint_is_up(&locum, a.address()));
    assert!(endpoint(&locum, a.address())["health"].is_null());
}

#[test]
fn upstreams_of_remote_calls_are_asked_for_a_connection() {
    let backend = demo();
    let (rpc, nobody) = (backend.address("rpc"), refused());
    let locum = Config::calls_to("gob", [nobody, rpc])
        .upstream("health = { every = \"50ms\", timeout = \"10s\", unhealthy = 1, healthy = 1 }")
        .start();
    eventually("one of them is down", || !endpoint_is_up(&locum, nobody));
    assert!(endpoint_is_up(&locum, rpc));
    let failures = || locum.metric("locum_attempts_total", &[("outcome", "failure")]);
    let before = failures();
    for _ in 0..10 {
        let asked =
            ["call", &locum.address("rpc").to_string(), "Arith.Multiply", "{\"A\":7,\"B\":8}"];
        let called = locum_testkit::run_to_end(crate::setup::binary(), &asked);
        assert_eq!(called.output.trim(), "56", "{}", called.errors);
    }
    assert_eq!(failures(), before, "no call was sent to where nobody listens");
}

#[test]
fn a_backend_that_is_killed_under_load_fails_no_call() {
    let start = |bind: &str| {
        let config = format!(
            "[admin]\nlisten = \"127.0.0.1:0\"\n[listeners.web]\nbind = \"{bind}\"\n\
             [upstreams.demo]\nendpoints = [\"demo://1\"]\n[[routes]]\nupstream = \"demo\"\n"
        );
        locum().config(config).start()
    };
    let (a, b) = (start("127.0.0.1:0"), start("127.0.0.1:0"));
    let (at, other) = (a.address("web"), b.address("web"));
    let locum = Config::to_addresses([at, other])
        .upstream("health = { path = \"/status/200\", every = \"50ms\", timeout = \"10s\" }")
        .policy("retry = { attempts = 3, base = \"1ms\", budget = { min_per_second = 1000 } }")
        .start();
    let load = Load::get(locum.address("web"), "/status/200");
    let (report, _again) = load.during(|| {
        eventually("it carries load", || load.sent() > 100);
        // Killed, not told to end.
        drop(a);
        eventually("it is down", || !endpoint_is_up(&locum, at));
        let again = start(&at.to_string());
        eventually("it is up again", || endpoint_is_up(&locum, at));
        let sent = load.sent();
        eventually("it carries load", || load.sent() > sent + 100);
        again
    });
    assert_eq!((report.failed(), report.closed_idle), (0, 0), "{report:?}");
    assert_eq!(report.ok(), report.statuses.values().sum::<u64>(), "{report:?}");
}

#[test]
fn servers_of_grpc_are_asked_how_their_services_are() {
    let Some(grpc) = Grpc::find() else { return };
    let server = grpc.server();
    let before = |service: &str| {
        Config::to_addresses([server.address])
            .upstream("protocol = \"grpc\"")
            .upstream(&format!(
                "health = {{ kind = \"grpc\", {service} every = \"50ms\", timeout = \"10s\", unhealthy = 1, healthy = 1 }}"
            ))
            .start()
    };
    let health = |locum: &Locum| endpoint(locum, server.address)["health"].clone();
    let (whole, one) = (before(""), before("service = \"test.Peer\","));
    for locum in [&whole, &one] {
        eventually("it was checked", || health(locum)["passed"].as_u64() > Some(0));
        assert_eq!((&health(locum)["up"], &health(locum)["failed"]), (&true.into(), &0.into()));
    }
    grpc.check(server.address, &["falls_ill"]);
    for locum in [&whole, &one] {
        eventually("it is down", || !endpoint_is_up(locum, server.address));
        assert_eq!(health(locum)["last"]["reason"], "it says NOT_SERVING");
    }
    grpc.check(server.address, &["gets_well"]);
    eventually("it is up again", || endpoint_is_up(&one, server.address));

    let other = before("service = \"test.Other\",");
    eventually("nobody knows that service", || !endpoint_is_up(&other, server.address));
    assert_eq!(health(&other)["last"]["reason"], "it answered NOT_FOUND");
}

#[test]
fn who_speaks_no_grpc_is_told_so() {
    let upstream = Upstream::start(script::answers("hello"));
    let second = Config::to(&upstream).start();
    let address = second.address("web");
    let locum = Config::to_addresses([address])
        .upstream("protocol = \"h2\"")
        .upstream(
            "health = { kind = \"grpc\", every = \"50ms\", timeout = \"10s\", unhealthy = 1 }",
        )
        .start();
    eventually("it is down", || !endpoint_is_up(&locum, address));
    // It answers 200, with what is no message of gRPC.
    assert_eq!(endpoint(&locum, address)["health"]["last"]["reason"], "it answered UNKNOWN");
}
