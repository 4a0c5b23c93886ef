//! What single limits say of single calls, to the nanosecond; and what threads can make of several.

use std::cell::RefCell;
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use locum_policy::gates::rate_limit::{Algorithm, Settings};
use locum_policy::{
    Attempt, Bound, Call, Cause, Clock, Ended, Endpoint, Event, Exchange, Key, Keys, Kind, Mode,
    Observer, Policy, Time, policy, run,
};

use crate::world::{Client, at_once, bound, millis, ms};

/// What the limits of a policy say to a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Said {
    Passed { wait: Duration, remaining: u64, reset: Duration },
    Refused { reason: &'static str, retry_after: Option<Duration> },
}

impl Said {
    /// The wait of a call that passed.
    pub fn wait(self) -> Option<Duration> {
        match self {
            Self::Passed { wait, .. } => Some(wait),
            Self::Refused { .. } => None,
        }
    }
}

/// A call as limits see it.
#[derive(Clone, Copy, Debug)]
pub struct Asks {
    pub now: Time,
    pub cost: u64,
    pub client: u8,
    pub deadline: Option<Time>,
}

impl Asks {
    pub const fn at(now: Time) -> Self {
        Self { now, cost: 1, client: 0, deadline: None }
    }
}

/// Asks the limits of `policy`, and goes no further.
pub fn ask(policy: &Bound, asks: Asks) -> Said {
    ask_of(policy, asks, &Client(asks.client.to_string(), None))
}

fn ask_of(policy: &Bound, asks: Asks, keys: &(dyn Keys + Sync)) -> Said {
    struct Still(Time);

    impl Clock for Still {
        fn now(&self) -> Time {
            self.0
        }

        fn sleep_until(&self, _: Time) -> impl Future<Output = ()> {
            pending()
        }
    }

    struct Silent;

    impl Exchange for Silent {
        type Reply = ();

        fn pick(&self, _: &[u32], _: Time) -> Option<Endpoint<'_>> {
            Some(Endpoint { id: 0, name: "a", policy: None })
        }

        async fn send(&self, _: &Attempt<'_>) -> Ended<()> {
            pending().await
        }

        fn abort(&self, _: &Attempt<'_>, status: u16) -> Ended<()> {
            Ended { cause: Cause::Status(status), retry_after: None, reply: () }
        }
    }

    #[derive(Default)]
    struct Notes(RefCell<Vec<Said>>);

    impl Observer for Notes {
        fn event(&self, _: Time, event: &Event<'_>) {
            let mut notes = self.0.borrow_mut();
            match event {
                Event::Admitted { limit: Some(limit), .. } => {
                    let state = limit.state();
                    notes.push(Said::Passed {
                        wait: Duration::ZERO,
                        remaining: state.remaining,
                        reset: state.reset,
                    });
                }
                Event::Delayed { wait: longer, .. } => {
                    let Some(Said::Passed { wait, .. }) = notes.last_mut() else {
                        panic!("a call is delayed after it was admitted")
                    };
                    *wait = *longer;
                }
                Event::Rejected(rejection) if rejection.kind == Kind::RateLimit => {
                    notes.push(Said::Refused {
                        reason: rejection.reason,
                        retry_after: rejection.retry_after,
                    })
                }
                _ => {}
            }
        }
    }

    let notes = Notes::default();
    let call = Call {
        method: "Arith.Multiply",
        arrived: asks.now,
        deadline: asks.deadline,
        idempotent: true,
        cost: asks.cost,
        priority: 1,
        attempt_above: 1,
        keys,
        seed: 7,
    };
    let clock = Still(asks.now);
    // What comes after the limits is of no interest here.
    let _ = pin!(run(policy, &call, &clock, &Silent, &notes))
        .poll(&mut Context::from_waker(Waker::noop()));
    match notes.0.borrow().as_slice() {
        [said] => *said,
        said => panic!("limits speak once, not {said:?}"),
    }
}

pub fn limited(limits: &[Settings]) -> Bound {
    bound(&policy::Settings { rate_limit: limits.to_vec(), ..policy::Settings::default() })
}

pub fn limit(algorithm: Algorithm, rate: &str) -> Settings {
    let warm_up = (algorithm == Algorithm::WarmUp).then(|| Duration::from_secs(4));
    Settings { algorithm, warm_up, ..Settings::new(rate.parse().unwrap()) }
}

const fn refused(after: Duration) -> Said {
    Said::Refused { reason: "limited", retry_after: Some(after) }
}

const NEVER: Said = Said::Refused { reason: "never", retry_after: None };

/// Calls `count` times at `at`; tells how many passed.
fn calls(policy: &Bound, at: Time, count: usize) -> usize {
    (0..count).filter(|_| ask(policy, Asks::at(at)).wait().is_some()).count()
}

