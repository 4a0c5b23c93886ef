//! Retries: what is tried again, when, and how often for all calls together.

use std::time::Duration;

use locum_policy::gates::retry::{Backoff, BudgetSettings, Condition, Settings};
use locum_policy::{Bound, Cause, Mode, policy};
use proptest::prelude::*;

use crate::world::{Case, Meets, World, bound, meets, millis, ms};

const UNAVAILABLE: Cause = Cause::Status(503);

fn retried(retry: Settings) -> policy::Settings {
    policy::Settings { retry: Some(retry), ..policy::Settings::default() }
}

fn at_once() -> Settings {
    Settings { base: Duration::ZERO, ..Settings::default() }
}

/// How many attempts a call makes whose every attempt ends with `cause`.
fn attempts(retry: Settings, cause: Cause, idempotent: bool) -> usize {
    let (world, policy) = (World::new(), bound(&retried(retry)));
    world.call(&policy, Case { idempotent, ..Case::new(&[meets(0, cause)]) });
    world.log.count("attempt")
}

fn budget(ratio: f64, min_per_second: u32) -> Bound {
    let budget = BudgetSettings { ratio, min_per_second, ..BudgetSettings::default() };
    bound(&retried(Settings { budget, attempts: 100, ..at_once() }))
}

/// How many retries `calls` calls get at `at`, of which each would like up to 99.
fn retries(world: &World, policy: &Bound, at: u64, calls: usize) -> usize {
    let before = world.log.count("retry a");
    for _ in 0..calls {
        world.call_at(at, policy, Case::new(&[meets(0, Cause::Reply)]));
    }
    for _ in 0..calls {
        world.call_at(at, policy, Case::new(&[meets(0, UNAVAILABLE)]));
    }
    world.log.count("retry a") - before
}

#[test]
fn what_cannot_have_been_processed_is_retried_whoever_calls() {
    for cause in [Cause::Connect, Cause::ConnectTimeout, Cause::Refused, Cause::Stale] {
        assert_eq!(attempts(at_once(), cause, false), 3, "{cause:?}");
    }
}

#[test]
fn what_may_have_been_processed_is_retried_if_that_does_no_harm() {
    for cause in
        [Cause::Status(502), UNAVAILABLE, Cause::Status(504), Cause::Grpc(14), Cause::Reset]
    {
        assert_eq!(attempts(at_once(), cause, true), 3, "{cause:?}");
        assert_eq!(attempts(at_once(), cause, false), 1, "{cause:?}");
    }
}

#[test]
fn what_would_happen_again_is_not_retried() {
    let final_ones = [
        Cause::Status(200),
        Cause::Status(404),
        Cause::Status(500),
        Cause::Status(429),
        Cause::AppError,
        Cause::Reply,
        Cause::Truncated,
        Cause::Cancelled,
        Cause::Unavailable,
    ];
    for cause in final_ones {
        assert_eq!(attempts(at_once(), cause, true), 1, "{cause:?}");
    }
}

#[test]
fn retry_on_widens_and_narrows() {
    let retry_on = vec![Condition::Status(500), Condition::AppError];
    let retry = Settings { retry_on, ..at_once() };
    assert_eq!(attempts(retry.clone(), Cause::Status(500), true), 3);
    assert_eq!(attempts(retry.clone(), Cause::AppError, true), 3);
    assert_eq!(attempts(retry.clone(), Cause::Status(500), false), 1);
    assert_eq!(attempts(retry, Cause::Connect, true), 1);
}

#[test]
fn conditions_read_and_write_themselves() {
    for text in [
        "connect",
        "refused",
        "stale",
        "timeout",
        "reset",
        "truncated",
        "protocol",
        "app-error",
        "503",
        "UNAVAILABLE",
    ] {
        assert_eq!(text.parse::<Condition>().unwrap().to_string(), text);
    }
    for text in ["200", "600", "OK", "unavailable", "5xx", ""] {
        assert!(text.parse::<Condition>().is_err(), "{text}");
    }
}

#[test]
fn a_retry_of_a_retry_is_not_made_unless_wanted() {
    for (retry_of_retry, attempts) in [(false, 1), (true, 3)] {
        let (world, policy) =
            (World::new(), bound(&retried(Settings { retry_of_retry, ..at_once() })));
        world.call(&policy, Case { attempt_above: 2, ..Case::new(&[meets(0, UNAVAILABLE)]) });
        assert_eq!(world.log.count("attempt"), attempts);
    }
}

