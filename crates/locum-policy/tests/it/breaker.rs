//! The worked sequences of the breaker, through whole calls. Jitter is 0, the rest are the defaults.

use std::sync::atomic::{AtomicUsize, Ordering};

use locum_policy::gates::breaker::{
    HalfOpen, Override, Per, Settings, Slow, Snapshot, State, Window,
};
use locum_policy::gates::concurrency;
use locum_policy::{Bound, Cause, Policy, Time, policy};

use crate::world::{Case, Meets, World, at_once, bound, hangs, meets, millis, ms};

const OK: Cause = Cause::Status(200);
const FAILURE: Cause = Cause::Status(500);

fn settings() -> Settings {
    Settings { jitter: 0.0, ..Settings::default() }
}

fn guarded(breaker: Settings) -> policy::Settings {
    policy::Settings { breaker: Some(breaker), ..policy::Settings::default() }
}

fn once(meets: Meets) -> Case {
    Case::new(&[meets])
}

fn snapshot(policy: &Bound, now: u64) -> Snapshot {
    policy.policy().unwrap().snapshot(ms(now)).breakers.remove(0)
}

/// S1 up to and including the failure at 1900.
fn tripped(world: &World, policy: &Bound) {
    for at in 0..10 {
        world.call_at(100 * at, policy, once(meets(0, OK)));
    }
    for at in 10..20 {
        world.call_at(100 * at, policy, once(meets(0, FAILURE)));
    }
}

/// S1 to S4: open until 17100.
fn reopened(world: &World, policy: &Bound) {
    tripped(world, policy);
    world.call_at(6_950, policy, once(meets(50, OK)));
    world.call_at(7_050, policy, once(meets(50, FAILURE)));
    world.advance(ms(7_100));
}

#[test]
fn s1_it_trips_at_the_tenth_failure_of_twenty_calls() {
    let (world, policy) = (World::new(), bound(&guarded(settings())));
    tripped(&world, &policy);
    assert_eq!(world.log.count("state up closed open failure_rate"), 1);
    let breaker = snapshot(&policy, 1_900);
    assert_eq!((breaker.state, breaker.until, breaker.trips), (State::Open, Some(ms(6_900)), 1));
}

#[test]
fn s1_with_one_failure_fewer_it_does_not_trip() {
    let (world, policy) = (World::new(), bound(&guarded(settings())));
    for at in 0..19 {
        let cause = if at < 10 { OK } else { FAILURE };
        world.call_at(100 * at, &policy, once(meets(0, cause)));
    }
    let breaker = snapshot(&policy, 1_900);
    assert_eq!((breaker.state, breaker.calls, breaker.failures), (State::Closed, 19, 9));
}

#[test]
fn s1_a_refusal_says_why_and_until_when() {
    let (world, policy) = (World::new(), bound(&guarded(settings())));
    tripped(&world, &policy);
    world.call_at(2_700, &policy, once(meets(0, OK)));
    assert_eq!(world.log.lines()[world.log.lines().len() - 2], "2700 rejected breaker open 4.2s");
    assert_eq!(world.log.detail(), "10 of 20 calls failed in 10 s");
}

#[test]
fn s2_one_probe_passes_when_the_wait_is_over() {
    let (world, policy) = (World::new(), bound(&guarded(settings())));
    tripped(&world, &policy);
    world.call_at(6_899, &policy, once(meets(50, OK)));
    assert_eq!(world.log.count("6899 rejected breaker open 1ms"), 1);
    for _ in 0..1_000 {
        world.call_at(6_900, &policy, once(meets(50, OK)));
    }
    assert_eq!(world.log.count("6900 attempt"), 1);
    assert_eq!(world.log.count("6900 rejected breaker half_open_busy 5s"), 999);
}

#[test]
fn s3_a_late_success_from_before_the_trip_changes_nothing() {
    let (world, policy) = (World::new(), bound(&guarded(settings())));
    world.call(&policy, once(meets(6_950, OK)));
    tripped(&world, &policy);
    world.call_at(6_900, &policy, once(hangs()));
    world.advance(ms(6_950));
    assert_eq!(world.log.count("6950 settled Success stale"), 1);
    assert_eq!(snapshot(&policy, 6_950).state, State::HalfOpen);
}

