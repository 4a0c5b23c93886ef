//! What happens at one instant, and in which order.

use crate::setup::{Trace, having, play, policy, try_play};

/// `t id event`, a line each.
fn steps(log: &[String], event: &str) -> Vec<String> {
    let value = |line: &str, key: &str| {
        let (_, rest) = line.split_once(&format!("\"{key}\":")).unwrap();
        rest.split([',', '}']).next().unwrap().to_owned()
    };
    let named = having(log, &[&format!("\"event\":\"{event}\"")]);
    named.iter().map(|line| format!("{} {}", value(line, "t"), value(line, "id"))).collect()
}

#[test]
fn what_ends_at_one_instant_ends_in_the_order_it_began() {
    let mut trace = Trace::default();
    // Call 0's second attempt begins at 60, after call 1's only one.
    trace
        .call(0.0, r#""idempotent":true,"attempts":[{"took":60,"outcome":"failure"},{"took":40}]"#);
    trace.meets(50.0, 50.0, "success").meets(100.0, 0.0, "success");
    let (log, _) = play(&policy("[retry]\nbackoff = \"fixed\"\nbase = \"0s\""), &trace);
    assert_eq!(steps(&log, "done"), ["100 1", "100 0", "100 2"]);
}

#[test]
fn who_waits_for_a_place_gets_it_before_who_arrives() {
    let mut trace = Trace::default();
    trace.meets(0.0, 100.0, "success").meets(1.0, 100.0, "success").meets(100.0, 5.0, "success");
    let (log, _) = play(&policy("concurrency = { max = 1, queue = 5 }"), &trace);
    assert_eq!(steps(&log, "attempt"), ["0 0", "100 1", "200 2"]);
}

#[test]
fn everything_that_ends_comes_before_anyone_who_waits() {
    let mut trace = Trace::default();
    for _ in 0..2 {
        trace.meets(0.0, 100.0, "success");
    }
    for _ in 0..2 {
        trace.meets(1.0, 100.0, "success");
    }
    let (log, _) = play(&policy("concurrency = { max = 2, queue = 5 }"), &trace);
    let at_100: Vec<_> = having(&log, &["\"t\":100,"]);
    assert!(at_100[0].contains("\"id\":0,\"event\":\"done\""), "{at_100:?}");
    assert!(at_100[1].contains("\"id\":1,\"event\":\"done\""), "{at_100:?}");
    assert_eq!(steps(&log, "attempt"), ["0 0", "0 1", "100 2", "100 3"]);
}

#[test]
fn a_timeout_is_an_end() {
    // Call 0 is given up at 100, when call 1 ends and call 2 arrives.
    let mut trace = Trace::default();
    trace.call(0.0, r#""deadline":105,"attempts":[{"outcome":"hang"}]"#);
    trace.meets(50.0, 50.0, "success").meets(100.0, 0.0, "success");
    let (log, _) = play(&policy(""), &trace);
    assert_eq!(steps(&log, "done"), ["100 0", "100 1", "100 2"]);
    assert_eq!(having(&log, &["\"outcome\":\"deadline\""]).len(), 1);
}

#[test]
fn a_call_that_takes_no_time_is_over_before_the_next_line() {
    let mut trace = Trace::default();
    trace.call(0.0, "").call(0.0, "");
    let (log, _) = play(&policy("concurrency.max = 1"), &trace);
    assert_eq!(steps(&log, "done"), ["0 0", "0 1"]);
    assert_eq!(having(&log, &["rejected"]).len(), 0);
}

#[test]
fn a_call_that_ends_when_its_caller_goes_has_ended() {
    let mut trace = Trace::default();
    trace.call(0.0, r#""cancel_at":50,"attempts":[{"took":50}]"#);
    trace.call(0.0, r#""cancel_at":49.999,"attempts":[{"took":50}]"#);
    let (log, summary) = play(&policy(""), &trace);
    assert_eq!((summary.outcomes.success, summary.outcomes.cancelled), (1, 1));
    assert_eq!(having(&log, &["cancelled"])[0].split(',').next(), Some("{\"t\":49.999"));
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_does_not() {
    let mut trace = Trace::default();
    for at in 0..200 {
        let attempts = r#""idempotent":true,"attempts":[{"took":3,"outcome":"failure"}]"#;
        trace.call(f64::from(at) * 1.37, attempts);
    }
    let settings = policy("[retry]\n[breaker]\nmin_calls = 5");
    let log = |seed| try_play(&settings, &trace, seed).unwrap().0;
    assert_eq!(log(7), log(7));
    assert_ne!(log(7), log(8));
}
