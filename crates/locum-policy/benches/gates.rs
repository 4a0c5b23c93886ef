//! What each gate costs by itself: a policy that holds nothing else around a call that is answered
//! at once. `none` is such a policy without the gate.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use locum_policy::gates::rate_limit::{self, Algorithm};
use locum_policy::gates::{concurrency, throttle};
use locum_policy::text::Rate;
use locum_policy::{Key, Policy, Settings};

use once::{Manual, call_once};

#[path = "shared/once.rs"]
mod once;

/// Between two calls.
const STEP: Duration = Duration::from_nanos(100);

/// Measures calls through each of `policies`.
fn measure(criterion: &mut Criterion, gate: &str, policies: &[(&str, Settings)]) {
    let mut group = criterion.benchmark_group(gate);
    let clock = Manual::new();
    for (name, settings) in policies {
        let policy = Policy::build("bench", settings, 1, None).expect("in range").bind("up");
        group.bench_function(*name, |bencher| {
            bencher.iter(|| call_once(black_box(&policy), &clock, STEP));
        });
    }
}

fn rate_limit(criterion: &mut Criterion) {
    // More than the clock lets happen, so that no call is refused and none waits.
    let rate = Rate::new(1_000_000, Duration::from_millis(1)).expect("not zero");
    let limit = |algorithm| rate_limit::Settings {
        algorithm,
        free: (algorithm == Algorithm::LeakyBucket).then_some(1_000_000),
        warm_up: (algorithm == Algorithm::WarmUp).then_some(Duration::from_millis(1)),
        ..rate_limit::Settings::new(rate)
    };
    // A log keeps its hits: 10,000 of them here.
    let log = rate_limit::Settings {
        rate: Rate::new(20_000, Duration::from_millis(1)).expect("not zero"),
        ..limit(Algorithm::SlidingLog)
    };
    let keyed = |limit| rate_limit::Settings { key: vec![Key::ClientIp], ..limit };
    let with = |rate_limit| Settings { rate_limit, ..Settings::default() };
    let bucket = limit(Algorithm::TokenBucket);
    let window = limit(Algorithm::SlidingWindow);
    let policies = [
        ("none", with(vec![])),
        ("token-bucket", with(vec![bucket.clone()])),
        ("leaky-bucket", with(vec![limit(Algorithm::LeakyBucket)])),
        ("sliding-window", with(vec![window.clone()])),
        ("sliding-log", with(vec![log])),
        ("warm-up", with(vec![limit(Algorithm::WarmUp)])),
        ("token-bucket_keyed", with(vec![keyed(bucket.clone())])),
        ("sliding-window_keyed", with(vec![keyed(window.clone())])),
        ("two", with(vec![bucket, window])),
    ];
    measure(criterion, "rate_limit", &policies);
}

fn concurrency(criterion: &mut Criterion) {
    let with = |concurrency| Settings { concurrency, ..Settings::default() };
    let queue = |places| Some(concurrency::Settings { queue: 64, ..places });
    let policies = [
        ("none", with(None)),
        ("max", with(Some(concurrency::Settings::new(256)))),
        ("max_and_queue", with(queue(concurrency::Settings::new(256)))),
        ("adaptive", with(queue(concurrency::Settings::adaptive()))),
    ];
    measure(criterion, "concurrency", &policies);
}

fn throttle(criterion: &mut Criterion) {
    let with = |throttle| Settings { throttle, ..Settings::default() };
    let policies = [("none", with(None)), ("calm", with(Some(throttle::Settings::default())))];
    measure(criterion, "throttle", &policies);
}

criterion_group!(benches, rate_limit, concurrency, throttle);
criterion_main!(benches);
