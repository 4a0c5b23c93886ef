//! The cap on calls in flight and its queue.

use locum_policy::gates::concurrency::Settings;
use locum_policy::{Bound, Cause, Mode, policy};
use proptest::prelude::*;

use crate::world::{Case, World, bound, hangs, meets, millis, ms};

fn capped(concurrency: Settings) -> Bound {
    bound(&policy::Settings { concurrency: Some(concurrency), ..policy::Settings::default() })
}

fn load(policy: &Bound) -> (u32, u32) {
    let concurrency = policy.policy().unwrap().snapshot(ms(0)).concurrency.unwrap();
    (concurrency.in_flight, concurrency.waiting)
}

fn takes(took: u64) -> Case {
    Case::new(&[meets(took, Cause::Reply)])
}

#[test]
fn beyond_the_cap_and_the_queue_calls_are_refused() {
    let (world, policy) = (World::new(), capped(Settings { queue: 1, ..Settings::new(2) }));
    for _ in 0..4 {
        world.call(&policy, takes(100));
    }
    assert_eq!(world.log.count("attempt"), 2);
    assert_eq!(world.log.count("0 rejected concurrency overloaded"), 1);
    assert_eq!(world.log.detail(), "2 calls are in flight and 1 wait");
    assert_eq!(load(&policy), (2, 1));
    world.advance(ms(1_000));
    assert_eq!(world.log.count("100 delayed concurrency 100ms"), 1);
    assert_eq!(world.log.count("200 done success"), 1);
    assert_eq!(load(&policy), (0, 0));
}

#[test]
fn who_came_first_goes_first() {
    let (world, policy) = (World::new(), capped(Settings { queue: 10, ..Settings::new(1) }));
    world.call(&policy, takes(30));
    for (at, name) in [(1, "first"), (2, "second"), (3, "third")] {
        world.call_at(at, &policy, Case { endpoints: vec![(name, None)], ..takes(30) });
    }
    world.advance(ms(1_000));
    let order: Vec<_> =
        world.log.lines().into_iter().filter(|line| line.contains("attempt")).skip(1).collect();
    assert_eq!(
        order,
        ["30 attempt 1 first first", "60 attempt 1 first second", "90 attempt 1 first third"]
    );
}

#[test]
fn nobody_overtakes_the_queue() {
    let (world, policy) = (World::new(), capped(Settings { queue: 10, ..Settings::new(1) }));
    let first = world.call(&policy, takes(100));
    world.call(&policy, Case { endpoints: vec![("waiting", None)], ..takes(100) });
    world.cancel(first);
    world.call(&policy, Case { endpoints: vec![("late", None)], ..takes(100) });
    assert_eq!(world.log.last(), "0 attempt 1 first waiting");
    assert_eq!(load(&policy), (1, 1));
}

#[test]
fn a_wait_ends_with_its_patience() {
    let settings = Settings { queue: 1, queue_timeout: Some(millis(50)), ..Settings::new(1) };
    let (world, policy) = (World::new(), capped(settings));
    world.call(&policy, Case::new(&[hangs()]));
    world.call(&policy, takes(0));
    world.advance(ms(49));
    assert_eq!(world.log.count("rejected"), 0);
    world.advance(ms(50));
    assert_eq!(world.log.count("50 rejected concurrency queue_timeout"), 1);
    assert_eq!(load(&policy), (1, 0));
}

#[test]
fn a_wait_ends_with_the_calls_time() {
    let settings = Settings { queue: 1, queue_timeout: Some(millis(50)), ..Settings::new(1) };
    let (world, policy) = (World::new(), capped(settings));
    world.call(&policy, Case::new(&[hangs()]));
    world.call(&policy, Case { deadline: Some(40), ..takes(0) });
    world.advance(ms(1_000));
    assert_eq!(world.log.last(), "40 done deadline 0 40ms");
    assert_eq!(load(&policy), (1, 0));
}

