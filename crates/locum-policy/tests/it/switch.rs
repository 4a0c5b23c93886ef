//! The switch beside a breaker's states: whom it reaches, and when it goes back.

use locum_policy::gates::breaker::{Override, Per, Settings, State};
use locum_policy::{Bound, Cause, Policy, Time, policy};

use crate::world::{Case, World, bound, meets, ms};

const OPEN: Option<Override> = Some(Override::ForceOpen);
const CLOSED: Option<Override> = Some(Override::ForceClosed);

fn guarded(breaker: Settings) -> policy::Settings {
    policy::Settings { breaker: Some(breaker), ..policy::Settings::default() }
}

fn per_method() -> Settings {
    Settings { per: Per::Method, ..Settings::default() }
}

/// Whether a call of `method` at `at` is sent.
fn passes(world: &World, policy: &Bound, at: u64, method: &str) -> bool {
    let before = world.log.count("attempt");
    let case = Case { method: method.into(), ..Case::new(&[meets(0, Cause::Reply)]) };
    world.call_at(at, policy, case);
    world.log.count("attempt") > before
}

#[test]
fn thrown_for_all_it_reaches_breakers_that_are_yet_to_be_made() {
    let (world, bound) = (World::new(), bound(&guarded(per_method())));
    let policy = bound.policy().unwrap();
    assert!(policy.force(None, OPEN, ms(1_000), Time::ZERO));
    assert!(!passes(&world, &bound, 0, "A.A"));
    assert!(!passes(&world, &bound, 999, "A.B"));
    assert!(passes(&world, &bound, 1_000, "A.B"));
    assert!(passes(&world, &bound, 1_000, "A.C"), "its time is over before this one is made");
}

#[test]
fn taken_back_for_all_it_reaches_nobody_any_more() {
    let (world, bound) = (World::new(), bound(&guarded(per_method())));
    let policy = bound.policy().unwrap();
    assert!(policy.force(None, OPEN, Time::NEVER, Time::ZERO));
    assert!(!passes(&world, &bound, 0, "A.A"));
    assert!(policy.force(None, None, Time::NEVER, ms(1)));
    assert!(passes(&world, &bound, 1, "A.A"));
    assert!(passes(&world, &bound, 1, "A.B"));
}

#[test]
fn thrown_for_one_target_it_may_come_before_the_first_call() {
    let (world, bound) = (World::new(), bound(&guarded(per_method())));
    let policy = bound.policy().unwrap();
    assert!(policy.force(Some("A.A"), OPEN, ms(1_000), Time::ZERO));
    assert!(!passes(&world, &bound, 0, "A.A"));
    assert!(passes(&world, &bound, 0, "A.B"));
    assert!(passes(&world, &bound, 1_000, "A.A"));
}

#[test]
fn a_switch_whose_time_is_over_leaves_no_trace_on_later_breakers() {
    let (world, bound) = (World::new(), bound(&guarded(Settings::default())));
    let policy = bound.policy().unwrap();
    policy.force(None, OPEN, ms(1_000), Time::ZERO);
    policy.tick(ms(1_000), &world.log);
    policy.bind("other");
    let other = &policy.snapshot(ms(1_000)).breakers[0];
    assert_eq!((&*other.target, other.forced, other.transitions.len()), ("other", None, 0));
}

#[test]
fn a_reload_keeps_the_switch() {
    let world = World::new();
    let old = Policy::build("test", &guarded(per_method()), 1, None).unwrap();
    old.force(None, OPEN, ms(5_000), Time::ZERO);
    let settings = guarded(Settings { min_calls: 7, ..per_method() });
    let new = Policy::build("test", &settings, 1, Some(&old)).unwrap().bind("up");
    assert!(!passes(&world, &new, 10, "A.A"));
    assert!(passes(&world, &new, 5_000, "A.A"));
}

#[test]
fn beneath_a_switch_that_lets_everything_through_the_machine_goes_on() {
    let breaker = Settings { consecutive: Some(1), jitter: 0.0, ..Settings::default() };
    let (world, bound) = (World::new(), bound(&guarded(breaker)));
    let policy = bound.policy().unwrap();
    policy.force(None, CLOSED, ms(2_000), Time::ZERO);
    world.call(&bound, Case::new(&[meets(0, Cause::Status(500))]));
    assert_eq!(policy.snapshot(ms(0)).breakers[0].state, State::Open);
    assert!(passes(&world, &bound, 1_999, "A.A"));
    assert!(!passes(&world, &bound, 2_000, "A.A"), "open until 5000");
}

#[test]
fn a_policy_without_a_breaker_has_no_switch() {
    let policy = Policy::build("test", &policy::Settings::default(), 1, None).unwrap();
    assert!(!policy.force(None, OPEN, Time::NEVER, Time::ZERO));
}
