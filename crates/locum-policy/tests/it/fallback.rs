//! The fallback: when a caller is given it, and that nothing else notices.

use locum_policy::gates::fallback::Settings;
use locum_policy::gates::{breaker, concurrency, retry};
use locum_policy::{Cause, Mode, Policy, policy};

use crate::world::{Case, Meets, World, bound, hangs, meets, millis, ms};

fn covered(fallback: Settings) -> policy::Settings {
    policy::Settings { fallback: Some(fallback), ..policy::Settings::default() }
}

fn log(settings: &policy::Settings, script: &[Meets]) -> Vec<String> {
    let world = World::new();
    world.call(&bound(settings), Case::new(script));
    world.advance(ms(1_000));
    world.log.lines()
}

#[test]
fn a_failure_is_covered_and_counted_as_what_it_was() {
    let settings = policy::Settings {
        breaker: Some(breaker::Settings {
            consecutive: Some(1),
            jitter: 0.0,
            ..Default::default()
        }),
        ..covered(Settings::default())
    };
    let world = World::new();
    let policy = bound(&settings);
    world.call(&policy, Case::new(&[meets(0, Cause::Status(503))]));
    world.call(&policy, Case::new(&[meets(0, Cause::Status(503))]));
    assert_eq!(
        world.log.lines(),
        [
            "0 admitted breaker",
            "0 attempt 1 first a",
            "0 fell_back",
            "0 settled Failure",
            "0 state up closed open consecutive",
            "0 done failure 1 0ns",
            "0 rejected breaker open 5s",
            "0 fell_back",
            "0 done rejected 0 0ns",
        ]
    );
}

#[test]
fn only_the_last_attempt_is_covered() {
    let settings = policy::Settings {
        retry: Some(retry::Settings { base: millis(0), ..Default::default() }),
        ..covered(Settings::default())
    };
    let lines = log(&settings, &[meets(0, Cause::Status(503)), meets(0, Cause::Reply)]);
    assert!(!lines.iter().any(|line| line.contains("fell_back")), "{lines:?}");
    let lines = log(&settings, &[meets(0, Cause::Status(503))]);
    assert_eq!(lines[3..], ["0 fell_back", "0 done failure 3 0ns"]);
}

#[test]
fn time_that_is_over_is_covered() {
    let settings = policy::Settings { timeout: Some(millis(100)), ..covered(Settings::default()) };
    assert_eq!(
        log(&settings, &[hangs()]),
        ["0 attempt 1 first a", "95 fell_back", "95 done deadline 1 95ms"]
    );
}

#[test]
fn an_answer_that_is_no_failure_is_passed_on() {
    for cause in [Cause::Status(404), Cause::Status(429), Cause::Reply, Cause::Cancelled] {
        let lines = log(&covered(Settings::default()), &[meets(0, cause)]);
        assert!(!lines.iter().any(|line| line.contains("fell_back")), "{cause:?}");
    }
}

#[test]
fn a_call_without_an_endpoint_and_one_without_a_place_are_covered() {
    let settings = policy::Settings {
        concurrency: Some(concurrency::Settings::new(1)),
        ..covered(Settings::default())
    };
    let (world, policy) = (World::new(), bound(&settings));
    world.call(&policy, Case { endpoints: vec![], ..Case::new(&[hangs()]) });
    assert_eq!(world.log.count("fell_back"), 1);
    world.call(&policy, Case::new(&[hangs()]));
    world.call(&policy, Case::new(&[hangs()]));
    assert_eq!(world.log.count("fell_back"), 2);
    assert_eq!(world.log.last(), "0 done rejected 0 0ns");
}

#[test]
fn in_shadow_it_is_told_and_nothing_else() {
    let settings = covered(Settings { mode: Some(Mode::Shadow), ..Settings::default() });
    let policy = bound(&settings);
    assert_eq!(policy.fallback(), None);
    let lines = log(&settings, &[meets(0, Cause::Status(503))]);
    assert_eq!(lines, ["0 attempt 1 first a", "0 would_fall_back", "0 done failure 1 0ns"]);
}

#[test]
fn what_cannot_be_sent_is_refused_when_it_is_written() {
    let field = |name: &str, value: &str| Settings {
        headers: [(name.to_owned(), value.to_owned())].into(),
        ..Settings::default()
    };
    let body = "[]".to_owned();
    let wrong = [
        (Settings { status: 199, ..Settings::default() }, "fallback.status"),
        (Settings { status: 600, ..Settings::default() }, "fallback.status"),
        (Settings { status: 204, body, ..Settings::default() }, "fallback.body"),
        (field("", "x"), "fallback.headers.\"\""),
        (field("a b", "x"), "fallback.headers.\"a b\""),
        (field("Content-Length", "2"), "fallback.headers.\"Content-Length\""),
        (field("X-A", "1\r\nX-B: 2"), "fallback.headers.\"X-A\""),
        (field("X-A", " 1"), "fallback.headers.\"X-A\""),
    ];
    for (fallback, path) in wrong {
        let error = Policy::build("test", &covered(fallback), 1, None).unwrap_err();
        assert_eq!(error.path, path);
    }
    let right = Settings { body: "[]".into(), ..field("Content-Type", "application/json") };
    assert_eq!(bound(&covered(right.clone())).fallback(), Some(&right));
}
