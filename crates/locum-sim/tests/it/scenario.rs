//! What a scenario may say, and what comes of it.

use locum_sim::Scenario;

use crate::setup::{having, measure, stage};

/// One server that takes 10 ms for each call.
fn constant(rest: &str) -> String {
    format!(
        r#"
        duration = "1s"
        {rest}
        [[servers]]
        service = {{ distribution = "constant", mean = "10ms" }}
        "#
    )
}

#[test]
fn a_closed_loop_keeps_every_client_busy() {
    let summary = measure(&constant("arrivals = { clients = 5 }"));
    // The server is never idle; the fifth client waits for the other four.
    assert_eq!((summary.calls, summary.servers.unwrap().served), (104, 104));
    assert_eq!((summary.latency.p50, summary.duration), (50.0, 1_040.0));
}

#[test]
fn a_client_that_is_refused_at_once_lets_time_go_on() {
    let limits = "policy = \"p\"\npolicies.p.rate_limit = { rate = \"10/s\", burst = 1 }";
    let summary = measure(&constant(&format!("{limits}\narrivals = {{ clients = 1 }}")));
    assert_eq!(summary.outcomes.success, 10);
    assert!((900..=910).contains(&summary.outcomes.rejected), "{summary:?}");
}

#[test]
fn constant_arrivals_are_counted_exactly() {
    let summary = measure(&constant("arrivals = { process = \"constant\", rate = 50 }"));
    assert_eq!((summary.calls, summary.latency.max), (50, 10.0));
    let servers = summary.servers.unwrap();
    // The last one comes at 980 ms.
    assert_eq!((servers.mean_time_in_system, summary.duration), (10.0, 990.0));
    assert_eq!(servers.utilisation, 500.0 / 990.0);
}

#[test]
fn a_stalled_server_begins_nothing_and_ends_what_it_began() {
    let rest = "arrivals = { process = \"constant\", rate = 10 }";
    let (log, _) =
        stage(&format!("{}\nstalls = [{{ at = \"205ms\", lasts = \"200ms\" }}]", constant(rest)));
    let done = having(&log, &["\"done\""]);
    let times: Vec<_> = done.iter().map(|line| line.split([':', ',']).nth(1).unwrap()).collect();
    // The one at 200 ends; those at 300 and 400 begin at 405, one after the other.
    assert_eq!(times[2..6], ["210", "415", "425", "510"]);
}

#[test]
fn what_is_given_up_is_served_for_nothing_unless_it_is_dropped() {
    for (drop_expired, served, wasted, dropped) in [(false, 10, 7, 0), (true, 4, 1, 6)] {
        let rest = "policy = \"p\"\npolicies.p = { timeout = \"39ms\" }\n\
                    arrivals = { process = \"burst\", rate = 10 }";
        let summary = measure(&format!("{}\ndrop_expired = {drop_expired}", constant(rest)));
        let servers = summary.servers.unwrap();
        assert_eq!((summary.outcomes.success, summary.outcomes.deadline), (3, 7));
        assert_eq!((servers.served, servers.wasted, servers.dropped), (served, wasted, dropped));
    }
}

#[test]
fn failures_are_as_frequent_as_they_say_and_are_retried() {
    let summary = measure(
        r#"
        duration = "20s"
        policy = "p"
        policies.p.retry = { attempts = 2, backoff = "fixed", base = "1ms", budget.ratio = 1.0 }
        arrivals = { process = "poisson", rate = 1000 }
        [[servers]]
        concurrency = 1000
        service = { distribution = "constant", mean = "1ms" }
        failures = 0.1
        "#,
    );
    assert!((summary.amplification - 1.1).abs() < 0.01, "{}", summary.amplification);
    let failed = summary.outcomes.failure as f64 / summary.calls as f64;
    assert!((failed - 0.01).abs() < 0.003, "{failed}");
}

#[test]
fn every_balance_spreads_calls() {
    for balance in [
        "round-robin",
        "weighted",
        "random",
        "least-request",
        "peak-ewma",
        "hash:client-ip",
        "sticky:id",
    ] {
        let (log, _) = stage(&format!(
            r#"
            duration = "1s"
            balance = "{balance}"
            arrivals = {{ clients = 40 }}
            [[servers]]
            count = 2
            concurrency = 100
            service = {{ distribution = "uniform", min = "5ms", max = "15ms" }}
            [[servers]]
            concurrency = 100
            weight = 2
            service = {{ distribution = "uniform", min = "5ms", max = "15ms" }}
            "#
        ));
        for server in 0..3 {
            let there = having(&log, &[&format!("\"endpoint\":\"server-{server}\"")]).len();
            assert!(there > 200, "{balance}: {there} at {server}");
        }
    }
}

