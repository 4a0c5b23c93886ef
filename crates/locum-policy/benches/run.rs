//! What a policy costs a call that is answered at once: nothing on, each gate, all five; and what it
//! costs each of several threads that share it.

use std::cell::Cell;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use locum_policy::gates::{breaker, concurrency, fallback, hedge, rate_limit, retry};
use locum_policy::text::Rate;
use locum_policy::{
    Answer, Attempt, Bound, Call, Cause, Clock, End, Ended, Endpoint, Exchange, Key, Keys, Policy,
    Settings, Time, run,
};

/// A clock that stands where it was put, and costs nothing to read.
struct Manual(Cell<Time>);

/// The machine's.
struct Real(Instant);

/// The machine's, read once when a call arrives, as a worker reads it once a turn.
struct Turn(Real, Cell<Time>);

trait Arrive: Clock {
    fn arrive(&self) -> Time;
}

impl Clock for Manual {
    fn now(&self) -> Time {
        self.0.get()
    }

    fn sleep_until(&self, _: Time) -> impl Future<Output = ()> {
        std::future::pending()
    }
}

impl Arrive for Manual {
    fn arrive(&self) -> Time {
        self.0.set(self.0.get() + Duration::from_nanos(100));
        self.0.get()
    }
}

impl Clock for Real {
    fn now(&self) -> Time {
        Time::ZERO + self.0.elapsed()
    }

    fn sleep_until(&self, _: Time) -> impl Future<Output = ()> {
        std::future::pending()
    }
}

impl Arrive for Real {
    fn arrive(&self) -> Time {
        self.now()
    }
}

impl Clock for Turn {
    fn now(&self) -> Time {
        self.1.get()
    }

    fn sleep_until(&self, _: Time) -> impl Future<Output = ()> {
        std::future::pending()
    }
}

impl Arrive for Turn {
    fn arrive(&self) -> Time {
        self.1.set(self.0.now());
        self.1.get()
    }
}

/// A peer that answers at once.
struct Ready(Cause);

const READY: Ready = Ready(Cause::Status(200));

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

fn call_once(policy: &Bound, clock: &impl Arrive) -> u64 {
    let call = Call {
        method: "Arith.Multiply",
        arrived: clock.arrive(),
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
        unreachable!("the peer answers at once")
    };
    let End::Ended(cause, reply) = end else { unreachable!("nothing refuses") };
    held.settle(cause, clock.now(), &());
    reply
}

/// What a call is without an engine around it.
fn plain_call(clock: &impl Arrive) -> u64 {
    let endpoint = Endpoint { id: 0, name: "a", policy: None };
    let kind = locum_policy::AttemptKind::First;
    let attempt = Attempt { number: 1, kind, endpoint, deadline: None, started: clock.arrive() };
    let work = pin!(READY.send(black_box(&attempt)));
    let Poll::Ready(ended) = work.poll(&mut Context::from_waker(Waker::noop())) else {
        unreachable!()
    };
    black_box(clock.now());
    ended.reply
}

fn bound(settings: Settings) -> Bound {
    Policy::build("bench", &settings, 1, None).expect("in range").bind("upstream")
}

fn policies() -> Vec<(&'static str, Bound)> {
    let deadline = Settings {
        timeout: Some(Duration::from_secs(2)),
        attempt_timeout: Some(Duration::from_millis(500)),
        ..Settings::default()
    };
    let limit = rate_limit::Settings {
        burst: Some(1 << 30),
        ..rate_limit::Settings::new(Rate::per_second(1_000_000).unwrap())
    };
    let keyed = rate_limit::Settings { key: vec![Key::ClientIp], ..limit };
    let places = Some(concurrency::Settings::new(256));
    let breaker = Some(breaker::Settings::default());
    let retry = Some(retry::Settings::default());
    let all = Settings {
        rate_limit: vec![limit.clone()],
        concurrency: places.clone(),
        breaker: breaker.clone(),
        retry: retry.clone(),
        ..deadline.clone()
    };
    let covered = Settings { fallback: Some(fallback::Settings::default()), ..all.clone() };
    let delay = hedge::Delay::Fixed(Duration::from_millis(50));
    let hedged = Settings { hedge: Some(hedge::Settings::after(delay)), ..all.clone() };
    let all_keyed = Settings { rate_limit: vec![keyed.clone()], ..all.clone() };
    vec![
        ("open", Bound::open()),
        ("empty", bound(Settings::default())),
        ("deadline", bound(deadline)),
        ("rate_limit", bound(Settings { rate_limit: vec![limit], ..Settings::default() })),
        ("rate_limit_keyed", bound(Settings { rate_limit: vec![keyed], ..Settings::default() })),
        ("concurrency", bound(Settings { concurrency: places, ..Settings::default() })),
        ("breaker", bound(Settings { breaker, ..Settings::default() })),
        ("retry", bound(Settings { retry, ..Settings::default() })),
        ("all_five", bound(all)),
        ("all_five_keyed", bound(all_keyed)),
        ("all_five_covered", bound(covered)),
        ("all_five_hedged", bound(hedged)),
    ]
}

fn bench(criterion: &mut Criterion) {
    let mut measure = |name: &str, clock: &dyn Fn(&Bound) -> u64, plain: &dyn Fn() -> u64| {
        let mut group = criterion.benchmark_group(name);
        group.bench_function("plain", |bencher| bencher.iter(plain));
        for (name, policy) in policies() {
            group.bench_function(name, |bencher| {
                bencher.iter(|| clock(black_box(&policy)));
            });
        }
    };
    let manual = Manual(Cell::new(Time::from_millis(1)));
    measure("manual", &|policy| call_once(policy, &manual), &|| plain_call(&manual));
    let turn = Turn(Real(start()), Cell::default());
    measure("turn", &|policy| call_once(policy, &turn), &|| plain_call(&turn));
    let real = Real(start());
    measure("real", &|policy| call_once(policy, &real), &|| plain_call(&real));
}

/// The time of a call on each of several threads at once, under one policy that each has bound for
/// itself, as workers do.
fn share(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("shared");
    let all = policies().into_iter().find(|(name, _)| *name == "all_five");
    let (_, all) = all.expect("it is one of them");
    let policy = all.policy().expect("it is not open");
    for threads in [1, 2, 8] {
        group.bench_function(format!("all_five_{threads}_threads"), |bencher| {
            bencher.iter_custom(|calls| {
                let barrier = Barrier::new(threads);
                let work = || {
                    let (clock, bound) = (Real(start()), policy.bind("upstream"));
                    barrier.wait();
                    let began = start();
                    for _ in 0..calls {
                        black_box(call_once(black_box(&bound), &clock));
                    }
                    began.elapsed()
                };
                std::thread::scope(|scope| {
                    let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
                    let times = threads.into_iter().map(|thread| thread.join().expect("no panic"));
                    times.max().unwrap_or_default()
                })
            });
        });
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn start() -> Instant {
    Instant::now()
}

criterion_group!(benches, bench, share);
criterion_main!(benches);
