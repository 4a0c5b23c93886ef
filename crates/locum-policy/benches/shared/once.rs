//! One call under a policy, to a peer that answers at once: what is timed, and what is counted.

use std::cell::Cell;
use std::future::{Future, pending};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use locum_policy::{
    Answer, Attempt, Bound, Call, Cause, Clock, End, Ended, Endpoint, Exchange, Key, Keys, Time,
    run,
};

/// Makes a call that arrives at this time, and waits for nothing.
pub(crate) fn call_once(policy: &Bound, clock: &impl Clock, arrived: Time) -> u64 {
    let call = Call {
        method: "Arith.Multiply",
        arrived,
        deadline: None,
        idempotent: true,
        cost: 1,
        priority: 1,
        attempt_above: 1,
        keys: &Client,
        seed: 7,
    };
    let work = pin!(run(policy, &call, clock, black_box(&READY), &()));
    let Poll::Ready(Answer { end, held, .. }) = work.poll(&mut Context::from_waker(Waker::noop()))
    else {
        unreachable!("the peer answers at once, and no gate lets a call wait")
    };
    let End::Ended(cause, reply) = end else { unreachable!("nothing refuses") };
    held.settle(cause, clock.now(), &());
    reply
}

/// A clock that stands where it was put, and costs nothing to read.
pub(crate) struct Manual(Cell<Time>);

impl Manual {
    pub(crate) fn new() -> Self {
        Self(Cell::new(Time::from_millis(1)))
    }

    /// Moves it on; gives where it stands then.
    pub(crate) fn pass(&self, time: Duration) -> Time {
        self.0.set(self.0.get() + time);
        self.0.get()
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
pub(crate) struct Ready(Cause);

pub(crate) const READY: Ready = Ready(Cause::Status(200));

impl Exchange for Ready {
    type Reply = u64;

    fn pick(&self, _: &[u32], _: Time) -> Option<Endpoint<'_>> {
        Some(Endpoint { id: 0, name: "a", policy: None })
    }

    async fn send(&self, attempt: &Attempt<'_>) -> Ended<u64> {
        Ended { cause: self.0, retry_after: None, reply: u64::from(attempt.number) }
    }

    fn abort(&self, _: &Attempt<'_>, _: u16) -> Ended<u64> {
        unreachable!("no policy here injects a fault")
    }
}

struct Client;

impl Keys for Client {
    fn key(&self, _: &Key) -> Option<&[u8]> {
        Some(b"192.0.2.17")
    }
}
