//! The order of things around a call.

use locum_policy::gates::{breaker, concurrency, retry};
use locum_policy::{
    Attempt, Bound, Call, Cause, Clock, Ended, Endpoint, Exchange, Policy, Settings, Time, run,
};

use crate::world::{Case, World, bound, hangs, meets, millis, ms};

#[test]
fn a_call_without_a_policy_is_one_attempt() {
    let world = World::new();
    world.call(&Bound::open(), Case::new(&[meets(50, Cause::Reply)]));
    world.advance(ms(100));
    assert_eq!(world.log.lines(), ["0 attempt 1 first a", "50 done success 1 50ms"]);
}

#[test]
fn a_call_ends_when_its_time_is_over() {
    let world = World::new();
    world.call(
        &bound(&Settings { timeout: Some(millis(100)), ..Settings::default() }),
        Case::new(&[hangs()]),
    );
    world.advance(ms(1_000));
    assert_eq!(world.log.lines(), ["0 attempt 1 first a", "95 done deadline 1 95ms"]);
}

#[test]
fn a_failed_attempt_is_tried_again_elsewhere() {
    let world = World::new();
    let settings = Settings { retry: Some(Default::default()), ..Settings::default() };
    let mut case = Case::new(&[meets(10, Cause::Status(503)), meets(10, Cause::Status(200))]);
    case.endpoints.push(("b", None));
    world.call(&bound(&settings), case);
    world.advance(ms(1_000));
    let lines = world.log.lines();
    assert_eq!(lines[0], "0 attempt 1 first a");
    assert!(lines[1].starts_with("10 delayed retry"), "{lines:?}");
    assert!(lines[2].ends_with("attempt 2 retry b"), "{lines:?}");
    assert!(lines[3].contains("done success 2"), "{lines:?}");
}

#[test]
fn a_call_without_an_endpoint_is_unavailable() {
    let (world, policy) = (
        World::new(),
        bound(&Settings { breaker: Some(Default::default()), ..Settings::default() }),
    );
    world.call(&policy, Case { endpoints: vec![], ..Case::new(&[hangs()]) });
    let lines = world.log.lines();
    assert_eq!(lines, ["0 admitted breaker", "0 settled Ignored", "0 done failure 0 0ns"]);
}

#[test]
fn an_endpoints_own_policy_turns_attempts_away_to_another() {
    let guard =
        Settings { concurrency: Some(concurrency::Settings::new(1)), ..Settings::default() };
    let guard = Policy::build("guard", &guard, 1, None).unwrap();
    let endpoints = vec![("a", Some(guard.bind("a"))), ("b", None)];
    let (world, policy) = (
        World::new(),
        bound(&Settings { breaker: Some(Default::default()), ..Settings::default() }),
    );
    for _ in 0..2 {
        world.call(
            &policy,
            Case { endpoints: endpoints.clone(), ..Case::new(&[meets(100, Cause::Reply)]) },
        );
    }
    let lines = world.log.lines();
    assert_eq!(lines[..3], ["0 admitted breaker", "0 admitted concurrency", "0 attempt 1 first a"]);
    assert_eq!(lines[3..], ["0 admitted breaker", "0 skipped a overloaded", "0 attempt 1 first b"]);
    world.advance(ms(1_000));
    assert_eq!(guard.snapshot(ms(1_000)).concurrency.unwrap().in_flight, 0);
    assert_eq!(world.log.count("settled Success"), 2);
}

