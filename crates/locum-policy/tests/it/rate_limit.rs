//! The worked sequences of the rate limits, through whole calls.

use std::sync::atomic::{AtomicUsize, Ordering};

use locum_policy::gates::rate_limit::{Algorithm, Settings};
use locum_policy::text::Rate;
use locum_policy::{Bound, Cause, Key, Mode, Policy, policy};

use crate::world::{Case, World, at_once, bound, meets, millis, ms};

fn limited(limits: Vec<Settings>) -> policy::Settings {
    policy::Settings { rate_limit: limits, ..policy::Settings::default() }
}

fn limit(rate: &str, burst: u64) -> Settings {
    Settings { burst: Some(burst), ..Settings::new(rate.parse().unwrap()) }
}

fn leaky(rate: &str, burst: u64, free: u64) -> Settings {
    Settings { algorithm: Algorithm::LeakyBucket, free: Some(free), ..limit(rate, burst) }
}

fn once() -> Case {
    Case::new(&[meets(0, Cause::Reply)])
}

/// Calls `count` times at `at`; tells how many passed at once.
fn calls(world: &World, policy: &Bound, at: u64, count: usize) -> usize {
    let before = world.log.count("done success");
    for _ in 0..count {
        world.call_at(at, policy, once());
    }
    world.log.count("done success") - before
}

#[test]
fn a_token_bucket_refuses_what_is_over_its_burst_and_says_until_when() {
    let (world, policy) = (World::new(), bound(&limited(vec![limit("10/s", 5)])));
    assert_eq!(calls(&world, &policy, 0, 7), 5);
    assert_eq!(world.log.count("0 rejected rate_limit limited 100ms"), 2);
    assert_eq!(calls(&world, &policy, 50, 1), 0);
    assert_eq!(world.log.count("50 rejected rate_limit limited 50ms"), 1);
    assert_eq!(calls(&world, &policy, 100, 1), 1);
    assert_eq!(calls(&world, &policy, 1_000, 6), 5);
}

#[test]
fn a_leaky_bucket_of_one_free_unit_spaces_calls_evenly() {
    let (world, policy) = (World::new(), bound(&limited(vec![leaky("10/s", 21, 1)])));
    assert_eq!(calls(&world, &policy, 0, 22), 1);
    assert_eq!(world.log.count("0 rejected rate_limit limited 100ms"), 1);
    for waiting in 1..=20 {
        world.advance(ms(100 * waiting - 1));
        assert_eq!(world.log.count("done success"), waiting as usize);
        world.advance(ms(100 * waiting));
        assert_eq!(world.log.count("done success"), waiting as usize + 1);
    }
}

#[test]
fn the_free_units_of_a_leaky_bucket_do_not_wait() {
    let (world, policy) = (World::new(), bound(&limited(vec![leaky("5/s", 13, 9)])));
    assert_eq!(calls(&world, &policy, 0, 15), 9);
    for wait in ["200ms", "400ms", "600ms", "800ms"] {
        assert_eq!(world.log.count(&format!("0 delayed rate_limit {wait}")), 1);
    }
    assert_eq!(world.log.count("0 rejected rate_limit limited 200ms"), 2);
}

#[test]
fn a_turn_that_comes_too_late_is_refused_at_once() {
    let max_wait = Settings { max_wait: Some(millis(150)), ..leaky("10/s", 21, 1) };
    let (world, policy) = (World::new(), bound(&limited(vec![max_wait])));
    assert_eq!(calls(&world, &policy, 0, 3), 1);
    assert_eq!(world.log.count("0 delayed rate_limit 100ms"), 1);
    assert_eq!(world.log.count("0 rejected rate_limit limited 50ms"), 1);

    let (world, policy) = (World::new(), bound(&limited(vec![leaky("10/s", 21, 1)])));
    for _ in 0..3 {
        world.call(&policy, Case { deadline: Some(120), ..once() });
    }
    assert_eq!(world.log.count("0 rejected rate_limit limited 80ms"), 1);
}

#[test]
fn a_call_that_costs_more_than_the_burst_never_passes() {
    let (world, policy) = (World::new(), bound(&limited(vec![limit("10/s", 5)])));
    world.call(&policy, Case { cost: 6, ..once() });
    assert_eq!(world.log.lines()[0], "0 rejected rate_limit never");
    world.call(&policy, Case { cost: 5, ..once() });
    world.call(&policy, Case { cost: 0, ..once() });
    assert_eq!(world.log.count("done success"), 2, "cost 0 only looks");
    assert_eq!(world.log.remaining(), Some(0), "and sees");
    assert_eq!(calls(&world, &policy, 0, 1), 0);
}

#[test]
fn a_look_at_a_leaky_bucket_does_not_wait() {
    let (world, policy) = (World::new(), bound(&limited(vec![leaky("10/s", 5, 1)])));
    calls(&world, &policy, 0, 3);
    world.call(&policy, Case { cost: 0, ..once() });
    assert_eq!(world.log.last(), "0 done success 1 0ns");
    assert_eq!(world.log.remaining(), Some(2));
}

#[test]
fn of_several_limits_none_takes_if_one_refuses() {
    let limits = vec![limit("100/s", 2), limit("1/s", 5)];
    let (world, policy) = (World::new(), bound(&limited(limits)));
    assert_eq!(calls(&world, &policy, 0, 4), 2);
    assert_eq!(world.log.count("0 rejected rate_limit limited 10ms"), 2);
    // The second limit lost nothing to the two that the first one refused.
    assert_eq!(calls(&world, &policy, 10, 1) + calls(&world, &policy, 20, 1), 2);
    assert_eq!(calls(&world, &policy, 30, 1) + calls(&world, &policy, 40, 1), 1);
    assert_eq!(
        world.log.count("40 rejected rate_limit limited 960ms"),
        1,
        "the longest wait speaks"
    );
}

