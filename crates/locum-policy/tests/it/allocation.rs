//! A call that all goes well allocates nothing.

use std::time::Duration;

use allocation_counter::measure;
use locum_policy::gates::{breaker, concurrency, rate_limit, retry, throttle};
use locum_policy::text::Rate;
use locum_policy::{Cause, Key, Settings, Time};

use crate::world::{at_once, bound, millis};

#[test]
fn a_call_through_all_gates_allocates_nothing() {
    for key in [vec![], vec![Key::ClientIp]] {
        let limit = rate_limit::Settings {
            key,
            ..rate_limit::Settings::new(Rate::per_second(1_000_000).unwrap())
        };
        let policy = bound(&Settings {
            timeout: Some(Duration::from_secs(2)),
            attempt_timeout: Some(millis(500)),
            rate_limit: vec![limit],
            concurrency: Some(concurrency::Settings {
                queue: 8,
                ..concurrency::Settings::adaptive()
            }),
            throttle: Some(throttle::Settings::default()),
            breaker: Some(breaker::Settings::default()),
            retry: Some(retry::Settings::default()),
            ..Settings::default()
        });
        // The first call of a key makes its bucket.
        at_once(&policy, Time::ZERO, Cause::Reply);
        let counted = measure(|| {
            (0..1_000).for_each(|_| assert!(at_once(&policy, Time::ZERO, Cause::Reply)))
        });
        assert_eq!(counted.count_total, 0);
    }
}