#[test]
fn refused_by_every_endpoint_a_call_is_refused_once() {
    let guard =
        Settings { concurrency: Some(concurrency::Settings::new(1)), ..Settings::default() };
    let guard = Policy::build("guard", &guard, 1, None).unwrap().bind("a");
    let endpoints = vec![("a", Some(guard.clone())), ("b", Some(guard))];
    let (world, policy) = (World::new(), Bound::open());
    world.call(&policy, Case { endpoints: endpoints.clone(), ..Case::new(&[hangs()]) });
    world.log.clear();
    world.call(&policy, Case { endpoints, ..Case::new(&[hangs()]) });
    let lines = world.log.lines();
    let expected = [
        "0 skipped a overloaded",
        "0 skipped b overloaded",
        "0 rejected concurrency overloaded",
        "0 done rejected 0 0ns",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_breaker_of_the_endpoints_policy_learns_from_its_attempts() {
    let breaker = breaker::Settings { consecutive: Some(1), jitter: 0.0, ..Default::default() };
    let guard = Settings { breaker: Some(breaker), ..Settings::default() };
    let guard = Policy::build("guard", &guard, 1, None).unwrap().bind("a");
    let endpoints = vec![("a", Some(guard)), ("b", None)];
    let settings = Settings {
        retry: Some(retry::Settings { base: millis(0), ..Default::default() }),
        ..Settings::default()
    };
    let (world, policy) = (World::new(), bound(&settings));
    let case =
        Case { endpoints, ..Case::new(&[meets(0, Cause::Status(503)), meets(0, Cause::Reply)]) };
    world.call(&policy, case.clone());
    assert_eq!(world.log.count("state a closed open consecutive"), 1);
    assert_eq!(world.log.count("attempt 2 retry b"), 1);
    world.log.clear();
    world.call(&policy, case);
    assert_eq!(world.log.lines()[0], "0 skipped a open");
}

#[test]
fn a_retry_prefers_an_endpoint_that_was_tried_to_none() {
    let settings = Settings {
        retry: Some(retry::Settings { base: millis(0), ..Default::default() }),
        ..Settings::default()
    };
    let (world, policy) = (World::new(), bound(&settings));
    let endpoints = vec![("a", None), ("b", None)];
    world.call(&policy, Case { endpoints, ..Case::new(&[meets(0, Cause::Connect)]) });
    let attempts: Vec<_> =
        world.log.lines().into_iter().filter(|line| line.contains("attempt")).collect();
    assert_eq!(attempts, ["0 attempt 1 first a", "0 attempt 2 retry b", "0 attempt 3 retry a"]);
}

#[test]
fn a_cancelled_call_is_told_once_and_leaves_nothing() {
    let settings = Settings {
        concurrency: Some(concurrency::Settings::new(1)),
        breaker: Some(Default::default()),
        retry: Some(Default::default()),
        ..Settings::default()
    };
    let (world, policy) = (World::new(), bound(&settings));
    let call = world.call(&policy, Case::new(&[meets(10, Cause::Status(503)), hangs()]));
    world.advance(ms(500));
    world.cancel(call);
    assert_eq!(world.log.last(), "500 done cancelled 2 500ms");
    assert_eq!(world.log.count("done"), 1);
    let snapshot = policy.policy().unwrap().snapshot(ms(500));
    assert_eq!(snapshot.concurrency.unwrap().in_flight, 0);
    assert_eq!(snapshot.breakers[0].calls, 1);
}

#[test]
fn an_answer_that_is_dropped_gives_everything_back() {
    let breaker = breaker::Settings { consecutive: Some(1), jitter: 0.0, ..Default::default() };
    let settings = Settings {
        concurrency: Some(concurrency::Settings::new(1)),
        breaker: Some(breaker),
        ..Settings::default()
    };
    let (world, policy) = (World::new(), bound(&settings));
    world.call(&policy, Case::new(&[meets(0, Cause::Status(500))]));
    for _ in 0..2 {
        let probe = Case { dropped: true, ..Case::new(&[meets(0, Cause::Reply)]) };
        world.call_at(5_000, &policy, probe);
    }
    assert_eq!(world.log.count("5000 attempt"), 2, "the slot of the first probe came back");
    assert_eq!(policy.policy().unwrap().snapshot(ms(5_000)).concurrency.unwrap().in_flight, 0);
}

#[test]
fn an_endpoint_whose_breaker_refuses_keeps_no_place_for_the_call() {
    let guard = Settings {
        concurrency: Some(concurrency::Settings::new(9)),
        breaker: Some(breaker::Settings { consecutive: Some(1), ..Default::default() }),
        ..Settings::default()
    };
    let guard = Policy::build("guard", &guard, 1, None).unwrap();
    let endpoints = vec![("a", Some(guard.bind("a"))), ("b", None)];
    let (world, policy) = (World::new(), Bound::open());
    let case = |meets| Case { endpoints: endpoints.clone(), ..Case::new(&[meets]) };
    world.call(&policy, case(meets(0, Cause::Status(500))));
    world.call(&policy, case(hangs()));
    assert_eq!(world.log.last(), "0 attempt 1 first b");
    assert_eq!(guard.snapshot(ms(0)).concurrency.unwrap().in_flight, 0);
}

#[test]
fn an_endpoint_that_refuses_gives_its_breakers_slot_back() {
    let guard =
        Settings { concurrency: Some(concurrency::Settings::new(1)), ..Settings::default() };
    let guard = Policy::build("guard", &guard, 1, None).unwrap().bind("a");
    let endpoints = vec![("a", Some(guard)), ("b", None)];
    let breaker = breaker::Settings { per: breaker::Per::Endpoint, ..Default::default() };
    let (world, policy) =
        (World::new(), bound(&Settings { breaker: Some(breaker), ..Settings::default() }));
    for _ in 0..2 {
        world.call(&policy, Case { endpoints: endpoints.clone(), ..Case::new(&[hangs()]) });
    }
    assert_eq!(
        world.log.lines()[3..],
        [
            "0 admitted breaker",
            "0 settled Ignored",
            "0 skipped a overloaded",
            "0 admitted breaker",
            "0 attempt 1 first b"
        ]
    );
}

#[test]
fn time_lost_in_the_queue_of_an_endpoint_is_lost_for_all() {
    let guard = Settings {
        concurrency: Some(concurrency::Settings { queue: 1, ..concurrency::Settings::new(1) }),
        ..Settings::default()
    };
    let guard = Policy::build("guard", &guard, 1, None).unwrap().bind("a");
    let endpoints = vec![("a", Some(guard)), ("b", None)];
    let (world, policy) = (World::new(), Bound::open());
    world.call(&policy, Case { endpoints: endpoints.clone(), ..Case::new(&[hangs()]) });
    world.call(&policy, Case { deadline: Some(100), endpoints, ..Case::new(&[hangs()]) });
    world.advance(ms(1_000));
    assert_eq!(world.log.count("attempt"), 1);
    assert_eq!(world.log.count("95 rejected deadline deadline_insufficient"), 1);
}

#[test]
fn a_retry_refused_by_the_breaker_ends_the_call_with_the_failure_before_it() {
    let settings = Settings {
        breaker: Some(breaker::Settings { consecutive: Some(1), ..Default::default() }),
        retry: Some(Default::default()),
        ..Settings::default()
    };
    let (world, policy) = (World::new(), bound(&settings));
    world.call(&policy, Case::new(&[meets(0, Cause::Status(503))]));
    world.advance(ms(1_000));
    assert_eq!(world.log.count("rejected breaker open"), 1);
    assert_eq!(world.log.count("done failure 1"), 1);
}

#[test]
fn the_same_calls_with_the_same_seeds_give_the_same_log() {
    let logs = [1, 2].map(|_| {
        let settings = Settings {
            breaker: Some(breaker::Settings { min_calls: 5, ..Default::default() }),
            retry: Some(Default::default()),
            ..Settings::default()
        };
        let (world, policy) = (World::new(), bound(&settings));
        for seed in 0..500 {
            let cause = if seed % 3 == 0 { Cause::Reply } else { Cause::Status(503) };
            world.call_at(seed * 20, &policy, Case { seed, ..Case::new(&[meets(5, cause)]) });
        }
        world.advance(ms(100_000));
        world.log.lines()
    });
    assert!(logs[0].len() > 1_000);
    assert_eq!(logs[0], logs[1]);
}

/// Runs may live on any thread, if what they are given may.
#[test]
fn a_run_can_be_sent() {
    struct Shared;

    impl Clock for Shared {
        fn now(&self) -> Time {
            Time::ZERO
        }

        fn sleep_until(&self, _: Time) -> impl Future<Output = ()> {
            std::future::pending()
        }
    }

    impl Exchange for Shared {
        type Reply = ();

        fn pick(&self, _: &[u32], _: Time) -> Option<Endpoint<'_>> {
            None
        }

        async fn send(&self, _: &Attempt<'_>) -> Ended<()> {
            Ended { cause: Cause::Reply, retry_after: None, reply: () }
        }

        fn abort(&self, _: &Attempt<'_>, status: u16) -> Ended<()> {
            Ended { cause: Cause::Status(status), retry_after: None, reply: () }
        }
    }

    fn sendable<T: Send>(_: &T) {}

    let call = Call {
        method: "",
        arrived: Time::ZERO,
        deadline: None,
        idempotent: false,
        cost: 1,
        priority: 1,
        attempt_above: 1,
        keys: &(),
        seed: 0,
    };
    sendable(&run(&Bound::open(), &call, &Shared, &Shared, &()));
}
