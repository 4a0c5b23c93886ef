//! A call through every policy, in virtual time.

use std::cell::Cell;
use std::future::{Future, pending};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use locum_policy::gates::{breaker, concurrency, rate_limit, retry};
use locum_policy::text::Rate;
use locum_policy::{
    Attempt, Bound, Call, Cause, Clock, Ended, Endpoint, Exchange, Key, Keys, Policy, Settings,
    Time, run,
};

/// Makes so many calls.
pub(crate) fn call(calls: u32) {
    let (policy, clock) = (all(), Moved(Cell::new(Time::from_millis(1))));
    for _ in 0..calls {
        clock.0.set(clock.0.get() + Duration::from_micros(1));
        call_once(black_box(&policy), &clock);
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

fn call_once(policy: &Bound, clock: &Moved) {
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

/// A clock that stands where it was put.
struct Moved(Cell<Time>);

impl Clock for Moved {
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

    fn abort(&self, _: &Attempt<'_>, _: u16) -> Ended<()> {
        unreachable!("no fault is made here")
    }
}

struct Client;

impl Keys for Client {
    fn key(&self, _: &Key) -> Option<&[u8]> {
        Some(b"192.0.2.17")
    }
}
