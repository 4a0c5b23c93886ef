//! Second attempts beside first ones that are slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use locum_testkit::clock::now;
use locum_testkit::{Connection, Gate, Locum, Upstream, eventually, script};

use crate::setup::Config;

#[test]
fn a_slow_endpoint_is_overtaken_and_let_go() {
    let slow = Upstream::start(script::hangs());
    let fast = Upstream::start(script::answers("ok"));
    let locum = hedged(&[&slow, &fast]).start();
    let mut client = locum.client();
    let begin = now();
    // Whichever is asked first, the slow one is so at least once.
    for _ in 0..2 {
        assert_eq!(client.get("/").unwrap().text(), "ok");
    }
    assert!(begin.elapsed() >= Duration::from_millis(50), "{:?}", begin.elapsed());
    assert_eq!(fast.deliveries(), 2);
    let hedged = slow.deliveries();
    assert!(hedged > 0);
    eventually("the slow attempt is cancelled", || slow.open() == 0);

    let hedges = [("upstream", "up"), ("kind", "hedge"), ("outcome", "success")];
    locum.counts("locum_attempts_total", &hedges, hedged as f64);
    let lost = [("upstream", "up"), ("kind", "first"), ("outcome", "cancelled")];
    locum.counts("locum_attempts_total", &lost, hedged as f64);
    locum.counts("locum_calls_total", &[("outcome", "success"), ("code", "200")], 2.0);

    let lines = access_lines(&locum, 2);
    let mut lines = lines.iter().filter(|line| line["attempts"].as_array().unwrap().len() == 2);
    let line = lines.next().expect("a call was hedged");
    let [first, second] = [0, 1].map(|index| &line["attempts"][index]);
    assert_eq!((&first["endpoint"], &first["outcome"]), (&name(&slow), &"cancelled".into()));
    assert_eq!((&second["endpoint"], &second["kind"]), (&name(&fast), &"hedge".into()));
    assert!(second["start"].as_f64().unwrap() >= 50.0, "{line}");
}

#[test]
fn the_client_that_leaves_takes_both_attempts_along() {
    let upstreams = [Upstream::start(script::hangs()), Upstream::start(script::hangs())];
    let locum = hedged(&[&upstreams[0], &upstreams[1]]).start();
    let mut client = locum.client();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    eventually("both are asked", || upstreams.iter().all(|upstream| upstream.deliveries() == 1));
    drop(client);
    eventually("both are let go", || upstreams.iter().all(|upstream| upstream.open() == 0));
    locum.counts("locum_calls_total", &[("outcome", "cancelled"), ("code", "499")], 1.0);
    let cancelled = [("outcome", "cancelled")];
    locum.counts("locum_attempts_total", &cancelled, 2.0);
}

#[test]
fn a_body_that_is_kept_goes_to_both() {
    let slow = Upstream::start(script::hangs());
    let fast = Upstream::start(script::answers("ok"));
    let locum = hedged(&[&slow, &fast]).start();
    let mut client = locum.client();
    for _ in 0..2 {
        client.send(
            "PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        );
        assert_eq!(client.response("PUT").unwrap().text(), "ok");
    }
    for upstream in [&slow, &fast] {
        assert!(upstream.received().iter().all(|received| received.request.body == b"abcde"));
        assert_eq!(upstream.violations(), Vec::<String>::new());
    }
    assert!(slow.deliveries() > 0);
    assert_eq!(fast.deliveries(), 2);
}

#[test]
fn a_body_on_its_way_is_not_shared_by_two_attempts() {
    let slow = [(); 2].map(|()| Upstream::start(script::hangs()));
    let locum = hedged_for(&[&slow[0], &slow[1]], "timeout = \"250ms\"").start();
    let mut client = locum.client();
    client.send("PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\n\r\nabc");
    // The time of the call is over long after that of a hedge.
    assert_eq!(client.response("PUT").unwrap().status, 504);
    assert_eq!(slow.iter().map(|upstream| upstream.received().len()).sum::<usize>(), 1);
}

#[test]
fn a_call_that_must_not_be_made_twice_is_not_hedged() {
    let slow = [(); 2].map(|()| Upstream::start(script::hangs()));
    let locum = hedged_for(&[&slow[0], &slow[1]], "timeout = \"250ms\"").start();
    assert_eq!(locum.client().post("/", b"pay").unwrap().status, 504);
    assert_eq!(slow.iter().map(Upstream::deliveries).sum::<usize>(), 1);
}

#[test]
fn a_failed_attempt_does_not_win_while_another_is_under_way() {
    // Whoever is asked first answers once the other has failed, and the program is done with that: then it
    // closes the connection.
    let asked = Arc::new(AtomicUsize::new(0));
    let failed = Gate::new();
    let upstreams = [(); 2].map(|()| {
        let (asked, failed) = (Arc::clone(&asked), failed.clone());
        Upstream::start(move |peer: &mut Connection| {
            while let Some(request) = peer.request() {
                if asked.fetch_add(1, Ordering::SeqCst) == 0 {
                    failed.wait();
                    peer.answer(&request, b"ok");
                } else {
                    let closing = [("connection", "close")];
                    peer.answer_with(&request, "503 Service Unavailable", &closing, b"no");
                    assert!(peer.request().is_none());
                    failed.open(1);
                    return;
                }
            }
        })
    });
    let locum = hedged(&[&upstreams[0], &upstreams[1]]).start();
    assert_eq!(locum.get("/").text(), "ok");
    locum.counts("locum_attempts_total", &[("kind", "hedge"), ("outcome", "failure")], 1.0);
}

#[test]
fn the_delay_that_was_observed_and_the_budget_are_shown() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).policy("hedge = { delay = \"p95\" }").start();
    let shown = || locum.admin("/api/v1/policies/careful").json();
    let unknown = serde_json::json!([{ "upstream": "up", "delay": null }]);
    assert_eq!(shown()["hedge_delays"], unknown);
    let mut client = locum.client();
    for _ in 0..32 {
        assert_eq!(client.get("/").unwrap().status, 200);
    }
    eventually("enough is known", || shown()["hedge_delays"][0]["delay"].as_f64() > Some(0.0));
    let labels = [("policy", "careful"), ("upstream", "up")];
    assert!(locum.metric("locum_hedge_delay_seconds", &labels) > 0.0);
    assert!(shown()["retry_budget"].as_u64() > Some(0));
    assert!(locum.metric("locum_retry_budget_balance", &[("policy", "careful")]) > 0.0);
}

fn hedged(upstreams: &[&Upstream]) -> Config {
    hedged_for(upstreams, "")
}

fn hedged_for(upstreams: &[&Upstream], more: &str) -> Config {
    Config::to_addresses(upstreams.iter().map(|upstream| upstream.address()))
        .policy(&format!("hedge = {{ delay = \"50ms\" }}\n{more}"))
        .and("[log]\naccess = \"stdout\"")
}

fn name(upstream: &Upstream) -> serde_json::Value {
    upstream.address().to_string().into()
}

fn access_lines(locum: &Locum, count: usize) -> Vec<serde_json::Value> {
    eventually("all calls are logged", || locum.output().lines().count() == count);
    locum.output().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
