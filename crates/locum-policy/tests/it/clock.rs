//! Clocks that stand still, and clocks that jump by hours: no part sticks, and none runs away.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use locum_policy::gates::breaker::{self, HalfOpen, State, Window};
use locum_policy::gates::{concurrency, hedge, rate_limit, retry};
use locum_policy::text::Rate;
use locum_policy::{Bound, Cause, Policy, Settings, Time};

use crate::world::{Case, World, at_once, bound, hangs, meets, millis, ms};

const OK: Cause = Cause::Reply;
const FAILURE: Cause = Cause::Status(500);
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

fn once(meets: crate::world::Meets) -> Case {
    Case::new(&[meets])
}

fn breaker() -> breaker::Settings {
    breaker::Settings { jitter: 0.0, ..Default::default() }
}

fn guarded(breaker: breaker::Settings) -> Settings {
    Settings { breaker: Some(breaker), ..Settings::default() }
}

/// Every part at once.
fn everything() -> Settings {
    Settings {
        timeout: Some(millis(1_000)),
        rate_limit: vec![rate_limit::Settings {
            burst: Some(100),
            ..rate_limit::Settings::new(Rate::per_second(100).unwrap())
        }],
        concurrency: Some(concurrency::Settings {
            queue: 10,
            queue_timeout: Some(millis(100)),
            ..concurrency::Settings::new(5)
        }),
        retry: Some(retry::Settings { base: millis(0), ..Default::default() }),
        hedge: Some(hedge::Settings::after(hedge::Delay::Percentile(95))),
        ..guarded(breaker::Settings { ramp: millis(1_000), ..breaker() })
    }
}

fn state(policy: &Bound, now: u64) -> State {
    policy.policy().unwrap().snapshot(ms(now)).breakers[0].state
}

#[test]
fn while_the_clock_stands_still_every_part_keeps_to_its_numbers() {
    let (world, policy) = (World::new(), bound(&everything()));
    for call in 0..1_000 {
        let cause = if call % 2 == 0 { OK } else { Cause::Status(503) };
        world.call(&policy, once(meets(0, cause)));
    }
    assert_eq!(world.log.count("admitted rate_limit"), 100);
    assert_eq!(world.log.count("rejected rate_limit limited"), 900);
    assert_eq!(world.log.count("state up closed open failure_rate"), 1);
    assert_eq!(world.log.count("done"), 1_000);
    assert!(world.log.lines().iter().all(|line| line.starts_with("0 ")));
    let snapshot = policy.policy().unwrap().snapshot(Time::ZERO);
    assert_eq!(snapshot.concurrency.unwrap().in_flight, 0);
}

#[test]
fn after_a_jump_of_days_every_part_is_as_good_as_new() {
    let (world, policy) = (World::new(), bound(&everything()));
    for seed in 0..200 {
        world.call(&policy, Case { seed, ..once(meets(0, Cause::Status(503))) });
    }
    let stuck: Vec<_> = (0..30).map(|_| world.call(&policy, once(hangs()))).collect();
    world.log.clear();
    // One jump: every alarm on the way goes off late.
    world.clock.jump(ms(30 * DAY));
    world.advance(ms(30 * DAY));
    for call in stuck {
        world.cancel(call);
    }
    let snapshot = policy.policy().unwrap().snapshot(ms(30 * DAY));
    assert_eq!(snapshot.concurrency.unwrap().in_flight, 0);
    assert_eq!(snapshot.concurrency.unwrap().waiting, 0);
    assert_eq!(snapshot.retry_balance, Some(100));
    world.log.clear();
    for _ in 0..3 {
        world.call(&policy, once(meets(0, OK)));
    }
    assert_eq!(world.log.count("admitted rate_limit"), 3);
    assert_eq!(world.log.count("done success"), 3);
    assert_eq!(state(&policy, 30 * DAY), State::Ramp);
    world.log.clear();
    world.call_at(31 * DAY, &policy, once(meets(0, OK)));
    assert_eq!(world.log.count("state up ramp closed ramped"), 1);
    assert_eq!(state(&policy, 31 * DAY), State::Closed);
    let snapshot = policy.policy().unwrap().snapshot(ms(31 * DAY));
    assert_eq!(snapshot.breakers[0].calls, 1);
}

#[test]
fn a_clock_at_its_end_is_no_trouble() {
    let policy = bound(&Settings { timeout: None, ..everything() });
    let end = Time::from_nanos(u64::MAX - 1);
    for cause in [OK, FAILURE, OK] {
        at_once(&policy, end, cause);
    }
    policy.policy().unwrap().tick(end, &());
    assert_eq!(policy.policy().unwrap().snapshot(end).breakers[0].failures, 1);
}