#[test]
fn a_sliding_window_weighs_the_previous_one_by_what_is_still_in_sight() {
    // 42 in the minute before and 18 in this one, a quarter of which is over: 42 * 0.75 + 18 = 49.5.
    for (rate, said) in [
        // 31 of 42 are room enough once 31/42 of the minute are left.
        ("50/min", refused(Duration::from_nanos(714_285_715))),
        (
            "51/min",
            Said::Passed { wait: Duration::ZERO, remaining: 0, reset: Duration::from_secs(105) },
        ),
    ] {
        let policy = limited(&[limit(Algorithm::SlidingWindow, rate)]);
        assert_eq!(calls(&policy, ms(30_000), 42), 42);
        assert_eq!(calls(&policy, ms(75_000), 18), 18);
        assert_eq!(ask(&policy, Asks::at(ms(75_000))), said, "{rate}");
    }
}

#[test]
fn a_sliding_window_says_exactly_when_to_come_back() {
    let policy = limited(&[limit(Algorithm::SlidingWindow, "10/s")]);
    assert_eq!(calls(&policy, ms(900), 11), 10);
    // In the next window the ten fade: 100 ms in, nine are left of them.
    assert_eq!(ask(&policy, Asks::at(ms(900))), refused(millis(200)));
    assert_eq!(ask(&policy, Asks { cost: 11, ..Asks::at(ms(900)) }), NEVER);
    let just_before = Time::from_nanos(1_099_999_999);
    assert_eq!(ask(&policy, Asks::at(just_before)), refused(Duration::from_nanos(1)));
    // What was refused did not count.
    assert_eq!(ask(&policy, Asks::at(ms(1_100))).wait(), Some(Duration::ZERO));
    // All ten at once: when both windows are empty.
    let all = Asks { cost: 10, ..Asks::at(ms(1_100)) };
    assert_eq!(ask(&policy, all), refused(millis(1_900)));
}

#[test]
fn a_sliding_log_lets_go_of_a_hit_when_it_is_a_period_old() {
    let policy = limited(&[limit(Algorithm::SlidingLog, "3/s")]);
    let passed = |remaining, reset| Said::Passed { wait: Duration::ZERO, remaining, reset };
    for (at, remaining) in [(0, 2), (100, 1), (200, 0)] {
        assert_eq!(ask(&policy, Asks::at(ms(at))), passed(remaining, millis(1_000)));
    }
    assert_eq!(ask(&policy, Asks { cost: 0, ..Asks::at(ms(300)) }), passed(0, millis(900)));
    assert_eq!(ask(&policy, Asks::at(ms(300))), refused(millis(700)));
    assert_eq!(ask(&policy, Asks { cost: 3, ..Asks::at(ms(300)) }), refused(millis(900)));
    assert_eq!(ask(&policy, Asks { cost: 4, ..Asks::at(ms(300)) }), NEVER);
    let just_before = Time::from_nanos(999_999_999);
    assert_eq!(ask(&policy, Asks::at(just_before)), refused(Duration::from_nanos(1)));
    assert_eq!(calls(&policy, ms(1_000), 2), 1);
    assert_eq!(calls(&policy, ms(1_100), 2), 1);
}

/// Calls one after another, each as soon as the one before it has waited its wait; tells the waits
/// in milliseconds.
fn waits(policy: &Bound, now: &mut Time, count: usize) -> Vec<f64> {
    let mut wait = || {
        let wait = ask(policy, Asks::at(*now)).wait().unwrap();
        *now += wait;
        wait.as_secs_f64() * 1e3
    };
    (0..count).map(|_| wait()).collect()
}

#[test]
fn a_warm_up_is_guavas() {
    // The sequence of Guava's own test: 2 a second, warm in 4 s.
    let policy = limited(&[limit(Algorithm::WarmUp, "2/s")]);
    let mut now = ms(10_000);
    let cold = [0.0, 1_375.0, 1_125.0, 875.0, 625.0, 500.0, 500.0, 500.0];
    assert_eq!(waits(&policy, &mut now, 8), cold, "it begins cold");
    now += millis(4_500);
    assert_eq!(waits(&policy, &mut now, 8), cold, "and is cold again after 4 s");
    now += millis(2_500);
    let warm = [0.0, 500.0, 500.0, 500.0, 500.0, 500.0, 500.0, 500.0];
    assert_eq!(waits(&policy, &mut now, 8), warm, "but not after 2 s");
}

#[test]
fn a_larger_cold_factor_is_a_colder_start() {
    let settings = Settings { cold_factor: Some(10.0), ..limit(Algorithm::WarmUp, "5/s") };
    let waits = waits(&limited(&[settings]), &mut ms(0), 8);
    let waits: Vec<_> = waits.iter().map(|wait| (wait / 10.0).round() / 100.0).collect();
    assert_eq!(waits, [0.0, 1.75, 1.26, 0.76, 0.3, 0.2, 0.2, 0.2]);
}

