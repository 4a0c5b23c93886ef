//! How a call's time comes from peers and goes on to upstreams, over HTTP.

use locum_testkit::{Response, Upstream, eventually, script};

use crate::setup::Config;

const TRUSTING: &str = "trusted_proxies = [\"127.0.0.0/8\"]";

#[test]
fn a_trusted_peer_gives_a_call_its_time_in_any_of_three_fields() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).listener(TRUSTING).policy("timeout = \"20s\"").start();
    let mut client = locum.client();
    let mut left = |fields: &str| -> u64 {
        upstream.forget();
        client.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n\r\n"));
        assert_eq!(client.response("GET").unwrap().status, 200, "{fields}");
        header(&upstream, "x-request-timeout-ms").unwrap().parse().unwrap()
    };
    let told = [
        ("x-request-timeout-ms: 9000", 9_000),
        ("grpc-timeout: 8S", 8_000),
        ("x-envoy-expected-rq-timeout-ms: 7000", 7_000),
        ("x-request-timeout-ms: 9000\r\ngrpc-timeout: 6000m", 6_000),
        ("x-request-timeout-ms: 60000", 20_000),
        ("x-request-timeout-ms: soon\r\ngrpc-timeout: 5S", 5_000),
    ];
    for (fields, most) in told {
        let left = left(fields);
        // The reserve of 5 ms is kept back; a busy machine takes some more.
        assert!((most - 2_000..=most - 5).contains(&left), "{fields}: {left}");
    }
}

#[test]
fn grpc_is_told_its_time_in_its_own_field() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).policy("timeout = \"10s\"").start();
    let mut client = locum.client();
    client.send(
        "POST /s/m HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/grpc+proto\r\n\
         Content-Length: 0\r\n\r\n",
    );
    assert_eq!(client.response("POST").unwrap().status, 200);
    let told = header(&upstream, "grpc-timeout").unwrap();
    let micros: u64 = told.strip_suffix('u').expect(&told).parse().unwrap();
    assert!((8_000_000..=9_995_000).contains(&micros), "{told}");
    assert_eq!(header(&upstream, "x-request-timeout-ms"), None);
}

#[test]
fn a_stranger_is_not_believed_and_what_it_says_goes_no_further() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).start();
    let mut client = locum.client();
    let names = [
        "grpc-timeout",
        "x-request-timeout-ms",
        "x-envoy-expected-rq-timeout-ms",
        "x-locum-attempt",
    ];
    client.send(
        "GET / HTTP/1.1\r\nHost: a.test\r\nGrpc-Timeout: 1n\r\nX-Request-Timeout-Ms: 1\r\n\
         X-Envoy-Expected-Rq-Timeout-Ms: 1\r\nX-Locum-Attempt: 7\r\n\r\n",
    );
    assert_eq!(client.response("GET").unwrap().status, 200);
    for name in names {
        assert_eq!(header(&upstream, name), None, "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_ignored_and_counted() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).listener(TRUSTING).start();
    let mut client = locum.client();
    client.send(
        "GET / HTTP/1.1\r\nHost: a.test\r\nGrpc-Timeout: 1\r\nX-Request-Timeout-Ms: -5\r\n\r\n",
    );
    assert_eq!(client.response("GET").unwrap().status, 200);
    assert_eq!(header(&upstream, "grpc-timeout"), None);
    assert_eq!(header(&upstream, "x-request-timeout-ms"), None);
    locum.counts("locum_malformed_timeouts_total", &[("listener", "web")], 2.0);
}

#[test]
fn a_call_without_time_enough_is_not_sent() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).listener(TRUSTING).policy("timeout = \"10s\"").start();
    let mut client = locum.client();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Request-Timeout-Ms: 14\r\n\r\n");
    let answer: Response = client.response("GET").unwrap();
    let problem = answer.json();
    assert_eq!(answer.status, 504, "{problem}");
    assert_eq!(
        (&problem["kind"], &problem["reason"]),
        (&"deadline".into(), &"deadline_insufficient".into())
    );
    assert_eq!(upstream.deliveries(), 0);
}

#[test]
fn a_retry_is_not_retried_by_the_layer_below() {
    let upstream = Upstream::start(script::says("503 Service Unavailable"));
    let below = Config::to(&upstream)
        .listener(TRUSTING)
        .policy("retry = { attempts = 3, base = \"1ms\", retry_of_retry = false }")
        .start();
    let above = Config::to_addresses([below.address("web")])
        .policy("retry = { attempts = 2, base = \"1ms\", budget = { min_per_second = 100 } }")
        .start();
    assert_eq!(above.get("/").status, 503);
    let attempts: Vec<_> = upstream
        .received()
        .iter()
        .map(|received| received.request.headers.get("x-locum-attempt").map(str::to_owned))
        .collect();
    // The first attempt of the layer above is tried three times below, its retry once.
    let number = |number: &str| Some(number.to_owned());
    assert_eq!(attempts, [None, number("2"), number("3"), number("2")]);
}

#[test]
fn the_access_log_tells_of_time_in_and_out() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream)
        .listener(TRUSTING)
        .policy("attempt_timeout = \"2s\"")
        .and("[log]\naccess = \"stdout\"")
        .start();
    let mut client = locum.client();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\nGrpc-Timeout: 9S\r\n\r\n");
    assert_eq!(client.response("GET").unwrap().status, 200);
    eventually("the line is written", || locum.output().ends_with('\n'));
    let line: serde_json::Value = serde_json::from_str(&locum.output()).unwrap();
    assert_eq!((&line["deadline"], &line["attempts"][0]["deadline"]), (&9e3.into(), &2e3.into()));
}

/// A field of the one request that arrived.
fn header(upstream: &Upstream, name: &str) -> Option<String> {
    let received = upstream.received();
    assert_eq!(received.len(), 1);
    received[0].request.headers.get(name).map(str::to_owned)
}