#[test]
fn what_was_admitted_before_a_trip_does_not_count_after_the_recovery() {
    let (world, policy) = (World::new(), bound(&guarded(settings())));
    world.call(&policy, once(meets(6_950, OK)));
    world.call(&policy, once(meets(8_000, OK)));
    tripped(&world, &policy);
    for at in [6_900, 6_910, 6_920] {
        world.call_at(at, &policy, once(meets(0, OK)));
    }
    // One ends in the bucket in which it closed, the other in a later one.
    world.advance(ms(8_000));
    assert_eq!(world.log.count("6950 settled Success stale"), 1);
    assert_eq!(world.log.count("8000 settled Success stale"), 1);
    assert_eq!(snapshot(&policy, 8_000).calls, 0);
}

#[test]
fn s4_a_failed_probe_opens_it_for_twice_as_long() {
    let (world, policy) = (World::new(), bound(&guarded(settings())));
    reopened(&world, &policy);
    assert_eq!(world.log.count("7100 state up half_open open probe_failed"), 1);
    world.call_at(17_099, &policy, once(meets(0, OK)));
    assert_eq!(world.log.count("17099 rejected breaker open 1ms"), 1);
    world.call_at(17_100, &policy, once(hangs()));
    assert_eq!(world.log.count("17100 attempt"), 1);
}

#[test]
fn s5_a_probe_that_never_settles_is_lost_when_its_lease_ends() {
    let (world, policy) = (World::new(), bound(&guarded(settings())));
    reopened(&world, &policy);
    let mut probe_at = 17_100;
    for wait in [20_000, 40_000, 60_000, 60_000] {
        world.call_at(probe_at, &policy, once(hangs()));
        let lost = probe_at + 10_000;
        world.call_at(lost, &policy, once(meets(0, OK)));
        assert_eq!(world.log.count(&format!("{lost} state up half_open open probe_lost")), 1);
        assert_eq!(snapshot(&policy, lost).until, Some(ms(lost + wait)));
        probe_at = lost + wait;
    }
}

#[test]
fn a_probe_whose_own_time_ends_before_its_lease_settles_by_what_that_means() {
    let breaker = Settings { window: Window::Last(10), min_calls: 1, ..settings() };
    let settings = policy::Settings { attempt_timeout: Some(millis(1_000)), ..guarded(breaker) };
    let (world, policy) = (World::new(), bound(&settings));
    world.call(&policy, once(meets(0, FAILURE)));
    // Its caller does not wait long enough to say anything about the peer.
    world.call_at(5_000, &policy, Case { deadline: Some(200), ..once(hangs()) });
    world.advance(ms(5_999));
    assert_eq!(world.log.count("5195 settled Ignored"), 1);
    assert_eq!(snapshot(&policy, 5_999).state, State::HalfOpen);
    world.call_at(6_000, &policy, once(hangs()));
    world.advance(ms(7_000));
    assert_eq!(world.log.last(), "7000 done failure 1 1s");
    assert_eq!(world.log.count("7000 settled Failure"), 1);
    assert_eq!(world.log.count("7000 state up half_open open probe_failed"), 1);
    assert_eq!(world.log.count("stale"), 0);
}

#[test]
fn s5_a_lost_probe_is_noticed_by_the_clock_and_dated_when_it_was_lost() {
    let (world, policy) = (World::new(), bound(&guarded(settings())));
    reopened(&world, &policy);
    world.call_at(17_100, &policy, once(hangs()));
    assert_eq!(policy.policy().unwrap().due(), Some(ms(27_100)));
    world.advance(ms(30_000));
    policy.policy().unwrap().tick(ms(30_000), &world.log);
    assert_eq!(world.log.last(), "27100 state up half_open open probe_lost");
    assert_eq!(snapshot(&policy, 30_000).until, Some(ms(47_100)));
    assert_eq!(policy.policy().unwrap().due(), None);
}

#[test]
fn s6_a_cancelled_probe_gives_its_slot_back_and_three_good_ones_close_it() {
    let (world, policy) = (World::new(), bound(&guarded(settings())));
    reopened(&world, &policy);
    world.call_at(17_100, &policy, once(hangs()));
    world.call_at(27_100, &policy, once(meets(0, OK)));
    let probe = world.call_at(47_100, &policy, once(hangs()));
    world.advance(ms(47_200));
    world.cancel(probe);
    assert_eq!(world.log.count("47200 settled Ignored"), 1);
    assert_eq!(world.log.count("47200 done cancelled 1 100ms"), 1);
    for at in [47_300, 47_400, 47_500] {
        world.call_at(at, &policy, once(meets(50, OK)));
    }
    world.advance(ms(48_000));
    assert_eq!(world.log.count("47550 state up half_open closed recovered"), 1);
    assert_eq!(snapshot(&policy, 48_000).state, State::Closed);
}