#[test]
fn a_warm_up_makes_nobody_wait_too_long() {
    let settings = Settings { max_wait: Some(millis(1_000)), ..limit(Algorithm::WarmUp, "2/s") };
    let policy = limited(&[settings]);
    let first = Said::Passed { wait: Duration::ZERO, remaining: 0, reset: millis(1_375) };
    assert_eq!(ask(&policy, Asks::at(ms(0))), first);
    assert_eq!(ask(&policy, Asks::at(ms(0))), refused(millis(375)));
    let deadline = Asks { deadline: Some(ms(900)), ..Asks::at(ms(500)) };
    assert_eq!(ask(&policy, deadline), refused(millis(475)));
    let look = Asks { cost: 0, ..Asks::at(ms(1_375)) };
    let ready = Said::Passed { wait: Duration::ZERO, remaining: 1, reset: Duration::ZERO };
    assert_eq!(ask(&policy, look), ready);
    assert_eq!(ask(&policy, Asks::at(ms(375))).wait(), Some(Duration::ZERO), "time stood still");
}

#[test]
fn a_clock_that_jumps_back_changes_nothing() {
    for algorithm in ALL {
        let [steady, jumping] = [(); 2].map(|()| limited(&[limit(algorithm, "2/s")]));
        for at in [0, 100, 700, 1_400, 1_400, 1_500] {
            let at = ms(10_000 + at);
            assert_eq!(ask(&jumping, Asks::at(at)), ask(&steady, Asks::at(at)), "{algorithm:?}");
            for back in [millis(1), millis(5_000)] {
                let back = Time::from_nanos(at.as_nanos() - back.as_nanos() as u64);
                let said = ask(&jumping, Asks::at(back));
                assert_eq!(said, ask(&steady, Asks::at(at)), "{algorithm:?}");
            }
        }
    }
}

#[test]
fn a_refusal_is_told_once_however_many_refuse() {
    let limits = ["1/s", "1/min", "1/h"];
    let limits: Vec<_> = ALL.map(|algorithm| limits.map(|rate| limit(algorithm, rate))).concat();
    let policy = limited(&limits);
    assert!(ask(&policy, Asks::at(ms(0))).wait().is_some());
    let Said::Refused { retry_after, .. } = ask(&policy, Asks::at(ms(0))) else {
        panic!("the second passes")
    };
    // The window of the hour: the first half of the next hour's is no time to come back.
    assert_eq!(retry_after, Some(Duration::from_secs(7_200)));
}

/// Of each algorithm a limit that lets `count` pass at time 0 and no more.
fn closes_after(count: u64) -> Vec<Settings> {
    let refusing = [
        Algorithm::TokenBucket,
        Algorithm::LeakyBucket,
        Algorithm::SlidingWindow,
        Algorithm::SlidingLog,
    ];
    let limit = |algorithm| Settings {
        free: (algorithm == Algorithm::LeakyBucket).then_some(count),
        ..limit(algorithm, &format!("{count}/h"))
    };
    refusing.map(limit).to_vec()
}

#[test]
fn threads_take_from_all_limits_or_from_none() {
    const CALLS: u64 = 400;
    for first in closes_after(300) {
        for second in closes_after(200) {
            let pair = format!("{:?}, {:?}", first.algorithm, second.algorithm);
            let policy = limited(&[first.clone(), second]);
            let passed = AtomicU64::new(0);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..CALLS / 4 {
                            let one = at_once(&policy, ms(0), Cause::Reply).into();
                            passed.fetch_add(one, Ordering::Relaxed);
                        }
                    });
                }
            });
            assert_eq!(passed.into_inner(), 200, "{pair}");
            assert_eq!(remaining(&policy), [100, 0], "{pair}");
        }
    }
}

#[test]
fn nobody_ever_sees_what_a_refused_call_would_have_taken() {
    for open in closes_after(5) {
        for shut in closes_after(1) {
            let pair = format!("{:?}, {:?}", open.algorithm, shut.algorithm);
            let policy = limited(&[open.clone(), shut]);
            assert!(at_once(&policy, ms(0), Cause::Reply));
            let over = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in 0..300 {
                        assert!(!at_once(&policy, ms(0), Cause::Reply));
                    }
                    over.store(true, Ordering::Release);
                });
                while !over.load(Ordering::Acquire) {
                    assert_eq!(remaining(&policy), [4, 0], "{pair}");
                }
            });
        }
    }
}

