//! One call under a policy, to a peer that answers at once: what is timed, and what is counted.

use std::cell::Cell;
use std::future::{Future, pending};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use locum_policy::{
    Attempt, Bound, Call, Cause, Clock, Ended, Endpoint, Exchange, Key, Keys, Time, run,
};

/// Makes a call that arrives so long after the one before.
// Inline, so that it is built with who calls it, and costs the same wherever it stands.
#[inline]
pub(crate) fn call_once(policy: &Bound, clock: &Manual, after: Duration) {
    clock.0.set(clock.0.get() + after);
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

/// A clock that stands where it was put, and costs nothing to read.
pub(crate) struct Manual(Cell<Time>);

impl Manual {
    pub(crate) fn new() -> Self {
        Self(Cell::new(Time::from_millis(1)))
    }
}

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

    fn abort(&self, _: &Attempt<'_>, _: u16) -> Ended<()> {
        unreachable!("no policy here injects a fault")
    }
}

struct Client;

impl Keys for Client {
    fn key(&self, _: &Key) -> Option<&[u8]> {
        Some(b"192.0.2.17")
    }
}
