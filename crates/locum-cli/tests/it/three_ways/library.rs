//! The engine as a library: `run` around a peer that is a few lines of Rust, on a clock that jumps from
//! alarm to alarm.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use locum_policy::seed::of_call;
use locum_policy::{
    Attempt, Bound, Call, Cause, Clock, End, Ended, Endpoint, Event, Exchange, Observer, Policy,
    Settings, Time, decision_log, run,
};
use locum_sim::trace::{Line, Meets, Outcome};

use super::{POLICY, SEED, UPSTREAM};

/// The decision log of `lines` under a policy of `settings`.
pub(super) fn log(settings: &Settings, lines: &[Line]) -> String {
    let policy = Policy::build(POLICY, settings, SEED, None).unwrap();
    let bound = policy.bind(UPSTREAM);
    let clock = Jumping::default();
    let log = RefCell::default();
    let mut calls: Vec<Option<Pin<Box<dyn Future<Output = ()> + '_>>>> = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        let arrival = lines.get(calls.len()).map(|line| line.at);
        let cancelled = lines.iter().zip(&calls).filter(|(_, call)| call.is_some());
        let cancelled = cancelled.filter_map(|(line, _)| line.cancel_at).min();
        let (alarm, due) = (clock.earliest(), policy.due());
        let Some(now) = [alarm, due, cancelled, arrival].into_iter().flatten().min() else { break };
        clock.now.set(now);
        for (line, call) in lines.iter().zip(&mut calls) {
            let ended = call.as_mut().is_some_and(|call| call.as_mut().poll(&mut cx).is_ready());
            if ended || line.cancel_at == Some(now) {
                *call = None;
            }
        }
        policy.tick(now, &Watch { id: 0, log: &log });
        if arrival == Some(now) {
            let id = calls.len();
            let mut call = Box::pin(one(id as u64, &lines[id], &bound, &clock, &log));
            let ended = call.as_mut().poll(&mut cx).is_ready();
            calls.push((!ended).then_some(call as _));
        }
    }
    drop(calls);
    String::from_utf8(log.take()).unwrap()
}

async fn one(id: u64, line: &Line, policy: &Bound, clock: &Jumping, log: &RefCell<Vec<u8>>) {
    let call = Call {
        method: "all",
        arrived: line.at,
        deadline: line.deadline.map(|deadline| line.at + deadline),
        idempotent: line.idempotent,
        cost: line.cost,
        priority: line.priority,
        attempt_above: 1,
        keys: line,
        seed: of_call(SEED, id),
    };
    let (peer, watch) = (Peer { line, clock }, Watch { id, log });
    let answer = run(policy, &call, clock, &peer, &watch).await;
    if let End::Ended(cause, ()) = answer.end {
        answer.held.settle(cause, clock.now(), &watch);
    }
}

struct Watch<'a> {
    id: u64,
    log: &'a RefCell<Vec<u8>>,
}

impl Observer for Watch<'_> {
    fn event(&self, now: Time, event: &Event<'_>) {
        decision_log::write(&mut self.log.borrow_mut(), now, self.id, event);
    }
}

/// Whoever is called: does what the line says.
struct Peer<'a> {
    line: &'a Line,
    clock: &'a Jumping,
}

impl Exchange for Peer<'_> {
    type Reply = ();

    fn pick(&self, _: &[u32], _: Time) -> Option<Endpoint<'_>> {
        Some(Endpoint { id: 0, name: "a", policy: None })
    }

    async fn send(&self, attempt: &Attempt<'_>) -> Ended<()> {
        let Meets { took, outcome, retry_after, .. } = meets(self.line, attempt.number);
        let cause = match outcome {
            Outcome::Success => Cause::Status(200),
            Outcome::Failure => Cause::Status(503),
            Outcome::Ignored => Cause::Status(404),
            Outcome::Overload => Cause::Status(429),
            Outcome::Hang => pending().await,
        };
        self.clock.sleep_until(attempt.started + took.unwrap_or_default()).await;
        Ended { cause, retry_after, reply: () }
    }

    fn abort(&self, _: &Attempt<'_>, status: u16) -> Ended<()> {
        Ended { cause: Cause::Status(status), retry_after: None, reply: () }
    }
}

/// What the attempt of that number meets: the last repeats.
pub(super) fn meets(line: &Line, number: u32) -> Meets {
    let attempts = line.attempts.as_deref().unwrap_or_default();
    attempts.get(number as usize - 1).or_else(|| attempts.last()).cloned().unwrap_or_default()
}

/// A clock that its owner moves to whatever comes next.
#[derive(Default)]
struct Jumping {
    now: Cell<Time>,
    alarms: RefCell<Vec<Time>>,
}

impl Jumping {
    fn earliest(&self) -> Option<Time> {
        self.alarms.borrow().iter().copied().min()
    }
}

impl Clock for Jumping {
    fn now(&self) -> Time {
        self.now.get()
    }

    async fn sleep_until(&self, at: Time) {
        let alarm = Alarm { clock: self, at };
        self.alarms.borrow_mut().push(at);
        poll_fn(|_| if self.now.get() >= alarm.at { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// Forgotten when it is dropped.
struct Alarm<'a> {
    clock: &'a Jumping,
    at: Time,
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        let mut alarms = self.clock.alarms.borrow_mut();
        let index = alarms.iter().position(|at| *at == self.at).expect("it was set");
        alarms.swap_remove(index);
    }
}