#[test]
fn who_gives_up_waiting_leaves_no_trace() {
    let (world, policy) = (World::new(), capped(Settings { queue: 2, ..Settings::new(1) }));
    world.call(&policy, takes(100));
    let gone = world.call(&policy, takes(100));
    world.call(&policy, Case { endpoints: vec![("stays", None)], ..takes(100) });
    world.advance(ms(50));
    world.cancel(gone);
    assert_eq!(load(&policy), (1, 1));
    world.advance(ms(1_000));
    assert_eq!(world.log.count("100 attempt 1 first stays"), 1);
    assert_eq!(load(&policy), (0, 0));
}

#[test]
fn a_body_keeps_its_place_until_it_ends() {
    let policy = capped(Settings::new(1));
    let world = World::new();
    world.call(&policy, Case { body: 100, ..takes(10) });
    world.call_at(50, &policy, takes(0));
    assert_eq!(world.log.count("50 rejected concurrency overloaded"), 1);
    world.call_at(110, &policy, takes(0));
    assert_eq!(world.log.count("110 done success 1 0ns"), 1);
}

#[test]
fn in_shadow_everybody_passes_and_the_queue_is_imagined() {
    let settings = Settings {
        mode: Some(Mode::Shadow),
        queue: 1,
        queue_timeout: Some(millis(50)),
        ..Settings::new(1)
    };
    let (world, policy) = (World::new(), capped(settings));
    for _ in 0..3 {
        world.call(&policy, takes(100));
    }
    assert_eq!(world.log.count("attempt"), 3);
    assert_eq!(world.log.count("0 would_reject concurrency overloaded"), 1);
    assert_eq!(load(&policy), (1, 1));
    world.call_at(60, &policy, takes(100));
    assert_eq!(load(&policy), (1, 1), "the one that waited for 50 ms has left the queue");
    world.advance(ms(1_000));
    assert_eq!(world.log.count("100 would_reject concurrency queue_timeout"), 1);
    assert_eq!(world.log.count("would_reject"), 2);
    assert_eq!(load(&policy), (0, 0));
}

#[test]
fn an_adaptive_cap_learns_from_answers_and_overload_and_from_nothing_else() {
    for (cause, limit) in [
        // The round goes by the formula, and then a probe lets in half.
        (Cause::Reply, 10),
        (Cause::Status(503), 9),
        (Cause::Status(429), 9),
        (Cause::Status(404), 20),
        (Cause::Status(500), 20),
        (Cause::Connect, 20),
    ] {
        let (world, policy) = (World::new(), capped(Settings::adaptive()));
        for _ in 0..20 {
            world.call(&policy, Case::new(&[meets(100, cause)]));
        }
        world.advance(ms(100));
        let concurrency = policy.policy().unwrap().snapshot(ms(100)).concurrency.unwrap();
        assert_eq!(concurrency.limit, limit, "{cause:?}");
    }
}

proptest! {
    /// However calls come, end, wait and give up: never more in flight than allowed, nobody waits
    /// beside a free place, and in the end nothing is left.
    #[test]
    fn places_are_neither_lost_nor_made(
        max in 1_u32..4,
        queue in 0_u32..5,
        steps in prop::collection::vec((0_u64..40, 0_u64..60, prop::option::weighted(0.3, 0_usize..40)), 1..60),
    ) {
        let (world, policy) = (World::new(), capped(Settings { queue, ..Settings::new(max) }));
        let mut now = 0;
        let mut calls = Vec::new();
        for (pause, took, cancel) in steps {
            now += pause;
            calls.push(world.call_at(now, &policy, takes(took)));
            if let Some(cancel) = cancel.filter(|cancel| *cancel < calls.len()) {
                world.cancel(calls[cancel]);
            }
            let (in_flight, waiting) = load(&policy);
            prop_assert!(in_flight <= max && waiting <= queue);
            prop_assert!(waiting == 0 || in_flight == max, "{in_flight} in flight and {waiting} wait");
        }
        world.advance(ms(now + 100_000));
        prop_assert_eq!(load(&policy), (0, 0));
        prop_assert_eq!(world.log.count("done"), calls.len());
    }
}
