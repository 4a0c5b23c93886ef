//! Hedges: when a slow attempt is joined by another, which of them wins, and what both leave behind.

use locum_policy::gates::hedge::{Delay, Latency, Settings};
use locum_policy::gates::{breaker, concurrency, retry};
use locum_policy::{Bound, Cause, Mode, Policy, policy};
use proptest::prelude::*;

use crate::world::{Case, Meets, World, bound, hangs, meets, millis, ms};

const OK: Cause = Cause::Reply;
const UNAVAILABLE: Cause = Cause::Status(503);

fn after(delay: u64) -> Settings {
    Settings::after(Delay::Fixed(millis(delay)))
}

fn hedged(hedge: Settings) -> policy::Settings {
    policy::Settings { hedge: Some(hedge), ..policy::Settings::default() }
}

fn with_breaker(hedge: Settings) -> policy::Settings {
    policy::Settings { breaker: Some(Default::default()), ..hedged(hedge) }
}

/// Calls at endpoints `a`, `b` and `c`.
fn case(script: &[Meets]) -> Case {
    Case { endpoints: vec![("a", None), ("b", None), ("c", None)], ..Case::new(script) }
}

fn log(settings: &policy::Settings, case: Case) -> Vec<String> {
    let world = World::new();
    world.call(&bound(settings), case);
    world.advance(ms(100_000));
    world.log.lines()
}

