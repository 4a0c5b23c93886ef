//! A call through every policy, in virtual time.

use std::hint::black_box;
use std::time::Duration;

use locum_policy::gates::{breaker, concurrency, rate_limit, retry};
use locum_policy::text::Rate;
use locum_policy::{Bound, Key, Policy, Settings};

use once::{Manual, call_once};

#[path = "../../../crates/locum-policy/benches/shared/once.rs"]
mod once;

/// Makes so many calls.
pub(crate) fn call(calls: u32) {
    let (policy, clock) = (all(), Manual::new());
    for _ in 0..calls {
        call_once(black_box(&policy), &clock, Duration::from_micros(1));
    }
}

/// Time, a keyed limit that refuses nobody, places, a breaker and retries.
fn all() -> Bound {
    let limit = rate_limit::Settings {
        burst: Some(1 << 30),
        key: vec![Key::ClientIp],
        ..rate_limit::Settings::new(Rate::per_second(1_000_000).expect("not zero"))
    };
    let settings = Settings {
        timeout: Some(Duration::from_secs(2)),
        attempt_timeout: Some(Duration::from_millis(500)),
        rate_limit: vec![limit],
        concurrency: Some(concurrency::Settings::new(256)),
        breaker: Some(breaker::Settings::default()),
        retry: Some(retry::Settings::default()),
        ..Settings::default()
    };
    Policy::build("all", &settings, 1, None).expect("in range").bind("upstream")
}
