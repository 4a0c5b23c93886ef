//! One trace, three ways: through the engine as a library, through the proxy over real sockets, and
//! through the simulator. The three decision logs are the same, byte for byte.

use std::io::Cursor;

use locum_policy::Settings;
use locum_sim::trace::Line;
use locum_sim::{Run, replay};

mod library;
mod proxy;

/// The seed of all random choices.
const SEED: u64 = 42;
/// What the policy and the upstream are called.
const POLICY: &str = "careful";
const UPSTREAM: &str = "upstream";

#[test]
fn limits_retries_and_a_breaker_decide_the_same() {
    let policy = r#"
        timeout = "2s"
        attempt_timeout = "400ms"
        rate_limit = { rate = "20/s", burst = 12 }
        concurrency = { max = 5, queue = 0 }
        breaker = { window = "2s", min_calls = 8, wait = "500ms", half_open = { required = 2 } }
        retry = { attempts = 3, base = "20ms", cap = "100ms", budget = { min_per_second = 3 } }
    "#;
    let log = same_three_ways(policy, &a_bad_day());
    // That they agree proves something only if there was something to decide.
    for word in [
        "\"event\":\"rejected\",\"policy\":\"rate_limit\",\"reason\":\"limited\"",
        "\"event\":\"rejected\",\"policy\":\"concurrency\",\"reason\":\"overloaded\"",
        "\"event\":\"rejected\",\"policy\":\"breaker\",\"reason\":\"open\"",
        "\"from\":\"closed\",\"to\":\"open\",\"cause\":\"failure_rate\"",
        "\"from\":\"open\",\"to\":\"half_open\",\"cause\":\"wait_over\"",
        "\"from\":\"half_open\",\"to\":\"open\",\"cause\":\"probe_failed\"",
        "\"from\":\"half_open\",\"to\":\"closed\",\"cause\":\"recovered\"",
        "\"event\":\"delayed\",\"policy\":\"retry\"",
        "\"kind\":\"retry\"",
        "\"outcome\":\"success\"",
        "\"outcome\":\"failure\"",
        "\"outcome\":\"ignored\"",
        "\"outcome\":\"rejected\"",
        "\"outcome\":\"deadline\"",
        "\"outcome\":\"cancelled\"",
    ] {
        assert!(log.contains(word), "{word} is not in\n{log}");
    }
}

#[test]
fn shaped_calls_and_slow_ones_decide_the_same() {
    let policy = r#"
        timeout = "5s"
        rate_limit = { algorithm = "leaky-bucket", rate = "10/s", burst = 8, free = 2, key = "header:x-key" }
        breaker = { window = 10, min_calls = 4, slow = { threshold = "150ms", in_flight = false }, wait = "1s", ramp = "1s" }
    "#;
    let mut lines = String::new();
    for number in 0..60_u32 {
        let at = f64::from(number) * 37.125;
        let took = if number < 20 { 20.5 } else { 180.25 };
        let key = number % 3;
        lines += &format!(
            "{{\"at\":{at},\"key\":\"{key}\",\"attempts\":[{{\"took\":{took},\"endpoint\":\"a\"}}]}}\n"
        );
    }
    for number in 0..40_u32 {
        let at = 5_000.0 + f64::from(number) * 61.375;
        lines += &format!("{{\"at\":{at},\"attempts\":[{{\"took\":7.75,\"endpoint\":\"a\"}}]}}\n");
    }
    let log = same_three_ways(policy, &lines);
    for word in [
        "\"event\":\"delayed\",\"policy\":\"rate_limit\"",
        "\"cause\":\"slow_rate\"",
        "\"to\":\"ramp\"",
        "\"cause\":\"ramped\"",
    ] {
        assert!(log.contains(word), "{word} is not in\n{log}");
    }
}