#[test]
fn the_peers_wish_of_when_to_come_back_is_obeyed() {
    let (world, policy) = (World::new(), bound(&retried(at_once())));
    let busy = Meets { retry_after: Some(millis(700)), ..meets(10, UNAVAILABLE) };
    world.call(&policy, Case::new(&[busy, meets(10, Cause::Reply)]));
    world.advance(ms(1_000));
    let lines = world.log.lines();
    assert_eq!(
        lines,
        [
            "0 attempt 1 first a",
            "10 delayed retry 700ms",
            "710 attempt 2 retry a",
            "720 done success 2 720ms"
        ]
    );
}

#[test]
fn a_wait_that_cannot_end_in_time_gives_up_at_once_with_the_answer_there_is() {
    let (world, policy) = (World::new(), bound(&retried(at_once())));
    let busy = Meets { retry_after: Some(millis(700)), ..meets(10, UNAVAILABLE) };
    world.call(&policy, Case { deadline: Some(600), ..Case::new(&[busy]) });
    world.advance(ms(1_000));
    assert_eq!(
        world.log.lines(),
        ["0 attempt 1 first a", "10 not_retried deadline", "10 done failure 1 10ms"]
    );
}

#[test]
fn a_peer_that_says_not_to_come_back_is_obeyed() {
    let (world, policy) = (World::new(), bound(&retried(at_once())));
    let never = Meets { retry_after: Some(Duration::MAX), ..meets(10, UNAVAILABLE) };
    world.call(&policy, Case::new(&[never, meets(0, Cause::Reply)]));
    world.advance(ms(1_000));
    assert_eq!(
        world.log.lines(),
        ["0 attempt 1 first a", "10 not_retried pushback", "10 done failure 1 10ms"]
    );
}

#[test]
fn what_cannot_be_sent_again_is_not_retried() {
    let (world, policy) = (World::new(), bound(&retried(at_once())));
    world.call(&policy, Case { repeatable: false, ..Case::new(&[meets(0, UNAVAILABLE)]) });
    assert_eq!(
        world.log.lines(),
        ["0 attempt 1 first a", "0 not_retried body", "0 done failure 1 0ns"]
    );
}

#[test]
fn a_ratio_of_three_quarters_is_three_quarters() {
    let (world, policy) = (World::new(), budget(0.75, 0));
    assert_eq!(retries(&world, &policy, 0, 50), 75);
    assert_eq!(policy.policy().unwrap().snapshot(ms(0)).retry_balance, Some(0));
}

#[test]
fn a_ratio_of_nearly_one_is_not_one() {
    let (world, policy) = (World::new(), budget(0.9999, 0));
    assert_eq!(retries(&world, &policy, 0, 5_000), 9_999);
}

#[test]
fn a_quiet_service_may_retry_too() {
    let (world, policy) = (World::new(), budget(0.0, 10));
    assert_eq!(retries(&world, &policy, 0, 2), 100, "10 a second for 10 s");
    assert_eq!(retries(&world, &policy, 9_000, 2), 0);
    assert_eq!(retries(&world, &policy, 10_000, 2), 100);
}

#[test]
fn refused_by_the_budget_the_call_ends_with_the_answer_there_is() {
    let (world, policy) = (World::new(), budget(0.0, 0));
    world.call(&policy, Case::new(&[meets(0, UNAVAILABLE)]));
    assert_eq!(
        world.log.lines(),
        ["0 attempt 1 first a", "0 not_retried budget", "0 done failure 1 0ns"]
    );
}

#[test]
fn in_shadow_nothing_is_retried() {
    let retry = Settings { mode: Some(Mode::Shadow), ..at_once() };
    let (world, policy) = (World::new(), bound(&retried(retry)));
    world.call(&policy, Case::new(&[meets(0, UNAVAILABLE)]));
    assert_eq!(world.log.count("attempt"), 1);
    assert_eq!(world.log.count("not_retried shadow"), 1);
    assert_eq!(policy.replay_bytes(), 0);
}

