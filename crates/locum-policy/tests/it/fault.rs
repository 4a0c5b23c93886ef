//! Faults: what is injected, how often, and that everything around reacts as if it were real.

use locum_policy::gates::fault::Settings;
use locum_policy::gates::{breaker, retry};
use locum_policy::{Cause, Mode, Policy, policy};
use proptest::prelude::*;

use crate::world::{Case, World, bound, meets, millis, ms};

fn faulty(fault: Settings) -> policy::Settings {
    policy::Settings { fault: Some(fault), ..policy::Settings::default() }
}

fn delayed(rate: f64) -> Settings {
    Settings { delay: Some(millis(200)), delay_rate: Some(rate), ..Settings::default() }
}

fn aborted(rate: f64) -> Settings {
    Settings { abort: Some(503), abort_rate: Some(rate), ..Settings::default() }
}

fn run_once(settings: &policy::Settings) -> Vec<String> {
    let world = World::new();
    world.call(&bound(settings), Case::new(&[meets(10, Cause::Reply)]));
    world.advance(ms(1_000));
    world.log.lines()
}

#[test]
fn an_aborted_attempt_is_not_sent() {
    assert_eq!(
        run_once(&faulty(aborted(1.0))),
        ["0 attempt 1 first a", "0 injected 1 None Some(503)", "0 done failure 1 0ns"]
    );
}

#[test]
fn a_delayed_attempt_is_sent_later() {
    assert_eq!(
        run_once(&faulty(delayed(1.0))),
        ["0 attempt 1 first a", "0 injected 1 Some(200ms) None", "210 done success 1 210ms"]
    );
}

#[test]
fn a_delay_counts_as_the_attempts_time() {
    let settings = policy::Settings { attempt_timeout: Some(millis(100)), ..faulty(delayed(1.0)) };
    assert_eq!(run_once(&settings)[2], "100 done failure 1 100ms");
}

#[test]
fn a_fault_is_retried_and_trips_the_breaker() {
    let settings = policy::Settings {
        breaker: Some(breaker::Settings { consecutive: Some(2), ..Default::default() }),
        retry: Some(retry::Settings { base: millis(0), ..Default::default() }),
        ..faulty(aborted(1.0))
    };
    let lines = run_once(&settings);
    let has = |part: &str| lines.iter().any(|line| line.contains(part));
    assert!(has("injected 2"), "{lines:?}");
    assert!(has("state up closed open consecutive"), "{lines:?}");
}

#[test]
fn in_shadow_it_is_only_told() {
    let settings = faulty(Settings { mode: Some(Mode::Shadow), ..aborted(1.0) });
    assert_eq!(
        run_once(&settings),
        ["0 attempt 1 first a", "0 would_inject 1 None Some(503)", "10 done success 1 10ms"]
    );
    let off = faulty(Settings { mode: Some(Mode::Off), ..aborted(1.0) });
    assert_eq!(run_once(&off), ["0 attempt 1 first a", "10 done success 1 10ms"]);
}

#[test]
fn a_fault_needs_its_rate_and_a_rate_its_fault() {
    let wrong = [
        (Settings { delay_rate: None, ..delayed(1.0) }, "fault.delay"),
        (Settings { delay: None, ..delayed(1.0) }, "fault.delay_rate"),
        (Settings { abort_rate: None, ..aborted(1.0) }, "fault.abort"),
        (Settings { abort: None, ..aborted(1.0) }, "fault.abort_rate"),
        (Settings { abort: Some(200), ..aborted(1.0) }, "fault.abort"),
        (aborted(1.1), "fault.abort_rate"),
        (delayed(-0.1), "fault.delay_rate"),
        (delayed(f64::NAN), "fault.delay_rate"),
    ];
    for (fault, path) in wrong {
        let error = Policy::build("drill", &faulty(fault), 1, None).unwrap_err();
        assert_eq!(error.path, path);
    }
}

proptest! {
    /// Of many calls about the share that is written down meets the fault, and the same ones again.
    #[test]
    fn the_rates_are_kept_and_the_seed_decides(percent in 0_u32..=100, first in any::<u64>()) {
        let policy = bound(&faulty(aborted(f64::from(percent) / 100.0)));
        let run = || {
            let world = World::new();
            for step in 0..1_000 {
                let seed = first.wrapping_add(step);
                world.call(&policy, Case { seed, ..Case::new(&[meets(0, Cause::Reply)]) });
            }
            world.log.lines()
        };
        let lines = run();
        let injected = lines.iter().filter(|line| line.contains("injected")).count();
        let wanted = 10 * percent as usize;
        // Seven standard deviations of 1,000 draws are at most 111.
        prop_assert!(injected.abs_diff(wanted) <= 111, "{} of {}", injected, wanted);
        prop_assert!(!matches!(percent, 0 | 100) || injected == wanted);
        prop_assert_eq!(run(), lines);
    }
}