#[test]
fn a_probe_that_is_lost_while_nobody_calls_is_noticed_on_time() {
    let policy = r#"
        breaker = { min_calls = 2, wait = "500ms", half_open = { lease = "2s" } }
    "#;
    let mut trace = Trace::default();
    trace.call(0.0, "", &[("failure", 10.0)]);
    trace.call(100.0, "", &[("failure", 10.0)]);
    trace.call(700.0, "\"cancel_at\":9000", &[("hang", 0.0)]);
    trace.call(3_000.0, "", &[("success", 1.0)]);
    let log = same_three_ways(policy, &trace.lines);
    let lost = "{\"t\":2700,\"event\":\"state\",\"policy\":\"breaker\",\"from\":\"half_open\",\"to\":\"open\",\"cause\":\"probe_lost\"";
    assert!(log.contains(lost) && log.contains("\"stale\":true"), "{log}");
}

/// Calls that meet an upstream which works, is flooded, fails, hangs, and recovers.
fn a_bad_day() -> String {
    let mut trace = Trace::default();
    for number in 0..10 {
        trace.call(f64::from(number) * 100.0, "", &[("success", 30.5)]);
    }
    for number in 0..16 {
        let took = 40.125 + f64::from(number);
        trace.call(1_000.0 + f64::from(number) * 0.25, "", &[("success", took)]);
    }
    let retried = "\"idempotent\":true";
    trace.call(3_000.0, retried, &[("failure", 10.375), ("success", 5.125)]);
    trace.call(3_100.0, retried, &[("hang", 0.0), ("failure", 12.5), ("success", 5.5)]);
    trace.call(3_101.0, "", &[("ignored", 3.0)]);
    trace.call(3_102.0, "", &[("overload", 3.0)]);
    trace.call(3_103.0, "\"deadline\":150", &[("hang", 0.0)]);
    trace.call(3_104.0, "\"cancel_at\":3160", &[("success", 200.0)]);
    for number in 0..30 {
        trace.call(4_000.0 + f64::from(number) * 70.0, retried, &[("failure", 9.625)]);
    }
    for number in 0..25 {
        trace.call(6_500.0 + f64::from(number) * 90.0, retried, &[("success", 11.25)]);
    }
    trace.lines
}

#[derive(Default)]
struct Trace {
    lines: String,
}

impl Trace {
    fn call(&mut self, at: f64, more: &str, attempts: &[(&str, f64)]) {
        let attempts: Vec<String> = attempts
            .iter()
            .map(|(outcome, took)| {
                format!("{{\"outcome\":\"{outcome}\",\"took\":{took},\"endpoint\":\"a\"}}")
            })
            .collect();
        let more = if more.is_empty() { String::new() } else { format!(",{more}") };
        self.lines += &format!("{{\"at\":{at}{more},\"attempts\":[{}]}}\n", attempts.join(","));
    }
}

/// The log that all three write.
fn same_three_ways(policy: &str, trace: &str) -> String {
    let settings: Settings = toml::from_str(policy).unwrap();
    let lines: Vec<Line> = trace.lines().map(|line| serde_json::from_str(line).unwrap()).collect();

    let mut simulated = Vec::new();
    let mut run =
        Run { seed: SEED, log: Some(&mut simulated), ..Run::new(Some((POLICY, &settings))) };
    replay(&mut run, Cursor::new(trace)).unwrap();
    let simulated = String::from_utf8(simulated).unwrap();

    is_same(&library::log(&settings, &lines), &simulated, "library");
    is_same(&proxy::log(&settings, &lines), &simulated, "proxy");
    simulated
}

fn is_same(log: &str, simulated: &str, whose: &str) {
    for (number, (line, expected)) in log.lines().zip(simulated.lines()).enumerate() {
        assert_eq!(line, expected, "{whose}, line {number}, after\n{}", before(log, number));
    }
    assert_eq!(log, simulated, "{whose}");
}

/// The last few lines before that one.
fn before(log: &str, number: usize) -> String {
    let lines: Vec<_> = log.lines().skip(number.saturating_sub(8)).take(number.min(8)).collect();
    lines.join("\n")
}