#[test]
fn a_slow_server_gets_less_from_those_who_look() {
    let share = |balance: &str| {
        let (log, _) = stage(&format!(
            r#"
            duration = "5s"
            balance = "{balance}"
            arrivals = {{ process = "poisson", rate = 200 }}
            [[servers]]
            concurrency = 100
            service = {{ distribution = "exponential", mean = "10ms" }}
            [[servers]]
            concurrency = 100
            service = {{ distribution = "exponential", mean = "200ms" }}
            "#
        ));
        let slow = having(&log, &["\"endpoint\":\"server-1\""]).len();
        slow as f64 / having(&log, &["\"attempt\""]).len() as f64
    };
    let (blind, looks, remembers) =
        (share("round-robin"), share("least-request"), share("peak-ewma"));
    assert!((blind - 0.5).abs() < 0.01, "{blind}");
    assert!(looks < 0.25 && remembers < 0.1, "{looks} {remembers}");
}

#[test]
fn an_endpoint_whose_breaker_is_open_is_passed_over() {
    let (log, summary) = stage(
        r#"
        duration = "10s"
        policy = "p"
        policies.p.breaker = { per = "endpoint", jitter = 0.0 }
        arrivals = { process = "constant", rate = 100 }
        [[servers]]
        count = 2
        service = { distribution = "constant", mean = "1ms" }
        [[servers]]
        failures = 1.0
        service = { distribution = "constant", mean = "1ms" }
        "#,
    );
    let opened = having(&log, &["\"target\":\"server-2\"", "\"cause\":\"failure_rate\""]);
    assert_eq!(opened.len(), 1);
    assert_eq!(summary.outcomes.rejected, 0);
    assert!(summary.breakers["server-2"].open > 8_000.0, "{summary:?}");
    // 20 until it trips, then a probe now and then.
    assert!(summary.outcomes.failure < 25, "{summary:?}");
}

#[test]
fn when_too_many_breakers_are_open_all_servers_are_used() {
    let play = |max_ejected: f64| {
        measure(&format!(
            r#"
            duration = "10s"
            policy = "p"
            policies.p.breaker = {{ per = "endpoint", jitter = 0.0 }}
            max_ejected = {max_ejected}
            arrivals = {{ process = "constant", rate = 100 }}
            [[servers]]
            service = {{ distribution = "constant", mean = "1ms" }}
            [[servers]]
            count = 3
            failures = 1.0
            service = {{ distribution = "constant", mean = "1ms" }}
            "#
        ))
    };
    // One carries the load of four; or three of four calls fail all the way.
    let (trusting, panicking) = (play(1.0), play(0.5));
    assert!(trusting.outcomes.failure < 75, "{trusting:?}");
    assert!(panicking.outcomes.failure > 600, "{panicking:?}");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let play = |seed: u32| {
        stage(&format!(
            r#"
            duration = "3s"
            seed = {seed}
            policy = "p"
            balance = "peak-ewma"
            [policies.p]
            timeout = "300ms"
            attempt_timeout = "50ms"
            retry = {{}}
            breaker = {{ per = "endpoint" }}
            concurrency = {{ max = 60, queue = 10 }}
            [arrivals]
            process = "poisson"
            rate = 300
            steps = [{{ at = "1s", rate = 900 }}, {{ at = "2s", rate = 100 }}]
            [[servers]]
            count = 5
            service = {{ distribution = "lognormal", mean = "10ms", stddev = "20ms" }}
            failures = 0.1
            "#
        ))
    };
    assert_eq!(play(1), play(1));
    assert_ne!(play(1).0, play(2).0);
}

#[test]
fn what_is_out_of_range_is_named() {
    for (toml, path) in [
        ("duration = \"0s\"\narrivals.clients = 1", "duration"),
        ("duration = \"1s\"\narrivals = {}", "arrivals"),
        ("duration = \"1s\"\narrivals.process = \"poisson\"", "arrivals.rate"),
        ("duration = \"1s\"\narrivals = { clients = 1, rate = 5 }", "arrivals.rate"),
        ("duration = \"1s\"\narrivals = { process = \"poisson\", rate = -1 }", "arrivals.rate"),
        (
            "duration = \"1s\"\narrivals = { process = \"poisson\", rate = 1, every = \"1s\" }",
            "arrivals.every",
        ),
        (
            "duration = \"1s\"\narrivals.clients = 1\npolicies.p.breaker.failure_rate = 2.0",
            "policies.p.breaker.failure_rate",
        ),
    ] {
        let servers = "[[servers]]\nservice = { distribution = \"constant\", mean = \"1s\" }";
        let scenario: Scenario = toml::from_str(&format!("{toml}\n{servers}")).unwrap();
        let found: Vec<_> = scenario.check().into_iter().map(|error| error.path).collect();
        assert_eq!(found, [path], "{toml}");
    }
    for (servers, path) in [
        ("count = 0", "servers.0.count"),
        ("failures = 1.1", "servers.0.failures"),
        ("service.min = \"1s\"", "servers.0.service.min"),
    ] {
        let all = "duration = \"1s\"\narrivals.clients = 1\n[[servers]]\n";
        let service = "service.distribution = \"constant\"\nservice.mean = \"1s\"";
        let scenario: Scenario = toml::from_str(&format!("{all}{service}\n{servers}")).unwrap();
        let found: Vec<_> = scenario.check().into_iter().map(|error| error.path).collect();
        assert_eq!(found, [path], "{servers}");
    }
}
