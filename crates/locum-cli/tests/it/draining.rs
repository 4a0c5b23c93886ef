//! Endpoints that are taken out by hand, and back in.

use std::net::SocketAddr;

use locum_testkit::{Gate, Load, Locum, Response, Upstream, eventually, script};
use serde_json::Value;

use crate::setup::{Config, demo};

pub(crate) fn switch(locum: &Locum, endpoint: &str, what: &str) -> Response {
    let path = format!("/api/v1/upstreams/up/endpoints/{endpoint}/{what}");
    let mut client = locum_testkit::Client::connect(locum.address("admin"));
    client.send(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"));
    client.response("POST").unwrap()
}

pub(crate) fn drain(locum: &Locum, address: SocketAddr) -> Value {
    let answer = switch(locum, &address.to_string(), "drain");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn enable(locum: &Locum, address: SocketAddr) -> Value {
    let answer = switch(locum, &address.to_string(), "enable");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn numbered<const N: usize>() -> [Upstream; N] {
    std::array::from_fn(|number| Upstream::start(script::answers(number.to_string())))
}

fn in_front_of(upstreams: &[Upstream]) -> Config {
    Config::to_addresses(upstreams.iter().map(Upstream::address))
}

fn answers(locum: &Locum, count: usize) -> Vec<String> {
    (0..count).map(|_| locum.get("/").text()).collect()
}

#[test]
fn an_endpoint_that_was_taken_out_gets_no_calls_until_it_is_back() {
    let upstreams = numbered::<2>();
    let locum = in_front_of(&upstreams).start();
    let shown = drain(&locum, upstreams[0].address());
    assert_eq!((&shown["drained"], &shown["in_flight"]), (&true.into(), &0.into()));
    assert_eq!(answers(&locum, 10), vec!["1"; 10]);
    let address = upstreams[0].address().to_string();
    assert_eq!(locum.metric("locum_endpoint_up", &[("endpoint", &address)]), 0.0);
    let all = locum.admin("/api/v1/upstreams/up").json();
    assert_eq!(
        (&all["endpoints"][0]["drained"], &all["endpoints"][1]["drained"]),
        (&true.into(), &false.into())
    );
    eventually("its idle connections are closed", || upstreams[0].open() == 0);
    assert_eq!(enable(&locum, upstreams[0].address())["drained"], false);
    assert!(answers(&locum, 4).contains(&"0".to_owned()));
}

#[test]
fn calls_in_flight_end_where_they_are() {
    let gate = std::sync::Arc::new(Gate::new());
    let held = Upstream::start({
        let gate = std::sync::Arc::clone(&gate);
        move |peer| {
            while let Some(request) = peer.request() {
                gate.wait();
                peer.answer(&request, b"held");
            }
        }
    });
    let locum = Config::to(&held).start();
    let mut client = locum.client();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    eventually("the call is there", || held.deliveries() == 1);
    assert_eq!(drain(&locum, held.address())["in_flight"], 1);
    let refused = locum.get("/");
    assert_eq!((refused.status, &refused.json()["reason"]), (503, &"unavailable".into()));
    gate.open(1);
    assert_eq!(client.response("GET").unwrap().text(), "held");
    eventually("none is in flight", || drain(&locum, held.address())["in_flight"] == 0);
}

#[test]
fn a_session_moves_when_its_endpoint_is_taken_out() {
    let upstreams = numbered::<2>();
    let locum = in_front_of(&upstreams).upstream("balance = \"sticky:s\"").start();
    let first = locum.get("/");
    let cookie = first.headers.get("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let home: usize = first.text().parse().unwrap();
    let again = |cookie: &str| {
        let mut client = locum.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\nCookie: {cookie}\r\n\r\n"));
        client.response("GET").unwrap()
    };
    assert_eq!(again(&cookie).text(), first.text());
    drain(&locum, upstreams[home].address());
    let moved = again(&cookie);
    assert_ne!(moved.text(), first.text());
    assert!(moved.headers.has("set-cookie"), "it is bound anew");
}

#[test]
fn a_reload_leaves_it_out_as_long_as_it_is_listed() {
    let upstreams = numbered::<2>();
    let config = in_front_of(&upstreams);
    let locum = config.start();
    drain(&locum, upstreams[0].address());
    locum.reload(&config.clone().policy("timeout = \"5s\"").to_string());
    assert_eq!(answers(&locum, 6), vec!["1"; 6]);
    locum.reload(&in_front_of(&upstreams[1..]).to_string());
    locum.reload(&config.to_string());
    assert!(answers(&locum, 4).contains(&"0".to_owned()), "it was not listed, so it is new");
}

#[test]
fn taking_out_and_back_under_load_fails_no_call() {
    let upstreams = numbered::<3>();
    let locum = in_front_of(&upstreams).start();
    let load = Load::get(locum.address("web"), "/").clients(8);
    let (report, ()) = load.during(|| {
        for round in 0..12 {
            let sent = load.sent();
            eventually("it carries load", || load.sent() > sent + 20);
            let at = upstreams[round % 3].address();
            drain(&locum, at);
            // From here on it may be stopped: nothing is there, and nothing comes.
            eventually("none is in flight", || drain(&locum, at)["in_flight"] == 0);
            let before = upstreams[round % 3].deliveries();
            let sent = load.sent();
            eventually("it carries load", || load.sent() > sent + 20);
            assert_eq!(upstreams[round % 3].deliveries(), before);
            enable(&locum, at);
        }
    });
    assert_eq!((report.failed(), report.closed_idle), (0, 0), "{report:?}");
    assert_eq!(report.ok(), report.statuses.values().sum::<u64>(), "{report:?}");
}

#[test]
fn remote_calls_keep_away_from_it_too() {
    let backends = [demo(), demo()];
    let rpc = backends.each_ref().map(|backend| backend.address("rpc"));
    let locum = Config::calls_to("gob", rpc).start();
    let call = || {
        let asked =
            ["call", &locum.address("rpc").to_string(), "Arith.Multiply", "{\"A\":7,\"B\":8}"];
        let called = locum_testkit::run_to_end(crate::setup::binary(), &asked);
        assert_eq!(called.output.trim(), "56", "{}", called.errors);
    };
    let calls = |backend: &Locum| {
        backend
            .metrics()
            .lines()
            .filter(|line| line.starts_with("locum_calls_total"))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum::<f64>()
    };
    call();
    drain(&locum, rpc[0]);
    let before = calls(&backends[0]);
    (0..6).for_each(|_| call());
    assert_eq!(calls(&backends[0]), before);
    eventually("its connections are closed", || {
        backends[0].metric("locum_connections", &[("listener", "rpc")]) == 0.0
    });
}

#[test]
fn what_is_not_there_cannot_be_taken_out() {
    let upstreams = numbered::<1>();
    let locum = in_front_of(&upstreams).start();
    let no_endpoint = switch(&locum, "127.0.0.1:1", "drain");
    assert_eq!(no_endpoint.status, 404);
    let known = upstreams[0].address();
    assert_eq!(
        no_endpoint.json()["detail"],
        format!("`up` has no endpoint `127.0.0.1:1`; there is `{known}`")
    );
    let path = format!("/api/v1/upstreams/up/endpoints/{known}/drain");
    assert_eq!(locum.admin(&path).status, 405);
    assert_eq!(locum.admin("/api/v1/upstreams/other").status, 404);
    assert_eq!(locum.admin("/api/v1/upstreams/up/endpoints").status, 404);
}