#[test]
fn a_slow_attempt_is_joined_by_another_and_the_first_answer_wins() {
    let lines = log(&with_breaker(after(50)), case(&[meets(500, OK), meets(10, OK)]));
    let expected = [
        "0 admitted breaker",
        "0 attempt 1 first a",
        "50 admitted breaker",
        "50 attempt 2 hedge b",
        "60 settled Ignored",
        "60 settled Success",
        "60 done success 2 60ms",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn an_answer_in_time_is_not_hedged() {
    for took in [0, 49, 50] {
        let lines = log(&hedged(after(50)), case(&[meets(took, OK)]));
        assert_eq!(lines.len(), 2, "{lines:?}");
    }
}

#[test]
fn the_first_attempt_may_win_after_all() {
    let lines = log(&hedged(after(50)), case(&[meets(60, OK), meets(500, OK)]));
    assert_eq!(lines[2..], ["60 done success 2 60ms"]);
}

#[test]
fn a_failure_does_not_win_while_another_attempt_is_under_way() {
    let lines = log(&with_breaker(after(50)), case(&[meets(60, UNAVAILABLE), meets(500, OK)]));
    assert_eq!(
        lines[4..],
        ["60 settled Failure", "550 settled Success", "550 done success 2 550ms"]
    );
    let lines = log(&with_breaker(after(50)), case(&[meets(60, OK), meets(5, UNAVAILABLE)]));
    assert_eq!(lines[4..], ["55 settled Failure", "60 settled Success", "60 done success 2 60ms"]);
}

#[test]
fn when_all_have_failed_the_call_has() {
    let lines =
        log(&with_breaker(after(50)), case(&[meets(60, UNAVAILABLE), meets(20, UNAVAILABLE)]));
    assert_eq!(lines[4..], ["60 settled Failure", "70 settled Failure", "70 done failure 2 70ms"]);
}

#[test]
fn an_answer_that_is_no_failure_wins() {
    let lines = log(&hedged(after(50)), case(&[hangs(), meets(10, Cause::Status(404))]));
    assert_eq!(lines[2..], ["60 done success 2 60ms"]);
}

#[test]
fn what_may_not_be_sent_twice_is_not_hedged() {
    let lines = log(
        &hedged(after(50)),
        Case { idempotent: false, ..case(&[meets(500, OK), meets(10, OK)]) },
    );
    assert_eq!(lines, ["0 attempt 1 first a", "500 done success 1 500ms"]);
    let lines = log(
        &hedged(after(50)),
        Case { repeatable: false, ..case(&[meets(500, OK), meets(10, OK)]) },
    );
    assert_eq!(lines[1..], ["50 not_hedged body", "500 done success 1 500ms"]);
}

#[test]
fn a_hedge_goes_to_another_endpoint_or_not_at_all() {
    let lines = log(&hedged(after(50)), Case::new(&[meets(500, OK), meets(10, OK)]));
    assert_eq!(
        lines,
        ["0 attempt 1 first a", "50 not_hedged endpoint", "500 done success 1 500ms"]
    );
}

#[test]
fn each_hedge_comes_one_delay_after_the_attempt_before() {
    let settings = hedged(Settings { max: 2, ..after(50) });
    let lines = log(&settings, case(&[hangs(), hangs(), meets(10, OK)]));
    assert_eq!(
        lines[1..],
        ["50 attempt 2 hedge b", "100 attempt 3 hedge c", "110 done success 3 110ms"]
    );
}

#[test]
fn retries_and_hedges_share_the_attempts_and_a_retry_follows_when_all_have_failed() {
    let retry = retry::Settings { attempts: 3, base: millis(0), ..Default::default() };
    let settings =
        policy::Settings { retry: Some(retry), ..hedged(Settings { max: 5, ..after(50) }) };
    let failing = [meets(60, UNAVAILABLE), meets(20, UNAVAILABLE), meets(500, OK)];
    assert_eq!(
        log(&settings, case(&failing)),
        [
            "0 attempt 1 first a",
            "50 attempt 2 hedge b",
            "70 attempt 3 retry c",
            "570 done success 3 570ms"
        ]
    );
}

#[test]
fn with_one_attempt_hedges_are_the_hedge_parts_own() {
    let retry = retry::Settings { attempts: 1, ..Default::default() };
    let settings = policy::Settings { retry: Some(retry), ..hedged(after(50)) };
    let lines = log(&settings, case(&[hangs(), meets(10, UNAVAILABLE), meets(0, OK)]));
    assert_eq!(lines.len(), 2, "the first still hangs: {lines:?}");
}

#[test]
fn what_the_layer_above_retries_is_not_hedged_unless_wanted() {
    for (retry_of_retry, attempts) in [(false, 1), (true, 2)] {
        let retry = retry::Settings { retry_of_retry, ..Default::default() };
        let settings = policy::Settings { retry: Some(retry), ..hedged(after(50)) };
        let lines =
            log(&settings, Case { attempt_above: 2, ..case(&[meets(500, OK), meets(10, OK)]) });
        let sent = lines.iter().filter(|line| line.contains("attempt")).count();
        assert_eq!(sent, attempts);
    }
}

#[test]
fn an_attempt_that_timed_out_leaves_the_other_to_go_on() {
    let settings = policy::Settings {
        attempt_timeout: Some(millis(100)),
        breaker: Some(Default::default()),
        ..hedged(after(50))
    };
    let lines = log(&settings, case(&[hangs(), meets(90, OK)]));
    assert_eq!(
        lines[4..],
        ["100 settled Failure", "140 settled Success", "140 done success 2 140ms"]
    );
}

#[test]
fn when_the_calls_time_is_over_all_attempts_are() {
    let settings = policy::Settings { timeout: Some(millis(205)), ..with_breaker(after(50)) };
    let lines = log(&settings, case(&[hangs(), hangs()]));
    assert_eq!(
        lines[4..],
        ["200 settled Failure", "200 settled Failure", "200 done deadline 2 200ms"]
    );
}

#[test]
fn without_time_for_an_attempt_there_is_no_hedge() {
    let settings = policy::Settings { timeout: Some(millis(64)), ..hedged(after(50)) };
    let lines = log(&settings, case(&[hangs()]));
    assert_eq!(lines[1..], ["50 not_hedged deadline", "59 done deadline 1 59ms"]);
}

#[test]
fn hedges_draw_on_the_budget_of_retries() {
    let budget = retry::BudgetSettings { ratio: 0.5, min_per_second: 0, ..Default::default() };
    let retry = retry::Settings { budget, ..Default::default() };
    let settings = policy::Settings { retry: Some(retry), ..hedged(after(50)) };
    let (world, policy) = (World::new(), bound(&settings));
    for call in 0..10 {
        world.call_at(call * 10, &policy, case(&[meets(1_000, OK), meets(1_000, OK)]));
    }
    world.advance(ms(5_000));
    assert_eq!(world.log.count("attempt 2 hedge"), 5);
    assert_eq!(world.log.count("not_hedged budget"), 5);
}

#[test]
fn without_retries_hedges_have_the_default_budget() {
    let (world, policy) = (World::new(), bound(&hedged(after(50))));
    // 10 a second for 10 s, or a fifth of the calls.
    for call in 0..1_000 {
        world.call_at(call, &policy, case(&[meets(2_000, OK), meets(2_000, OK)]));
    }
    world.advance(ms(5_000));
    assert_eq!(world.log.count("attempt 2 hedge"), 200);
}

#[test]
fn in_shadow_no_hedge_is_sent() {
    let settings = hedged(Settings { mode: Some(Mode::Shadow), ..after(50) });
    let lines = log(&settings, case(&[meets(500, OK), meets(10, OK)]));
    assert_eq!(lines, ["0 attempt 1 first a", "50 not_hedged shadow", "500 done success 1 500ms"]);
    assert_eq!(bound(&settings).replay_bytes(), 0);
    assert_eq!(bound(&hedged(after(50))).replay_bytes(), 64 * 1_024);
}

#[test]
fn a_hedge_that_the_breaker_refuses_leaves_the_first_attempt_alone() {
    let per = breaker::Per::Endpoint;
    let breaker = breaker::Settings { per, consecutive: Some(1), ..Default::default() };
    let settings = policy::Settings { breaker: Some(breaker), ..hedged(after(50)) };
    let (world, policy) = (World::new(), bound(&settings));
    let only_b = Case { endpoints: vec![("b", None)], ..Case::new(&[meets(0, UNAVAILABLE)]) };
    world.call(&policy, only_b);
    world.log.clear();
    let two = Case { endpoints: vec![("a", None), ("b", None)], ..Case::new(&[meets(100, OK)]) };
    world.call(&policy, two);
    world.advance(ms(1_000));
    assert_eq!(
        world.log.lines()[2..],
        [
            "50 skipped b open",
            "50 not_hedged open",
            "100 settled Success",
            "100 done success 1 100ms"
        ]
    );
}

#[test]
fn a_cancelled_call_cancels_all_its_attempts() {
    let (world, policy) = (World::new(), bound(&with_breaker(after(50))));
    let call = world.call(&policy, case(&[hangs()]));
    world.advance(ms(100));
    world.cancel(call);
    assert_eq!(
        world.log.lines()[4..],
        ["100 settled Ignored", "100 settled Ignored", "100 done cancelled 2 100ms"]
    );
}

#[test]
fn the_winners_permits_live_as_long_as_its_answer_and_the_losers_do_not() {
    let guard = |name: &'static str| {
        let settings = policy::Settings {
            concurrency: Some(concurrency::Settings::new(1)),
            ..policy::Settings::default()
        };
        Policy::build(name, &settings, 1, None).unwrap()
    };
    let (a, b) = (guard("a"), guard("b"));
    let in_flight = |guard: &Policy| guard.snapshot(ms(0)).concurrency.unwrap().in_flight;
    let endpoints = vec![("a", Some(a.bind("a"))), ("b", Some(b.bind("b")))];
    let settings = policy::Settings {
        concurrency: Some(concurrency::Settings::new(9)),
        ..with_breaker(after(50))
    };
    let (world, policy) = (World::new(), bound(&settings));
    let script = [hangs(), meets(10, OK)];
    world.call(&policy, Case { endpoints, body: 100, ..Case::new(&script) });
    world.advance(ms(55));
    assert_eq!((in_flight(&a), in_flight(&b)), (1, 1));
    world.advance(ms(100));
    assert_eq!((in_flight(&a), in_flight(&b)), (0, 1));
    assert_eq!(policy.policy().unwrap().snapshot(ms(100)).concurrency.unwrap().in_flight, 1);
    world.advance(ms(1_000));
    assert_eq!((in_flight(&a), in_flight(&b)), (0, 0));
    assert_eq!(world.log.last(), "160 done success 2 160ms");
}

fn p95(policy: &Bound, world: &World) -> Option<String> {
    world.log.clear();
    world.call(policy, case(&[meets(10_000, OK), meets(0, OK)]));
    world.advance(ms(1_000_000));
    let hedge = world.log.lines().into_iter().find(|line| line.contains("hedge"));
    hedge.and_then(|line| line.split(' ').next().map(str::to_owned))
}

#[test]
fn the_percentile_is_learned_and_nothing_is_hedged_before() {
    let settings = hedged(Settings::after(Delay::Percentile(95)));
    let (world, policy) = (World::new(), bound(&settings));
    for call in 0..19 {
        world.call_at(call, &policy, case(&[meets(40, OK)]));
    }
    world.advance(ms(100));
    world.call_at(1_000, &policy, case(&[meets(500, OK)]));
    world.advance(ms(2_000));
    assert_eq!(world.log.count("hedge"), 0, "19 durations are not enough");
    for call in 0..60 {
        world.call_at(2_000 + call, &policy, case(&[meets(40, OK)]));
    }
    world.advance(ms(3_000));
    world.call_at(3_000, &policy, case(&[meets(10_000, OK), meets(0, OK)]));
    world.advance(ms(4_000));
    // 40 ms lie in a slot that ends at 40.9 ms.
    let hedges: Vec<_> =
        world.log.lines().into_iter().filter(|line| line.contains("hedge")).collect();
    assert_eq!(hedges, ["3040.894463 attempt 2 hedge b"]);
}

#[test]
fn what_was_observed_is_forgotten_and_survives_a_reload() {
    let settings = hedged(Settings::after(Delay::Percentile(95)));
    let old = Policy::build("test", &settings, 1, None).unwrap();
    let (world, policy) = (World::new(), old.bind("up"));
    for call in 0..100 {
        world.call_at(call, &policy, case(&[meets(40, OK)]));
    }
    world.advance(ms(1_000));
    let new = Policy::build("test", &settings, 1, Some(&old)).unwrap();
    world.call(&new.bind("other"), case(&[meets(500, OK)]));
    world.advance(ms(2_000));
    assert_eq!(world.log.count("hedge"), 0, "another upstream is another pace");
    assert!(p95(&new.bind("up"), &world).is_some());
    // The clock jumps by hours.
    world.advance(ms(10 * 3_600_000));
    world.log.clear();
    world.call(&new.bind("up"), case(&[meets(500, OK)]));
    world.advance(ms(10 * 3_600_000 + 1_000));
    assert_eq!(world.log.count("hedge"), 0, "nothing is known of this hour");
}

#[test]
fn delays_read_and_write_themselves() {
    for text in ["50ms", "p95", "p50", "p99"] {
        assert_eq!(text.parse::<Delay>().unwrap().to_string(), text);
    }
    for text in ["p49", "p100", "95", "p", "", "fast"] {
        assert!(text.parse::<Delay>().is_err(), "{text}");
    }
    for max in [0, 11] {
        let wrong = hedged(Settings { max, ..after(50) });
        assert_eq!(Policy::build("x", &wrong, 1, None).unwrap_err().path, "hedge.max");
    }
}

/// What happens to one call, millisecond by millisecond, as the rules say it.
struct Model {
    /// When each attempt would end by itself (`None`: never), and whether well.
    script: Vec<(Option<u64>, bool)>,
    endpoints: usize,
    delay: u64,
    max: u32,
    attempts: u32,
    attempt_timeout: u64,
    timeout: u64,
}

impl Model {
    fn lines(&self) -> Vec<String> {
        let end = self.timeout - 5;
        let names = ["a", "b", "c"];
        let mut lines = Vec::new();
        let (mut sent, mut hedges) = (0_u32, 0);
        // When each of those under way ends, whether well, and whether by itself.
        let mut under_way: Vec<(u64, bool, bool)> = Vec::new();
        let mut due = None;
        let mut starts = Some("first");
        for now in 0.. {
            loop {
                if let Some(kind) = starts.take() {
                    let (took, good) = self.script[(sent as usize).min(self.script.len() - 1)];
                    let name =
                        names[if (sent as usize) < self.endpoints { sent as usize } else { 0 }];
                    sent += 1;
                    lines.push(format!("{now} attempt {sent} {kind} {name}"));
                    let cut = (now + self.attempt_timeout).min(end);
                    let own = took.map_or(u64::MAX, |took| now + took);
                    under_way.push((own.min(cut), good && own <= cut, own <= cut));
                    let most = if self.attempts > 1 { self.attempts } else { 1 + self.max };
                    due = (hedges < self.max && sent < most).then_some(now + self.delay);
                }
                if let Some(index) = under_way.iter().position(|(ends, ..)| *ends <= now) {
                    let (_, good, by_itself) = under_way.remove(index);
                    if good {
                        lines.push(format!("{now} done success {sent} {:?}", millis(now)));
                        return lines;
                    }
                    if under_way.is_empty() {
                        if now < end && sent < self.attempts && end - now >= 10 {
                            starts = Some("retry");
                            continue;
                        }
                        let how = if now == end && !by_itself { "deadline" } else { "failure" };
                        lines.push(format!("{now} done {how} {sent} {:?}", millis(now)));
                        return lines;
                    }
                    continue;
                }
                if due.is_some_and(|due| due <= now) {
                    due = None;
                    if end - now >= 10 && (sent as usize) < self.endpoints {
                        hedges += 1;
                        starts = Some("hedge");
                        continue;
                    }
                }
                break;
            }
        }
        unreachable!("the call's time ends it")
    }
}

proptest! {
    #[test]
    fn hedges_and_retries_follow_their_rules(
        script in prop::collection::vec((prop::option::weighted(0.9, 0_u64..200), any::<bool>()), 1..8),
        endpoints in 1_usize..=3,
        delay in 0_u64..120,
        max in 1_u32..4,
        attempts in 1_u32..5,
        attempt_timeout in 10_u64..250,
        timeout in 15_u64..600,
    ) {
        let model = Model { script, endpoints, delay, max, attempts, attempt_timeout, timeout };
        let retry = retry::Settings {
            attempts,
            backoff: retry::Backoff::Fixed,
            base: millis(0),
            retry_on: vec![retry::Condition::Timeout, retry::Condition::Status(503)],
            ..Default::default()
        };
        let settings = policy::Settings {
            timeout: Some(millis(timeout)),
            attempt_timeout: Some(millis(attempt_timeout)),
            retry: Some(retry),
            ..hedged(Settings { max, ..after(delay) })
        };
        let script: Vec<_> = model.script.iter().map(|(took, good)| Meets {
            took: took.map(millis),
            cause: if *good { OK } else { UNAVAILABLE },
            retry_after: None,
        }).collect();
        let all = [("a", None), ("b", None), ("c", None)];
        let case = Case { endpoints: all[..endpoints].to_vec(), ..Case::new(&script) };
        let lines = log(&settings, case);
        let lines: Vec<_> =
            lines.into_iter().filter(|line| line.contains(" attempt ") || line.contains(" done ")).collect();
        prop_assert_eq!(lines, model.lines());
    }

    /// A percentile against a list that keeps everything.
    #[test]
    fn a_percentile_is_that_of_what_was_seen_lately(
        percent in 50_u8..100,
        steps in prop::collection::vec((0_u64..4_000, 0_u64..10_000_000), 1..300),
    ) {
        let latency = Latency::new(percent);
        let mut seen: Vec<(u64, u64)> = Vec::new();
        let (mut now, mut fresh, mut known) = (0, 0, None);
        for (pause, micros) in steps {
            let before = now / 30_000;
            now += pause;
            latency.record(std::time::Duration::from_micros(micros), ms(now));
            seen.push((now / 30_000, micros * 1_000));
            fresh += 1;
            if fresh == 16 || now / 30_000 > before {
                fresh = 0;
                let mut live: Vec<_> =
                    seen.iter().filter(|(half, _)| half + 1 >= now / 30_000).map(|seen| seen.1).collect();
                live.sort_unstable();
                let rank = (live.len() * usize::from(percent)).div_ceil(100);
                known = (live.len() >= 20).then(|| live[rank - 1]);
            }
            let found = latency.percentile(ms(now)).map(|found| found.as_nanos() as u64);
            prop_assert_eq!(found.is_some(), known.is_some(), "at {}", now);
            if let (Some(found), Some(known)) = (found, known) {
                prop_assert!((known..=known + known / 32).contains(&found), "{} is not {}", found, known);
            }
        }
    }
}