#[test]
fn who_watches_it_sees_whether_there_is_a_place_for_a_probe() {
    let (world, policy) = (World::new(), bound(&guarded(settings())));
    let watch = policy.policy().unwrap().watch("up", &[Per::Upstream]).unwrap();
    tripped(&world, &policy);
    let seen = |at| (watch.is_ejected(ms(at)), watch.is_busy(ms(at)));
    assert_eq!(seen(6_899), (true, false));
    assert_eq!(seen(6_900), (false, false), "a probe may come");
    let probe = world.call_at(6_900, &policy, once(hangs()));
    world.advance(ms(7_000));
    assert_eq!(seen(7_000), (false, true));
    world.cancel(probe);
    assert_eq!(seen(7_000), (false, false), "its place is free again");
    world.call_at(7_100, &policy, once(hangs()));
    world.advance(ms(7_200));
    assert_eq!((seen(17_099), seen(17_100)), ((false, true), (false, false)), "its lease ends");
}

#[test]
fn s7_a_failure_counts_until_its_bucket_is_a_window_old() {
    for (last, trips) in [(9_999, 1), (10_000, 0)] {
        let (world, policy) = (World::new(), bound(&guarded(settings())));
        for _ in 0..19 {
            world.call_at(500, &policy, once(meets(0, FAILURE)));
        }
        world.call_at(last, &policy, once(meets(0, FAILURE)));
        assert_eq!(world.log.count("closed open failure_rate"), trips, "{last}");
        if trips == 0 {
            assert_eq!(snapshot(&policy, last).calls, 1);
        }
    }
}

#[test]
fn s8_what_another_gate_refuses_is_not_counted() {
    let settings = policy::Settings {
        concurrency: Some(concurrency::Settings::new(1)),
        ..guarded(settings())
    };
    let (world, policy) = (World::new(), bound(&settings));
    world.call(&policy, once(hangs()));
    for _ in 0..100 {
        world.call(&policy, once(meets(0, OK)));
    }
    assert_eq!(world.log.count("rejected concurrency overloaded"), 100);
    assert_eq!(snapshot(&policy, 0).calls, 0);
}

#[test]
fn s9_hangs_within_a_fair_time_trip_it() {
    let settings = policy::Settings { attempt_timeout: Some(millis(1_000)), ..guarded(settings()) };
    let (world, policy) = (World::new(), bound(&settings));
    for _ in 0..20 {
        world.call(&policy, Case { deadline: Some(2_000), ..once(hangs()) });
    }
    world.advance(ms(1_000));
    assert_eq!(world.log.count("1000 settled Failure"), 20);
    assert_eq!(snapshot(&policy, 1_000).state, State::Open);
}

#[test]
fn s9_hangs_that_had_too_little_time_are_ignored() {
    let settings = policy::Settings { attempt_timeout: Some(millis(1_000)), ..guarded(settings()) };
    let (world, policy) = (World::new(), bound(&settings));
    for _ in 0..20 {
        world.call(&policy, Case { deadline: Some(50), ..once(hangs()) });
    }
    world.advance(ms(1_000));
    assert_eq!(world.log.count("45 settled Ignored"), 20);
    assert_eq!(snapshot(&policy, 1_000).calls, 0);
}

#[test]
fn s10_calls_that_hang_trip_it_before_any_ends() {
    let slow = Some(Slow::over(millis(200)));
    let (world, policy) = (World::new(), bound(&guarded(Settings { slow, ..settings() })));
    for _ in 0..20 {
        world.call(&policy, once(hangs()));
    }
    world.call_at(200, &policy, once(hangs()));
    assert_eq!(snapshot(&policy, 200).state, State::Closed);
    world.call_at(201, &policy, once(hangs()));
    assert_eq!(world.log.count("201 state up closed open slow_rate"), 1);
    assert_eq!(world.log.count("201 rejected breaker open 5s"), 1);
    assert_eq!(world.log.detail(), "20 of 20 calls took longer than 200 ms in 10 s");
}

