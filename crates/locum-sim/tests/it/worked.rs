//! The worked sequences of the breaker and the limits, as lines of the log. Jitter is 0.

use crate::setup::{Trace, having, play, policy};

const BREAKER: &str = "[breaker]\njitter = 0.0";

/// S1 up to and including the failure at 1900.
fn tripped() -> Trace {
    let mut trace = Trace::default();
    (0..10).for_each(|at| _ = trace.meets(100.0 * f64::from(at), 0.0, "success"));
    (10..20).for_each(|at| _ = trace.meets(100.0 * f64::from(at), 0.0, "failure"));
    trace
}

/// S1 to S4: open until 17100.
fn reopened() -> Trace {
    let mut trace = tripped();
    trace.meets(6_950.0, 50.0, "success").meets(7_050.0, 50.0, "failure");
    trace
}

#[test]
fn s1_the_trip_is_told_word_for_word() {
    let (log, _) = play(&policy(BREAKER), &tripped());
    let end = &log[log.len() - 3..];
    assert_eq!(
        end,
        [
            r#"{"t":1900,"id":19,"event":"settled","policy":"breaker","outcome":"failure"}"#,
            r#"{"t":1900,"event":"state","policy":"breaker","from":"closed","to":"open","cause":"failure_rate","n":20,"failures":10,"until":6900}"#,
            r#"{"t":1900,"id":19,"event":"done","outcome":"failure","attempts":1,"took":0}"#,
        ]
    );
}

#[test]
fn s1_one_failure_fewer_is_no_trip() {
    let mut trace = tripped();
    let lines: Vec<_> = trace.0.lines().filter(|line| !line.contains("1900")).collect();
    trace = Trace(lines.join("\n"));
    let (log, summary) = play(&policy(BREAKER), &trace);
    assert_eq!(having(&log, &["state"]).len(), 0);
    assert_eq!(summary.breaker.unwrap().closed, 1_800.0);
}

#[test]
fn s2_one_of_a_thousand_probes() {
    let mut trace = tripped();
    trace.meets(6_899.0, 50.0, "success");
    (0..1_000).for_each(|_| _ = trace.meets(6_900.0, 50.0, "success"));
    let (log, summary) = play(&policy(BREAKER), &trace);
    assert_eq!(
        having(&log, &["\"t\":6899", "rejected"])[0],
        r#"{"t":6899,"id":20,"event":"rejected","policy":"breaker","reason":"open","retry_after":1}"#
    );
    assert_eq!(having(&log, &["\"t\":6900", "\"attempt\""]).len(), 1);
    assert_eq!(having(&log, &["half_open_busy", "\"retry_after\":5000}"]).len(), 999);
    assert_eq!(summary.outcomes.rejected, 1_000);
}

#[test]
fn s3_a_success_from_before_the_trip_is_stale() {
    let mut trace = Trace::default();
    trace.meets(0.0, 6_950.0, "success");
    trace.0.push_str(&tripped().0);
    trace.meets(6_900.0, 500.0, "success");
    let (log, _) = play(&policy(BREAKER), &trace);
    assert_eq!(
        having(&log, &["\"t\":6950", "settled"]),
        [
            r#"{"t":6950,"id":0,"event":"settled","policy":"breaker","outcome":"success","stale":true}"#
        ]
    );
}

#[test]
fn s4_a_failed_probe_doubles_the_wait() {
    let mut trace = reopened();
    trace.meets(17_099.0, 0.0, "success").meets(17_100.0, 0.0, "success");
    let (log, _) = play(&policy(BREAKER), &trace);
    assert_eq!(
        having(&log, &["probe_failed"]),
        [
            r#"{"t":7100,"event":"state","policy":"breaker","from":"half_open","to":"open","cause":"probe_failed","until":17100}"#
        ]
    );
    assert_eq!(having(&log, &["\"t\":17099", "\"reason\":\"open\",\"retry_after\":1}"]).len(), 1);
    assert_eq!(having(&log, &["\"t\":17100", "\"attempt\""]).len(), 1);
}