#[test]
fn of_several_limits_that_refuse_the_one_with_the_longest_wait_speaks() {
    for limits in [["1/s", "1/min", "10/s"], ["1/min", "10/s", "1/s"]] {
        let limits = limits.map(|rate| limit(rate, 1)).to_vec();
        let (world, policy) = (World::new(), bound(&limited(limits)));
        assert_eq!(calls(&world, &policy, 0, 2), 1);
        assert_eq!(world.log.count("0 rejected rate_limit limited 60s"), 1);
    }
}

#[test]
fn of_several_limits_that_refuse_for_equally_long_the_first_speaks() {
    let log =
        Settings { algorithm: Algorithm::SlidingLog, ..Settings::new("1/s".parse().unwrap()) };
    let bucket = limit("1/s", 1);
    // Wherever the limits may lie in memory.
    for _ in 0..16 {
        for (limits, detail) in [
            (vec![log.clone(), bucket.clone()], "more than 1/s"),
            (vec![bucket.clone(), log.clone()], "more than 1/s with bursts of 1"),
        ] {
            let (world, policy) = (World::new(), bound(&limited(limits)));
            assert_eq!(calls(&world, &policy, 0, 2), 1);
            assert_eq!(world.log.detail(), detail);
        }
    }
}

#[test]
fn of_several_limits_threads_take_from_all_or_from_none() {
    let policy = bound(&limited(vec![limit("1/h", 3_000), limit("1/h", 1_000)]));
    let passed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    passed
                        .fetch_add(at_once(&policy, ms(0), Cause::Reply).into(), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(passed.into_inner(), 1_000);
    let limits = policy.policy().unwrap().snapshot(ms(0)).limits;
    assert_eq!(limits.iter().map(|limit| limit.state.remaining).collect::<Vec<_>>(), [2_000, 0]);
}

#[test]
fn every_key_has_a_bucket_of_its_own() {
    let keyed = Settings { key: vec![Key::ClientIp, Key::Method], ..limit("1/s", 1) };
    let (world, policy) = (World::new(), bound(&limited(vec![keyed])));
    for client in ["a", "b", "a", "c"] {
        world.call(&policy, Case { client: client.into(), ..once() });
    }
    assert_eq!(world.log.count("done success"), 3);
    world.call(&policy, Case { client: "a".into(), method: "Arith.Add".into(), ..once() });
    assert_eq!(world.log.count("done success"), 4);
    assert_eq!(policy.policy().unwrap().snapshot(ms(0)).limits[0].keys, 4);
}

#[test]
fn beyond_max_keys_new_keys_share_one_bucket_and_idle_ones_make_room() {
    let keyed = Settings { key: vec![Key::ClientIp], max_keys: Some(100), ..limit("1/s", 1) };
    let (world, policy) = (World::new(), bound(&limited(vec![keyed])));
    for client in 0..102 {
        world.call(&policy, Case { client: client.to_string(), ..once() });
    }
    assert_eq!(world.log.count("done success"), 101, "the 102nd found the shared bucket empty");
    for client in 200..300 {
        world.call_at(1_000, &policy, Case { client: client.to_string(), ..once() });
    }
    assert_eq!(world.log.count("done success"), 201);
    assert_eq!(policy.policy().unwrap().snapshot(ms(1_000)).limits[0].keys, 100);
}

#[test]
fn a_limit_in_shadow_refuses_nothing_and_says_what_it_would_have_refused() {
    let shadow = |limit| Settings { mode: Some(Mode::Shadow), ..limit };
    let limits = vec![shadow(limit("1/s", 1)), shadow(leaky("1/s", 5, 1)), limit("10/s", 3)];
    let (world, policy) = (World::new(), bound(&limited(limits)));
    assert_eq!(calls(&world, &policy, 0, 4), 3);
    assert_eq!(world.log.count("would_reject rate_limit limited"), 2, "it did not see the fourth");
    assert_eq!(world.log.count("delayed"), 0);
}

#[test]
fn a_reload_keeps_the_buckets_of_the_limits_that_did_not_change() {
    let world = World::new();
    let old = Policy::build("test", &limited(vec![limit("1/s", 1)]), 1, None).unwrap();
    assert_eq!(calls(&world, &old.bind("up"), 0, 1), 1);
    let reload =
        |settings| Policy::build("test", &limited(settings), 1, Some(&old)).unwrap().bind("up");
    let moved = vec![limit("10/s", 9), limit("1/s", 1)];
    assert_eq!(calls(&world, &reload(moved), 0, 1), 0);
    assert_eq!(
        calls(&world, &reload(vec![limit("1/s", 2)]), 0, 1),
        1,
        "another burst, another bucket"
    );
}

#[test]
fn an_awkward_rate_is_exact_as_well() {
    let rate = Rate::per_second(7_777).unwrap();
    let (world, policy) = (World::new(), bound(&limited(vec![Settings::new(rate)])));
    assert_eq!(calls(&world, &policy, 0, 7_800), 7_777);
    assert_eq!(calls(&world, &policy, 1_000, 7_800), 7_777);
}
