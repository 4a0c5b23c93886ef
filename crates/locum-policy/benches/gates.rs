//! What each gate costs by itself: a policy that holds nothing else around a call that is answered
//! at once. `none` is such a policy without the gate.

use std::cell::Cell;
use std::future::{Future, pending};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use locum_policy::gates::rate_limit::{self, Algorithm};
use locum_policy::gates::{concurrency, throttle};
use locum_policy::text::Rate;
use locum_policy::{
    Attempt, Bound, Call, Cause, Clock, Ended, Endpoint, Exchange, Key, Keys, Policy, Settings,
    Time, run,
};

/// A clock that moves on by 100 ns a call, and costs nothing to read.
struct Manual(Cell<Time>);

impl Clock for Manual {
    fn now(&self) -> Time {
        self.0.get()
    }

    fn sleep_until(&self, _: Time) -> impl Future<Output = ()> {
        pending()
    }
}

/// A peer that answers at once.
struct Ready;

impl Exchange for Ready {
    type Reply = ();

    fn pick(&self, _: &[u32], _: Time) -> Option<Endpoint<'_>> {
        Some(Endpoint { id: 0, name: "a", policy: None })
    }

    async fn send(&self, _: &Attempt<'_>) -> Ended<()> {
        Ended { cause: Cause::Status(200), retry_after: None, reply: () }
    }

    fn abort(&self, _: &Attempt<'_>, status: u16) -> Ended<()> {
        Ended { cause: Cause::Status(status), retry_after: None, reply: () }
    }
}

struct Client;

impl Keys for Client {
    fn key(&self, _: &Key) -> Option<&[u8]> {
        Some(b"192.0.2.17")
    }
}

fn call_once(policy: &Bound, clock: &Manual) {
    clock.0.set(clock.0.get() + Duration::from_nanos(100));
    let call = Call {
        method: "Arith.Multiply",
        arrived: clock.now(),
        deadline: None,
        idempotent: true,
        cost: 1,
        priority: 1,
        attempt_above: 1,
        keys: &Client,
        seed: 7,
    };
    let work = pin!(run(policy, &call, clock, black_box(&Ready), &()));
    let Poll::Ready(answer) = work.poll(&mut Context::from_waker(Waker::noop())) else {
        unreachable!("the peer answers at once, and no gate lets a call wait")
    };
    answer.held.settle(Cause::Status(200), clock.now(), &());
}

/// Measures calls through each of `policies`.
fn measure(criterion: &mut Criterion, gate: &str, policies: &[(&str, Settings)]) {
    let mut group = criterion.benchmark_group(gate);
    let clock = Manual(Cell::new(Time::from_millis(1)));
    for (name, settings) in policies {
        let policy = Policy::build("bench", settings, 1, None).expect("in range").bind("up");
        group.bench_function(*name, |bencher| {
            bencher.iter(|| call_once(black_box(&policy), &clock));
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
