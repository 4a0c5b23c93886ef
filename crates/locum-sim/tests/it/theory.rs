//! Results that were found without a simulator, found again with one.

use crate::setup::{Trace, having, measure, play, policy, stage};

/// Servers that each serve one call at a time, in 10 ms at the mean, at `load`.
fn mean_time_in_system(balance: &str, servers: u32, load: f64, duration: u32) -> f64 {
    let rate = f64::from(servers) * 100.0 * load;
    let summary = measure(&format!(
        r#"
        duration = "{duration}s"
        balance = "{balance}"
        arrivals = {{ process = "poisson", rate = {rate} }}
        [[servers]]
        count = {servers}
        service = {{ distribution = "exponential", mean = "10ms" }}
        "#
    ));
    summary.servers.unwrap().mean_time_in_system / 10.0
}

fn assert_close(found: f64, expected: f64, tolerance: f64) {
    assert!((found / expected - 1.0).abs() < tolerance, "{found}, not {expected}");
}

#[test]
fn random_choice_makes_queues_of_their_own() {
    // M/M/1: 1 / (1 - load) services.
    assert_close(mean_time_in_system("random", 100, 0.5, 10), 2.0, 0.03);
    // So close to saturation a queue takes long to forget: fewer of them, for longer.
    assert_close(mean_time_in_system("random", 10, 0.9, 100), 10.0, 0.1);
}

#[test]
fn two_choices_are_exponentially_better_than_one() {
    // Mitzenmacher (2001): the sum of load^(2^i - 2) over i = 1, 2, …; of infinitely many servers.
    for (load, duration) in [(0.5, 10), (0.9, 12)] {
        let terms = (1..10).map(|i| f64::powi(load, (1 << i) - 2));
        let expected: f64 = terms.sum();
        assert_close(mean_time_in_system("least-request", 100, load, duration), expected, 0.04);
    }
}

#[test]
fn a_bulkhead_without_a_queue_blocks_as_erlang_said() {
    for (places, offered) in [(10, 7.0), (5, 5.0), (20, 12.0)] {
        // B(0) = 1, B(n) = a B(n-1) / (n + a B(n-1)); whatever the distribution of service times.
        let step = |blocked: f64, n| offered * blocked / (f64::from(n) + offered * blocked);
        let expected = (1..=places).fold(1.0, step);
        let rate = offered * 100.0;
        let summary = measure(&format!(
            r#"
            duration = "60s"
            policy = "bulkhead"
            policies.bulkhead.concurrency.max = {places}
            arrivals = {{ process = "poisson", rate = {rate} }}
            [[servers]]
            concurrency = {places}
            service = {{ distribution = "lognormal", mean = "10ms", stddev = "8ms" }}
            "#
        ));
        let blocked = summary.outcomes.rejected as f64 / summary.calls as f64;
        assert_close(blocked, expected, 0.05);
    }
}

#[test]
fn full_jitter_is_uniform_between_nothing_and_its_bound() {
    let mut trace = Trace::default();
    for at in 0..4_000 {
        let failure = r#""idempotent":true,"attempts":[{"outcome":"failure"}]"#;
        trace.call(f64::from(at) * 1_000.0, failure);
    }
    let (log, _) =
        play(&policy("retry = { attempts = 4, base = \"25ms\", cap = \"60ms\" }"), &trace);
    let waits: Vec<f64> = having(&log, &["\"delayed\""])
        .iter()
        .map(|line| line.rsplit(':').next().unwrap().trim_end_matches('}').parse().unwrap())
        .collect();
    for (retry, bound) in [(0, 25.0), (1, 50.0), (2, 60.0)] {
        let mut waits: Vec<_> = waits.iter().skip(retry).step_by(3).copied().collect();
        waits.sort_by(f64::total_cmp);
        let n = waits.len() as f64;
        assert_eq!(n, 4_000.0);
        assert!(*waits.last().unwrap() <= bound);
        // Kolmogorov and Smirnov, at 1 %.
        let apart = |(index, wait): (usize, &f64)| (wait / bound - (index as f64 + 0.5) / n).abs();
        let furthest = waits.iter().enumerate().map(apart).fold(0.0, f64::max);
        assert!(furthest < 1.63 / n.sqrt(), "retry {retry}: {furthest}");
    }
}

/// Of 700 calls a second at 1,000 a second of capacity that stands still from 5 s to 8 s: the share
/// that succeeds in the last 10 of 40 s.
fn recovered(budget: &str, drop_expired: bool) -> f64 {
    let (log, _) = stage(&format!(
        r#"
        duration = "40s"
        policy = "storm"
        [policies.storm]
        attempt_timeout = "200ms"
        timeout = "700ms"
        retry = {{ budget = {budget} }}
        [arrivals]
        process = "poisson"
        rate = 700
        [[servers]]
        count = 10
        service = {{ distribution = "constant", mean = "10ms" }}
        stalls = [{{ at = "5s", lasts = "3s" }}]
        drop_expired = {drop_expired}
        "#
    ));
    let done = having(&log, &["\"done\""]);
    let late = |line: &&&str| {
        let time = line.split([':', ',']).nth(1).unwrap();
        time.parse::<f64>().unwrap() >= 30_000.0
    };
    let late: Vec<_> = done.iter().filter(late).collect();
    let good = late.iter().filter(|line| line.contains("success")).count();
    assert!(late.len() > 5_000, "{}", late.len());
    good as f64 / late.len() as f64
}

#[test]
fn a_retry_storm_outlives_what_began_it() {
    // Three attempts each, all of them served after their callers have gone: for ever.
    assert!(recovered("{ ratio = 100.0 }", false) < 0.01);
    // What is dropped makes room for what is about to be given up as well.
    assert!(recovered("{ ratio = 100.0 }", true) < 0.1);
}

#[test]
fn a_budget_and_servers_that_drop_what_nobody_awaits_end_a_retry_storm() {
    assert!(recovered("{ ratio = 0.1, min_per_second = 0 }", true) > 0.99);
}