#[test]
fn s11_a_window_of_calls_forgets_a_million_successes() {
    let window = Window::Last(100);
    let policy = bound(&guarded(Settings { window, ..settings() }));
    for _ in 0..1_000_000 {
        at_once(&policy, Time::ZERO, OK);
    }
    for _ in 0..49 {
        at_once(&policy, Time::ZERO, FAILURE);
    }
    assert_eq!(snapshot(&policy, 0).state, State::Closed);
    at_once(&policy, Time::ZERO, FAILURE);
    assert_eq!(snapshot(&policy, 0).state, State::Open);
}

#[test]
fn a_window_of_fewer_calls_than_it_takes_never_trips_by_its_share() {
    let breaker =
        Settings { window: Window::Last(10), min_calls: 11, consecutive: Some(30), ..settings() };
    let (world, policy) = (World::new(), bound(&guarded(breaker)));
    for _ in 0..29 {
        world.call(&policy, once(meets(0, FAILURE)));
    }
    assert_eq!(snapshot(&policy, 0).state, State::Closed);
    world.call(&policy, once(meets(0, FAILURE)));
    assert_eq!(world.log.count("state up closed open consecutive"), 1);
}

#[test]
fn threads_lose_no_outcome() {
    for window in [Window::Time(millis(10_000)), Window::Last(1_000_000)] {
        let breaker = Settings { window, min_calls: 1_000_000, ..settings() };
        let policy = bound(&guarded(breaker));
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let policy = policy.clone();
                scope.spawn(move || {
                    for call in 0..5_000 {
                        let cause = if call % 50 == thread { FAILURE } else { OK };
                        at_once(&policy, ms(call / 10), cause);
                    }
                });
            }
        });
        let breaker = snapshot(&policy, 500);
        assert_eq!((breaker.calls, breaker.failures), (20_000, 400), "{window:?}");
    }
}