#[test]
fn s5_a_lease_ends_on_time_without_another_call() {
    let mut trace = reopened();
    for at in [17_100.0, 47_100.0, 97_100.0, 167_100.0] {
        trace.call(at, r#""attempts":[{"outcome":"hang"}]"#);
    }
    let (log, summary) = play(&policy(BREAKER), &trace);
    let lost = having(&log, &["probe_lost"]);
    for (line, (at, until)) in lost.iter().zip([
        (27_100, 47_100),
        (57_100, 97_100),
        (107_100, 167_100),
        (177_100, 237_100),
    ]) {
        assert!(line.starts_with(&format!("{{\"t\":{at},")), "{line}");
        assert!(line.ends_with(&format!("\"until\":{until}}}")), "{line}");
    }
    assert_eq!((lost.len(), summary.outcomes.unfinished), (4, 4));
    assert_eq!(
        having(&log, &["unfinished"])[0],
        r#"{"t":177100,"id":22,"event":"done","outcome":"unfinished","attempts":1,"took":160000}"#
    );
}

#[test]
fn s6_a_cancelled_probe_gives_its_slot_back() {
    let mut trace = reopened();
    trace.call(17_100.0, r#""attempts":[{"outcome":"hang"}]"#);
    trace.call(47_100.0, r#""cancel_at":47200,"attempts":[{"outcome":"hang"}]"#);
    for at in [47_300.0, 47_400.0, 47_500.0] {
        trace.meets(at, 50.0, "success");
    }
    let (log, _) = play(&policy(BREAKER), &trace);
    assert_eq!(
        having(&log, &["\"t\":47200"]),
        [
            r#"{"t":47200,"id":23,"event":"settled","policy":"breaker","outcome":"ignored"}"#,
            r#"{"t":47200,"id":23,"event":"done","outcome":"cancelled","attempts":1,"took":100}"#,
        ]
    );
    assert_eq!(
        having(&log, &["recovered"]),
        [
            r#"{"t":47550,"event":"state","policy":"breaker","from":"half_open","to":"closed","cause":"recovered"}"#
        ]
    );
}

#[test]
fn s7_a_bucket_leaves_the_window_when_its_time_is_over() {
    for (at, trips) in [(9_999.0, 1), (10_000.0, 0)] {
        let mut trace = Trace::default();
        (0..19).for_each(|_| _ = trace.meets(500.0, 0.0, "failure"));
        trace.meets(at, 0.0, "failure");
        let (log, _) = play(&policy(BREAKER), &trace);
        assert_eq!(having(&log, &["failure_rate"]).len(), trips, "{at}");
    }
}

#[test]
fn s8_what_a_bulkhead_refuses_is_not_counted() {
    let mut trace = Trace::default();
    trace.meets(0.0, 100.0, "success");
    (0..100).for_each(|_| _ = trace.meets(1.0, 0.0, "failure"));
    let (log, summary) = play(&policy(&format!("concurrency.max = 1\n{BREAKER}")), &trace);
    assert_eq!(summary.outcomes.rejected, 100);
    assert_eq!(having(&log, &["overloaded"]).len(), 100);
    assert_eq!(having(&log, &["settled"]).len(), 1);
}

#[test]
fn s9_a_hang_is_a_failure_only_if_there_was_time() {
    for (deadline, outcome, trips) in [(2_000, "failure", 1), (60, "ignored", 0)] {
        let mut trace = Trace::default();
        let call = format!(r#""deadline":{deadline},"attempts":[{{"outcome":"hang"}}]"#);
        (0..20).for_each(|_| _ = trace.call(0.0, &call));
        let (log, _) = play(&policy(&format!("attempt_timeout = \"1s\"\n{BREAKER}")), &trace);
        assert_eq!(having(&log, &["settled", outcome]).len(), 20);
        assert_eq!(having(&log, &["\"to\":\"open\""]).len(), trips);
    }
}

#[test]
fn s10_a_hang_trips_before_anything_has_ended() {
    let mut trace = Trace::default();
    (0..20).for_each(|_| _ = trace.call(0.0, r#""attempts":[{"outcome":"hang"}]"#));
    trace.call(201.0, "");
    let slow = format!("{BREAKER}\nslow = {{ threshold = \"200ms\", rate = 0.5 }}");
    let (log, _) = play(&policy(&slow), &trace);
    assert_eq!(
        having(&log, &["\"t\":201", "state"]),
        [
            r#"{"t":201,"event":"state","policy":"breaker","from":"closed","to":"open","cause":"slow_rate","n":20,"failures":0,"slow":20,"until":5201}"#
        ]
    );
    assert_eq!(having(&log, &["\"id\":20", "rejected", "\"reason\":\"open\""]).len(), 1);
}

#[test]
fn s11_a_window_of_calls_forgets() {
    let mut trace = Trace::default();
    (0..10_000).for_each(|_| _ = trace.call(0.0, ""));
    (0..50).for_each(|_| _ = trace.meets(1.0, 0.0, "failure"));
    let (log, _) = play(&policy(&format!("{BREAKER}\nwindow = 100")), &trace);
    assert_eq!(having(&log, &["\"n\":100,\"failures\":50"]).len(), 1);
    assert_eq!(having(&log, &["\"id\":10049", "settled"]).len(), 1);
}

#[test]
fn a_token_bucket_refills_by_its_rate() {
    let mut trace = Trace::default();
    for at in [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 50.0, 100.0, 1e3, 1e3, 1e3, 1e3, 1e3] {
        trace.call(at, "");
    }
    let (log, _) = play(&policy(r#"rate_limit = { rate = "10/s", burst = 5 }"#), &trace);
    let rejected = having(&log, &["rejected", "limited"]);
    let after: Vec<_> = rejected.iter().map(|line| line.rsplit(':').next().unwrap()).collect();
    assert_eq!(after, ["100}", "100}", "50}"]);
    assert_eq!(having(&log, &["admitted"]).len(), 11);
    assert_eq!(
        log[0],
        r#"{"t":0,"id":0,"event":"admitted","policy":"rate_limit","remaining":4,"reset":100}"#
    );
}

#[test]
fn a_leaky_bucket_spreads_a_burst() {
    for (limit, calls, waits) in [
        (r#"rate = "10/s", burst = 21, free = 1"#, 22, (1..=20).map(|n| n * 100).collect()),
        (r#"rate = "5/s", burst = 13, free = 9"#, 15, vec![200, 400, 600, 800]),
    ] {
        let mut trace = Trace::default();
        (0..calls).for_each(|_| _ = trace.call(0.0, ""));
        let limit = format!("rate_limit = {{ algorithm = \"leaky-bucket\", {limit} }}");
        let (log, summary) = play(&policy(&limit), &trace);
        let told: Vec<u64> = having(&log, &["delayed"])
            .iter()
            .map(|line| line.rsplit(':').next().unwrap().trim_end_matches('}').parse().unwrap())
            .collect();
        let longest: u64 = *waits.last().unwrap();
        assert_eq!(told, waits);
        assert_eq!(summary.latency.max, longest as f64);
    }
}
