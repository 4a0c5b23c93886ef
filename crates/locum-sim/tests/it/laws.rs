//! What holds of every log, whatever the policy and the calls.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::Value;

use crate::setup::{Trace, policy, try_play};

/// Policies in which everything that can be on is on somewhere.
const POLICIES: [&str; 5] = [
    r#"
    timeout = "300ms"
    attempt_timeout = "80ms"
    retry = { attempts = 4, backoff = "decorrelated-jitter" }
    breaker = { window = 10, min_calls = 4, wait = "50ms", ramp = "100ms", half_open = { lease = "60ms", concurrency = 2 } }
    concurrency = { max = 3, queue = 3, queue_timeout = "40ms" }
    "#,
    r#"
    idempotent = true
    attempt_timeout = "60ms"
    retry = { attempts = 3, backoff = "fixed", base = "10ms" }
    hedge = { delay = "20ms" }
    rate_limit = { algorithm = "leaky-bucket", rate = "100/s", burst = 20, free = 2, max_wait = "150ms", key = "client-ip" }
    breaker = { per = "endpoint", window = "200ms", buckets = 4, min_calls = 3, wait = "30ms", slow = { threshold = "30ms", rate = 0.5 } }
    "#,
    r#"
    mode = "shadow"
    timeout = "100ms"
    retry = {}
    breaker = { window = 5, min_calls = 2, wait = "20ms" }
    concurrency = { max = 2, queue = 1, queue_timeout = "10ms" }
    rate_limit = [{ rate = "50/s", burst = 3 }, { rate = "20/s", burst = 9, key = "method" }]
    "#,
    r#"
    breaker = { per = "method", consecutive = 2, wait = "20ms", count_overload = true }
    rate_limit = { algorithm = "sliding-window", rate = "10/100ms" }
    "#,
    "",
];

fn trace() -> impl Strategy<Value = Trace> {
    let outcome =
        prop::sample::select(vec!["success", "success", "failure", "ignored", "overload", "hang"]);
    let attempt = (0_u32..120, outcome, prop::sample::select(vec!["a", "b"]));
    let attempts = prop::collection::vec(attempt, 0..4);
    let time = |likely| prop::option::weighted(likely, 0_u32..200);
    let call = (0_u32..30, attempts, time(0.2), time(0.2), any::<bool>(), 0_u32..3);
    prop::collection::vec(call, 1..60).prop_map(|calls| {
        let (mut trace, mut at) = (Trace::default(), 0);
        for (later, attempts, deadline, patience, idempotent, who) in calls {
            at += later;
            let cancel_at = patience.map(|patience| at + patience);
            let written = |time: Option<u32>| time.map_or_else(|| "null".to_owned(), |time| time.to_string());
            let mut rest = format!(
                r#""deadline":{},"cancel_at":{},"idempotent":{idempotent},"key":"k{who}","call":"m{who}","attempts":["#,
                written(deadline),
                written(cancel_at)
            );
            for (index, (took, outcome, endpoint)) in attempts.iter().enumerate() {
                let comma = if index > 0 { "," } else { "" };
                write!(
                    rest,
                    r#"{comma}{{"took":{took},"outcome":"{outcome}","endpoint":"{endpoint}"}}"#
                )
                .unwrap();
            }
            trace.call(f64::from(at), &(rest + "]"));
        }
        trace
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_call_is_done_once_and_time_does_not_go_back(
        trace in trace(),
        toml in prop::sample::select(&POLICIES[..]),
        seed: u64,
    ) {
        let policy = policy(toml);
        let (log, summary) = try_play(&policy, &trace, seed).unwrap();
        prop_assert_eq!(&log, &try_play(&policy, &trace, seed).unwrap().0);
        let calls = trace.0.lines().count();
        let (mut now, mut attempts) = (0.0, vec![0_u64; calls]);
        let mut done = vec![false; calls];
        for line in log.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            let at = event["t"].as_f64().unwrap();
            prop_assert!(at >= now, "{line} after {now}");
            now = at;
            let Some(id) = event["id"].as_u64() else {
                prop_assert_eq!(&event["event"], "state");
                continue;
            };
            let id = id as usize;
            prop_assert!(!done[id], "{line} after its end");
            match event["event"].as_str().unwrap() {
                "attempt" => {
                    attempts[id] += 1;
                    prop_assert_eq!(event["n"].as_u64().unwrap(), attempts[id]);
                }
                "done" => {
                    done[id] = true;
                    prop_assert_eq!(event["attempts"].as_u64().unwrap(), attempts[id]);
                    prop_assert!(event["outcome"] != "rejected" || attempts[id] == 0, "{line}");
                }
                _ => {}
            }
        }
        prop_assert!(done.iter().all(|done| *done));
        prop_assert_eq!(summary.calls, calls as u64);
        prop_assert_eq!(summary.attempts, attempts.iter().sum::<u64>());
    }
}
