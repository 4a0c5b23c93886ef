//! gRPC through the proxy, with the library of another language at both ends.

use locum_testkit::{Grpc, GrpcServer, Locum, eventually, refused};

use crate::setup::Config;

fn before(server: &GrpcServer) -> Config {
    Config::to_addresses([server.address]).upstream("protocol = \"grpc\"")
}

fn codes(locum: &Locum, code: &str) -> f64 {
    locum.metric("locum_calls_total", &[("protocol", "grpc"), ("code", code)])
}

#[test]
fn every_kind_of_call_passes() {
    let Some(grpc) = Grpc::find() else { return };
    let server = grpc.server();
    let locum = before(&server).start();
    let checks = [
        "unary",
        "empty",
        "large",
        "many_at_once",
        "server_stream",
        "client_stream",
        "both_streams",
        "errors",
        "broken_stream",
        "deadline",
        "cancel",
    ];
    grpc.check(locum.address("web"), &checks);
    locum.counts("locum_panics_total", &[], 0.0);
    for (code, count) in [("INVALID_ARGUMENT", 1.0), ("DATA_LOSS", 2.0), ("UNIMPLEMENTED", 2.0)] {
        assert_eq!(codes(&locum, code), count, "{code}");
    }
    let failed = [("upstream", "up"), ("outcome", "failure")];
    assert_eq!(
        locum.metric("locum_calls_total", &[("code", "INTERNAL"), ("outcome", "failure")]),
        1.0
    );
    assert_eq!(
        locum.metric("locum_attempts_total", &failed),
        6.0,
        "2, 4, 13, 14 and 15, one of them twice"
    );
    eventually("what was given up is recorded", || {
        locum.metric("locum_calls_total", &[("outcome", "cancelled"), ("code", "CANCELLED")]) == 2.0
    });
    locum.counts("locum_upstream_connections", &[("upstream", "up"), ("state", "active")], 0.0);
}

#[test]
fn refusals_are_told_in_the_words_of_grpc() {
    let Some(grpc) = Grpc::find() else { return };
    let server = grpc.server();
    let limited = before(&server).policy("rate_limit = { rate = \"1/min\", burst = 1 }").start();
    grpc.check(limited.address("web"), &["limited"]);
    limited.counts(
        "locum_calls_total",
        &[("code", "RESOURCE_EXHAUSTED"), ("outcome", "rejected")],
        1.0,
    );

    let timed = before(&server).policy("timeout = \"300ms\"").start();
    grpc.check(timed.address("web"), &["timed_out"]);
    assert_eq!(codes(&timed, "DEADLINE_EXCEEDED"), 1.0);

    let elsewhere = before(&server).route("match = { path = \"/other/*\" }").start();
    grpc.check(elsewhere.address("web"), &["unroutable"]);

    let nobody = Config::to_addresses([refused()]).upstream("protocol = \"grpc\"").start();
    grpc.check(nobody.address("web"), &["unreachable"]);
    assert_eq!(codes(&nobody, "UNAVAILABLE"), 1.0);
}

#[test]
fn the_status_is_the_outcome_that_policies_see() {
    let Some(grpc) = Grpc::find() else { return };
    let server = grpc.server();
    let guarded = || {
        before(&server)
            .policy(
                "breaker = { min_calls = 4, failure_rate = 0.5, wait = \"60s\", window = \"60s\" }",
            )
            .start()
    };
    grpc.check(guarded().address("web"), &["open"]);
    grpc.check(guarded().address("web"), &["callers_fault"]);

    let retry = "retry = { attempts = 3, base = \"1ms\" }";
    let retried = before(&server).policy(&format!("idempotent = true\n{retry}")).start();
    grpc.check(retried.address("web"), &["retried"]);
    retried.counts("locum_attempts_total", &[("kind", "retry")], 2.0);
    let not = before(&server).policy(retry).start();
    grpc.check(not.address("web"), &["not_retried"]);
    not.counts("locum_attempts_total", &[("upstream", "up")], 1.0);
}

#[test]
fn the_deadline_of_a_trusted_caller_goes_on_and_that_of_the_policy_as_well() {
    let Some(grpc) = Grpc::find() else { return };
    let server = grpc.server();
    let trusting = before(&server).listener("trusted_proxies = [\"127.0.0.0/8\"]").start();
    grpc.check(trusting.address("web"), &["time_left"]);
    let own = before(&server).policy("timeout = \"2s\"").start();
    grpc.check(own.address("web"), &["time_of_policy"]);
}
