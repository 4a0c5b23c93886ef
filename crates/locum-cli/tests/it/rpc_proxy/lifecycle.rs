//! Reload and stop under remote calls, and what is told of them.

use locum_testkit::{Args, Mode, NetRpc, Signal, eventually};

use super::setup::{
    SOME, attempts_at, client, factors, gob_server, held, hold, multiply, newest_go, release, to,
};
use crate::setup::locum;

#[test]
fn reloads_under_load_fail_no_call_and_close_no_connection() {
    let Some(go) = newest_go() else { return };
    let (old, new) = (gob_server(&go), gob_server(&go));
    let config = |n: usize| {
        let limit = format!("rate_limit = {{ rate = \"{}/s\", burst = 1000000 }}", 1_000_000 + n);
        let server = if n < 20 { &old } else { &new };
        to(&[server]).policy(&limit).to_string()
    };
    let locum = locum().config(config(0)).start();
    let mut idle: Vec<_> = (0..50).map(|_| client(&locum)).collect();
    for client in &mut idle {
        assert_eq!(multiply(client).int(), 42);
    }
    let (tally, ()) = go.load_during(Mode::Gob, locum.address("rpc"), SOME, || {
        eventually("it carries load", || attempts_at(&locum, old.address) > 100.0);
        (1..=40).for_each(|n| locum.reload(&config(n)));
        eventually("so does the other", || attempts_at(&locum, new.address) > 100.0);
    });
    assert_eq!(tally.failures(), 0, "{tally:?}");
    for client in &mut idle {
        assert_eq!(multiply(client).int(), 42, "on the connection of before");
        let name = client.call("Who.Am", Args::Int(0)).text();
        assert_eq!(name, new.address.to_string().as_bytes(), "by the new plan");
    }
    assert_eq!(locum.reloads(), 40.0);
}

#[test]
fn sigterm_waits_for_the_calls_in_flight() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let mut locum = to(&[&server]).start();
    let address = locum.address("rpc");
    let mut clients = [client(&locum), client(&locum)];
    for client in &mut clients {
        for _ in 0..50 {
            hold(client, 9);
        }
    }
    let mut idle = client(&locum);
    assert_eq!(multiply(&mut idle).int(), 42);
    eventually("all are under way", || held(&server, 9) == 100);
    locum.signal(Signal::TERM);
    eventually("no new connection is taken", || std::net::TcpStream::connect(address).is_err());
    assert!(locum.is_running());
    release(&server, 9);
    for client in &mut clients {
        for _ in 0..50 {
            assert_eq!(client.answer().unwrap().int(), 9);
        }
    }
    assert!(clients.iter_mut().all(NetRpc::is_closed) && idle.is_closed());
    assert!(locum.wait().success());
}

#[test]
fn the_drain_has_an_end_for_calls_too() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let mut locum = to(&[&server]).and("[runtime]\ndrain = \"300ms\"").start();
    let mut client = client(&locum);
    hold(&mut client, 10);
    eventually("it is under way", || held(&server, 10) == 1);
    locum.signal(Signal::TERM);
    locum.wait();
    release(&server, 10);
}

#[test]
fn metrics_and_the_access_log_tell_of_every_call() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let locum = to(&[&server])
        .policy(
            "timeout = \"10s\"\nconcurrency = { max = 100 }\n\
             rate_limit = { rate = \"1/min\", burst = 3 }",
        )
        .and("[log]\naccess = \"stdout\"")
        .start();
    let mut client = client(&locum);
    assert_eq!(multiply(&mut client).int(), 42);
    client.call("Arith.Divide", Args::Ints("Args", &factors(1, 0)));
    client.call("Arith.Power", Args::Ints("Args", &factors(1, 2)));
    assert!(multiply(&mut client).failure().contains("rate_limit"));

    let calls = |outcome: &str, code: &str, count: f64| {
        let labels = [
            ("listener", "rpc"),
            ("route", "all"),
            ("upstream", "up"),
            ("protocol", "gob"),
            ("outcome", outcome),
            ("code", code),
        ];
        locum.counts("locum_calls_total", &labels, count);
    };
    calls("success", "ok", 1.0);
    calls("success", "app", 1.0);
    calls("success", "unknown_method", 1.0);
    calls("rejected", "rejected", 1.0);
    locum.counts("locum_attempts_total", &[("upstream", "up"), ("kind", "first")], 3.0);
    for (kind, decision, count) in
        [("rate_limit", "admit", 3.0), ("rate_limit", "reject", 1.0), ("concurrency", "admit", 3.0)]
    {
        let labels = [("policy", "careful"), ("kind", kind), ("decision", decision)];
        let counted = locum.metric("locum_policy_decisions_total", &labels);
        assert!(
            (counted - count).abs() < f64::EPSILON,
            "{kind} {decision}: {counted}\n{}",
            locum.metrics()
        );
    }
    locum.counts("locum_call_duration_seconds_count", &[("route", "all")], 4.0);
    assert!(locum.metric("locum_upstream_connections", &[("upstream", "up")]) >= 1.0);

    eventually("four lines are written", || locum.output().lines().count() == 4);
    let lines: Vec<serde_json::Value> =
        locum.output().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = lines
        .iter()
        .map(|line| [&line["call"], &line["code"], &line["outcome"]].map(|it| it.as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ["Arith.Multiply", "ok", "success"],
            ["Arith.Divide", "app", "success"],
            ["Arith.Power", "unknown_method", "success"],
            ["Arith.Multiply", "rejected", "rejected"],
        ]
    );
    for line in &lines {
        assert_eq!((&line["protocol"], &line["route"]), (&"gob".into(), &"all".into()), "{line}");
        assert!(line["took"].as_f64().is_some(), "{line}");
    }
    assert_eq!(lines[0]["attempts"][0]["endpoint"], server.address.to_string(), "{}", lines[0]);
    assert_eq!(lines[3]["attempts"].as_array().map(Vec::len), Some(0), "{}", lines[3]);
}