#[test]
fn of_many_threads_one_probes() {
    let breaker = Settings { consecutive: Some(1), ..settings() };
    for _ in 0..50 {
        let policy = bound(&guarded(breaker.clone()));
        at_once(&policy, Time::ZERO, FAILURE);
        let passed = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                // A failed probe opens it again, so that nobody probes after it.
                scope.spawn(|| {
                    if at_once(&policy, ms(5_000), FAILURE) {
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), 1);
    }
}

#[test]
fn a_run_of_failures_trips_it_whatever_their_share() {
    let consecutive = Some(3);
    let (world, policy) = (World::new(), bound(&guarded(Settings { consecutive, ..settings() })));
    for cause in [OK, FAILURE, FAILURE, OK, FAILURE, Cause::Status(404), FAILURE] {
        world.call(&policy, once(meets(0, cause)));
    }
    assert_eq!(snapshot(&policy, 0).state, State::Closed);
    world.call(&policy, once(meets(0, FAILURE)));
    assert_eq!(world.log.count("closed open consecutive"), 1);
}

#[test]
fn an_overload_counts_for_the_rate_only_and_only_if_wanted() {
    for (count_overload, failures) in [(false, 0), (true, 5)] {
        let breaker = Settings { count_overload, consecutive: Some(3), ..settings() };
        let (world, policy) = (World::new(), bound(&guarded(breaker)));
        for _ in 0..5 {
            world.call(&policy, once(meets(0, Cause::Status(429))));
        }
        let breaker = snapshot(&policy, 0);
        assert_eq!((breaker.state, breaker.failures), (State::Closed, failures));
    }
}

#[test]
fn a_slow_probe_is_a_failure() {
    let slow = Some(Slow { in_flight: false, ..Slow::over(millis(200)) });
    let (world, policy) = (World::new(), bound(&guarded(Settings { slow, ..settings() })));
    tripped(&world, &policy);
    world.call_at(6_900, &policy, once(meets(201, OK)));
    world.advance(ms(8_000));
    assert_eq!(world.log.count("7101 state up half_open open probe_failed"), 1);
}

#[test]
fn after_a_calm_stretch_the_first_wait_is_the_first_again() {
    for (calm, wait) in [(1_080, 5_000), (1_081, 10_000)] {
        let breaker = Settings { calm: millis(calm), ..settings() };
        let (world, policy) = (World::new(), bound(&guarded(breaker)));
        tripped(&world, &policy);
        for at in [6_900, 6_910, 6_920] {
            world.call_at(at, &policy, once(meets(0, OK)));
        }
        assert_eq!(snapshot(&policy, 6_920).state, State::Closed);
        for _ in 0..20 {
            world.call_at(8_000, &policy, once(meets(0, FAILURE)));
        }
        assert_eq!(snapshot(&policy, 8_000).until, Some(ms(8_000 + wait)), "calm {calm}");
    }
}

#[test]
fn over_the_ramp_the_share_that_passes_grows() {
    let breaker = Settings { ramp: millis(10_000), ..settings() };
    let (world, policy) = (World::new(), bound(&guarded(breaker)));
    tripped(&world, &policy);
    for at in [6_900, 6_910, 6_920] {
        world.call_at(at, &policy, once(meets(0, OK)));
    }
    assert_eq!(world.log.count("state up half_open ramp recovered"), 1);
    let mut passed = Vec::new();
    for at in [7_000, 11_920, 15_920] {
        world.log.clear();
        for seed in 0..1_000 {
            world.call_at(at, &policy, Case { seed, ..once(meets(0, OK)) });
        }
        assert_eq!(world.log.count("attempt") + world.log.count("rejected breaker ramp"), 1_000);
        passed.push(world.log.count("attempt"));
    }
    for (passed, expected) in passed.iter().zip([100, 500, 900]) {
        assert!(passed.abs_diff(expected) < 60, "{passed} of 1000, expected about {expected}");
    }
    world.call_at(16_920, &policy, once(meets(0, OK)));
    assert_eq!(world.log.count("16920 state up ramp closed ramped"), 1);
    assert_eq!(snapshot(&policy, 16_920).calls, 1, "closed, it begins afresh");
}

#[test]
fn a_trip_on_the_ramp_counts_as_a_reopening() {
    let breaker = Settings { ramp: millis(10_000), calm: millis(0), ..settings() };
    let (world, policy) = (World::new(), bound(&guarded(breaker)));
    tripped(&world, &policy);
    for at in [6_900, 6_910, 6_920] {
        world.call_at(at, &policy, once(meets(0, OK)));
    }
    for seed in 0..200 {
        world.call_at(15_000, &policy, Case { seed, ..once(meets(0, FAILURE)) });
    }
    assert_eq!(snapshot(&policy, 15_000).until, Some(ms(25_000)));
}

#[test]
fn forced_open_it_refuses_and_learns_nothing() {
    let (world, policy) = (World::new(), bound(&guarded(settings())));
    policy.policy().unwrap().force(None, Some(Override::ForceOpen), ms(1_000), Time::ZERO);
    world.call(&policy, once(meets(0, FAILURE)));
    assert_eq!(world.log.count("0 rejected breaker open 1s"), 1);
    assert_eq!(snapshot(&policy, 0).calls, 0);
    world.call_at(1_000, &policy, once(meets(0, OK)));
    assert_eq!(world.log.count("1000 done success"), 1);
}

#[test]
fn forced_closed_it_admits_and_the_machine_goes_on_beneath() {
    let (world, policy) = (World::new(), bound(&guarded(settings())));
    let closed = Some(Override::ForceClosed);
    assert!(policy.policy().unwrap().force(Some("up"), closed, Time::NEVER, Time::ZERO));
    tripped(&world, &policy);
    assert_eq!(snapshot(&policy, 1_900).state, State::Open);
    world.call_at(2_000, &policy, once(meets(0, OK)));
    assert_eq!(world.log.count("2000 done success"), 1);
    policy.policy().unwrap().force(None, None, Time::NEVER, ms(2_000));
    world.call(&policy, once(meets(0, OK)));
    assert_eq!(world.log.count("2000 rejected breaker open 4.9s"), 1);
}

#[test]
fn an_open_endpoint_is_passed_over_until_none_is_left() {
    let breaker = Settings { per: Per::Endpoint, consecutive: Some(1), ..settings() };
    let (world, policy) = (World::new(), bound(&guarded(breaker)));
    let case = |cause| Case { endpoints: vec![("a", None), ("b", None)], ..once(meets(0, cause)) };
    world.call(&policy, case(FAILURE));
    assert_eq!(world.log.count("state a closed open consecutive"), 1);
    world.log.clear();
    world.call(&policy, case(FAILURE));
    assert_eq!(world.log.lines()[0], "0 skipped a open");
    assert_eq!(world.log.count("attempt 1 first b"), 1);
    world.log.clear();
    world.call(&policy, case(OK));
    assert_eq!(world.log.count("rejected breaker open 5s"), 1);
    assert_eq!(world.log.count("attempt"), 0);
}

#[test]
fn every_method_has_a_breaker_of_its_own() {
    let breaker = Settings { per: Per::Method, consecutive: Some(1), ..settings() };
    let (world, policy) = (World::new(), bound(&guarded(breaker)));
    world.call(&policy, Case { method: "Arith.Divide".into(), ..once(meets(0, FAILURE)) });
    world.call(&policy, Case { method: "Arith.Multiply".into(), ..once(meets(0, OK)) });
    world.call(&policy, Case { method: "Arith.Divide".into(), ..once(meets(0, OK)) });
    assert_eq!(world.log.count("done success"), 1);
    assert_eq!(world.log.count("rejected breaker open"), 1);
}

#[test]
fn in_shadow_it_goes_through_the_motions_and_touches_nothing() {
    let breaker = Settings { mode: Some(policy::Mode::Shadow), ..settings() };
    let (world, policy) = (World::new(), bound(&guarded(breaker)));
    tripped(&world, &policy);
    world.call_at(2_000, &policy, once(meets(0, OK)));
    assert_eq!(world.log.count("2000 would_reject breaker open 4.9s"), 1);
    assert_eq!(world.log.count("2000 done success"), 1);
}

#[test]
fn a_reload_keeps_the_state_and_takes_the_new_numbers() {
    let world = World::new();
    let old = Policy::build("test", &guarded(settings()), 1, None).unwrap();
    tripped(&world, &old.bind("up"));
    let half_open = HalfOpen { required: 1, ..HalfOpen::default() };
    let breaker = Settings { half_open, ..settings() };
    let new = Policy::build("test", &guarded(breaker), 1, Some(&old)).unwrap().bind("up");
    assert_eq!(snapshot(&new, 1_900).until, Some(ms(6_900)));
    world.call_at(6_900, &new, once(meets(0, OK)));
    assert_eq!(world.log.count("6900 state up half_open closed recovered"), 1);
}

#[test]
fn a_reload_that_reshapes_the_window_restarts_the_window_only() {
    let world = World::new();
    let old = Policy::build("test", &guarded(settings()), 1, None).unwrap();
    for _ in 0..19 {
        world.call(&old.bind("up"), once(meets(0, FAILURE)));
    }
    let breaker = Settings { window: Window::Last(20), ..settings() };
    let new = Policy::build("test", &guarded(breaker), 1, Some(&old)).unwrap().bind("up");
    assert_eq!(snapshot(&new, 0).failures, 19, "a version that may be thrown away changes nothing");
    world.call(&new, once(meets(0, FAILURE)));
    let breaker = snapshot(&new, 0);
    assert_eq!((breaker.state, breaker.failures), (State::Closed, 1));
}

#[test]
fn beyond_ten_thousand_targets_new_ones_share_a_breaker_and_idle_ones_make_room() {
    let breaker = Settings { per: Per::Method, min_calls: 1_000, ..settings() };
    let (world, policy) = (World::new(), bound(&guarded(breaker)));
    let call_all = |at, names: std::ops::Range<u32>| {
        for name in names {
            let method = format!("S.{name}");
            world.call_at(at, &policy, Case { method, ..once(meets(0, OK)) });
        }
    };
    world.call(&policy, Case { method: "S.held".into(), ..once(hangs()) });
    call_all(0, 0..10_004);
    let breakers = policy.policy().unwrap().snapshot(ms(0)).breakers;
    assert_eq!(breakers.len(), 10_001);
    let other = breakers.iter().find(|breaker| &*breaker.target == "_other").unwrap();
    assert_eq!(other.calls, 5);
    call_all(20_000, 20_000..20_003);
    let breakers = policy.policy().unwrap().snapshot(ms(20_000)).breakers;
    assert_eq!(breakers.len(), 4, "three new ones and the one whose call is in flight");
}

#[test]
fn names_that_nobody_would_give_share_a_breaker() {
    let breaker = Settings { per: Per::Method, min_calls: 1_000, ..settings() };
    let (world, policy) = (World::new(), bound(&guarded(breaker)));
    let longest = "m".repeat(256);
    for method in [longest.clone(), "a".repeat(257), "b".repeat(1 << 20)] {
        world.call(&policy, Case { method, ..once(meets(0, OK)) });
    }
    let breakers = policy.policy().unwrap().snapshot(ms(0)).breakers;
    let counted: Vec<_> = breakers.iter().map(|it| (&*it.target, it.calls)).collect();
    assert_eq!(counted, [("_other", 2), (&*longest, 1)]);
}