#[test]
fn backoffs_stay_within_their_bounds_and_reach_them() {
    let (base, cap) = (millis(25), millis(1_000));
    let waits = |backoff: Backoff, n, previous| {
        [0, u64::MAX].map(|word| backoff.wait(n, previous, base, cap, word).as_millis())
    };
    assert_eq!(waits(Backoff::FullJitter, 1, base), [0, 25]);
    assert_eq!(waits(Backoff::FullJitter, 3, base), [0, 100]);
    assert_eq!(waits(Backoff::FullJitter, 99, base), [0, 1_000]);
    assert_eq!(waits(Backoff::EqualJitter, 3, base), [50, 100]);
    assert_eq!(waits(Backoff::Exponential, 3, base), [100, 100]);
    assert_eq!(waits(Backoff::Exponential, 7, base), [1_000, 1_000]);
    assert_eq!(waits(Backoff::Fixed, 7, base), [25, 25]);
    assert_eq!(waits(Backoff::DecorrelatedJitter, 1, base), [25, 75]);
    assert_eq!(waits(Backoff::DecorrelatedJitter, 2, millis(75)), [25, 225]);
    assert_eq!(waits(Backoff::DecorrelatedJitter, 9, cap), [25, 1_000]);
}

/// The budget as its rule says it, with every instant kept.
#[derive(Default)]
struct Ledger {
    calls: Vec<u64>,
    grants: Vec<u64>,
}

impl Ledger {
    /// Live are the hundredths of the ttl (10 s) that are not a whole ttl old.
    fn live(instants: &[u64], now: u64) -> u64 {
        instants.iter().filter(|at| **at / 100 + 100 > now / 100).count() as u64
    }

    fn grant(&mut self, now: u64, permille: u64, min_per_second: u64) -> bool {
        let most = (min_per_second * 10).max(permille * Self::live(&self.calls, now) / 1_000);
        let granted = Self::live(&self.grants, now) < most;
        if granted {
            self.grants.push(now);
        }
        granted
    }
}

proptest! {
    #[test]
    fn the_budget_grants_what_its_rule_says(
        permille in 0_u64..1_500,
        min_per_second in 0_u64..3,
        steps in prop::collection::vec((0_u64..3_000, prop::bool::weighted(0.7)), 1..120),
    ) {
        let world = World::new();
        let policy = budget(permille as f64 / 1_000.0, min_per_second as u32);
        let mut ledger = Ledger::default();
        let mut now = 0;
        for (pause, good) in steps {
            now += pause;
            let before = world.log.count("retry a");
            let cause = if good { Cause::Reply } else { UNAVAILABLE };
            world.call_at(now, &policy, Case::new(&[meets(0, cause), meets(0, Cause::Reply)]));
            let retried = world.log.count("retry a") > before;
            ledger.calls.push(now);
            let expected = !good && ledger.grant(now, permille, min_per_second);
            prop_assert_eq!(retried, expected, "at {}", now);
        }
    }
    /// The waits of whole calls, against the table of their bounds.
    #[test]
    fn every_wait_is_within_its_bounds(
        backoff in prop_oneof![
            Just(Backoff::FullJitter),
            Just(Backoff::EqualJitter),
            Just(Backoff::DecorrelatedJitter),
            Just(Backoff::Exponential),
            Just(Backoff::Fixed),
        ],
        base in 1_u64..100,
        more in 0_u64..2_000,
        seed in any::<u64>(),
        after in prop::option::of(0_u64..200),
    ) {
        let cap = base + more;
        let settings = Settings {
            backoff,
            base: millis(base),
            cap: millis(cap),
            attempts: 9,
            ..Settings::default()
        };
        let failing = Meets { retry_after: after.map(millis), ..meets(0, UNAVAILABLE) };
        let (world, policy) = (World::new(), bound(&retried(settings)));
        world.call(&policy, Case { seed, ..Case::new(&[failing]) });
        world.advance(ms(1_000_000));
        let times: Vec<u64> = world.log.lines().iter().filter(|line| line.contains("attempt")).map(|line| {
            let at: f64 = line.split(' ').next().unwrap().parse().unwrap();
            (at * 1e6).round() as u64
        }).collect();
        prop_assert_eq!(times.len(), 9);
        let (base, cap) = (base * 1_000_000, cap * 1_000_000);
        let least = after.unwrap_or(0) * 1_000_000;
        // The longest that the wait before can have been, where the peer's wish hides it.
        let mut before = base;
        for (n, pair) in times.windows(2).enumerate() {
            let wait = pair[1] - pair[0];
            let c = cap.min(base << n);
            let (shortest, longest) = match backoff {
                Backoff::FullJitter => (0, c),
                Backoff::EqualJitter => (c / 2, c),
                Backoff::Exponential => (c, c),
                Backoff::Fixed => (base, base),
                Backoff::DecorrelatedJitter => (base, cap.min(3 * before)),
            };
            prop_assert!((shortest.max(least)..=longest.max(least)).contains(&wait), "wait {} of {:?}", n + 1, wait);
            before = if wait > least { wait } else { longest.min(least).max(base) };
        }
    }
}