#[test]
fn policies_that_share_limits_in_another_order_do_not_block_each_other() {
    let settings = |limits: Vec<_>| policy::Settings { rate_limit: limits, ..Default::default() };
    let mut limits: Vec<_> = closes_after(500);
    let old = Policy::build("test", &settings(limits.clone()), 1, None).unwrap();
    limits.reverse();
    let new = Policy::build("test", &settings(limits), 1, Some(&old)).unwrap();
    let passed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for policy in [&old, &new] {
            let policy = policy.bind("up");
            let passed = &passed;
            scope.spawn(move || {
                for _ in 0..400 {
                    let one = at_once(&policy, ms(0), Cause::Reply).into();
                    passed.fetch_add(one, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(passed.into_inner(), 500);
}

#[test]
fn a_limit_goes_on_alone_or_with_others_over_a_reload() {
    let settings = |limits: &[Settings]| policy::Settings {
        rate_limit: limits.to_vec(),
        ..policy::Settings::default()
    };
    let (a, b) = (limit(Algorithm::TokenBucket, "5/h"), limit(Algorithm::TokenBucket, "9/h"));
    let shadow = Settings { mode: Some(Mode::Shadow), ..a.clone() };
    let mut policy = Policy::build("test", &settings(std::slice::from_ref(&a)), 1, None).unwrap();
    for (limits, left) in [
        (vec![a.clone()], vec![4]),
        (vec![b.clone(), a.clone()], vec![8, 3]),
        (vec![a.clone(), b.clone()], vec![2, 7]),
        (vec![b, shadow.clone()], vec![6, 1]),
        // Enforced ones are told first.
        (vec![shadow, a], vec![0, 4]),
    ] {
        policy = Policy::build("test", &settings(&limits), 1, Some(&policy)).unwrap();
        assert!(at_once(&policy.bind("up"), ms(0), Cause::Reply), "{limits:?}");
        let snapshot = policy.snapshot(ms(0)).limits;
        let remaining: Vec<_> = snapshot.iter().map(|limit| limit.state.remaining).collect();
        assert_eq!(remaining, left, "{limits:?}");
    }
}

#[test]
fn every_algorithm_keeps_keys_apart_and_forgets_idle_ones() {
    for algorithm in ALL {
        let keyed = Settings {
            key: vec![Key::ClientIp],
            max_keys: Some(3),
            max_wait: (algorithm == Algorithm::WarmUp).then_some(Duration::ZERO),
            ..limit(algorithm, "1/s")
        };
        let policy = limited(&[keyed]);
        let passes = |client, at| {
            ask(&policy, Asks { client, ..Asks::at(at) }).wait() == Some(Duration::ZERO)
        };
        for client in 0..3 {
            assert!(passes(client, ms(0)), "{algorithm:?}");
            assert!(!passes(client, ms(0)), "{algorithm:?}");
        }
        assert!(passes(3, ms(0)), "{algorithm:?}: the shared bucket");
        assert!(!passes(4, ms(0)), "{algorithm:?}: is shared");
        for client in 5..8 {
            assert!(passes(client, ms(10_000)), "{algorithm:?}: idle ones made room");
        }
        assert_eq!(policy.policy().unwrap().snapshot(ms(10_000)).limits[0].keys, 3);
    }
}

#[test]
fn all_parts_of_a_key_tell_calls_apart_and_so_does_having_none() {
    struct Told(Key, Option<&'static [u8]>);

    impl Keys for Told {
        fn key(&self, part: &Key) -> Option<&[u8]> {
            if *part == self.0 { self.1 } else { Some(b"same") }
        }
    }

    let parts = ["client-ip", "header:X-Tenant", "route", "identity"];
    let parts: Vec<Key> = parts.iter().map(|part| part.parse().unwrap()).collect();
    for algorithm in ALL {
        let keyed = Settings {
            key: parts.clone(),
            max_wait: (algorithm == Algorithm::WarmUp).then_some(Duration::ZERO),
            ..limit(algorithm, "1/s")
        };
        let policy = limited(&[keyed]);
        let passes = |keys: &Told| ask_of(&policy, Asks::at(ms(0)), keys).wait().is_some();
        assert!(passes(&Told(Key::Method, None)), "{algorithm:?}");
        for part in &parts {
            for value in [None, Some(&b""[..]), Some(b"a"), Some(b"b")] {
                let told = Told(part.clone(), value);
                assert!(passes(&told), "{algorithm:?}, {part}: {value:?}");
                assert!(!passes(&told), "{algorithm:?}, {part}: {value:?} again");
            }
            assert!(!passes(&Told(part.clone(), Some(b"same"))), "{algorithm:?}, {part}");
        }
    }
}

fn remaining(policy: &Bound) -> Vec<u64> {
    let limits = policy.policy().unwrap().snapshot(ms(0)).limits;
    limits.iter().map(|limit| limit.state.remaining).collect()
}

const ALL: [Algorithm; 5] = [
    Algorithm::TokenBucket,
    Algorithm::LeakyBucket,
    Algorithm::SlidingWindow,
    Algorithm::SlidingLog,
    Algorithm::WarmUp,
];