#[test]
fn a_probe_that_never_returns_is_lost_without_another_call_to_notice() {
    let breaker = breaker::Settings { consecutive: Some(1), ..breaker() };
    let (world, policy) = (World::new(), bound(&guarded(breaker)));
    world.call(&policy, once(meets(0, FAILURE)));
    world.call_at(5_000, &policy, once(hangs()));
    let policy = policy.policy().unwrap();
    assert_eq!(policy.due(), Some(ms(15_000)));
    // The clock that ticks comes by two days later.
    policy.tick(ms(2 * DAY), &world.log);
    assert_eq!(world.log.count("15000 state up half_open open probe_lost"), 1);
    let breaker = &policy.snapshot(ms(2 * DAY)).breakers[0];
    assert_eq!((breaker.state, breaker.until), (State::Open, Some(ms(25_000))));
    assert_eq!(policy.due(), None);
}

#[test]
fn of_a_thousand_callers_at_the_instant_one_probes() {
    let (world, policy) =
        (World::new(), bound(&guarded(breaker::Settings { consecutive: Some(1), ..breaker() })));
    world.call(&policy, once(meets(0, FAILURE)));
    for _ in 0..1_000 {
        world.call_at(5_000, &policy, once(meets(50, OK)));
    }
    assert_eq!(world.log.count("5000 attempt"), 1);
    assert_eq!(world.log.count("5000 rejected breaker half_open_busy"), 999);
}

#[test]
fn of_callers_on_many_threads_as_many_probe_as_may() {
    for concurrency in [1, 3] {
        let half_open = HalfOpen { concurrency, required: 3, ..HalfOpen::default() };
        let breaker = breaker::Settings { consecutive: Some(1), half_open, ..breaker() };
        for _ in 0..20 {
            let policy = bound(&guarded(breaker.clone()));
            at_once(&policy, Time::ZERO, FAILURE);
            let (passed, barrier) = (AtomicUsize::new(0), Arc::new(Barrier::new(8)));
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    let (policy, barrier, passed) = (policy.clone(), Arc::clone(&barrier), &passed);
                    scope.spawn(move || {
                        barrier.wait();
                        let world = World::new();
                        world.advance(ms(5_000));
                        for _ in 0..125 {
                            world.call(&policy, once(hangs()));
                        }
                        passed.fetch_add(world.log.count("attempt"), Ordering::Relaxed);
                        // Their calls hang until all have tried.
                        barrier.wait();
                    });
                }
            });
            assert_eq!(passed.into_inner(), concurrency as usize);
        }
    }
}

#[test]
fn a_reload_while_half_open_keeps_what_the_probes_have_shown() {
    let breaker = |breaker| guarded(breaker::Settings { consecutive: Some(1), ..breaker });
    let old = Policy::build("test", &breaker(self::breaker()), 1, None).unwrap();
    let (world, before) = (World::new(), old.bind("up"));
    world.call(&before, once(meets(0, FAILURE)));
    world.call_at(5_000, &before, once(meets(0, OK)));
    world.call_at(5_010, &before, once(meets(100, OK)));
    let reshaped = breaker::Settings { window: Window::Last(50), ..self::breaker() };
    let new = Policy::build("test", &breaker(reshaped), 1, Some(&old)).unwrap();
    let after = new.bind("up");
    world.call_at(5_050, &after, once(meets(0, OK)));
    assert_eq!(world.log.count("5050 rejected breaker half_open_busy"), 1, "the slot is taken");
    assert_eq!(state(&after, 5_050), State::HalfOpen);
    // The probe of before the reload is the second success, the next one the third.
    world.call_at(5_200, &after, once(meets(0, OK)));
    assert_eq!(world.log.count("5200 state up half_open closed recovered"), 1);
    for _ in 0..60 {
        world.call_at(DAY, &after, once(meets(0, OK)));
    }
    assert_eq!(new.snapshot(ms(DAY)).breakers[0].calls, 50, "the window is one of calls now");
}

#[test]
fn what_waits_in_a_queue_through_a_jump_gets_its_turn_or_its_refusal() {
    let places = concurrency::Settings {
        queue: 2,
        queue_timeout: Some(millis(100)),
        ..concurrency::Settings::new(1)
    };
    let (world, policy) =
        (World::new(), bound(&Settings { concurrency: Some(places), ..Settings::default() }));
    let first = world.call(&policy, once(hangs()));
    world.call(&policy, once(meets(0, OK)));
    world.call(&policy, once(meets(0, OK)));
    world.clock.jump(ms(HOUR));
    world.advance(ms(HOUR));
    assert_eq!(world.log.count("rejected concurrency queue_timeout"), 2);
    world.cancel(first);
    world.call(&policy, once(meets(0, OK)));
    assert_eq!(world.log.count("done success"), 1);
}
