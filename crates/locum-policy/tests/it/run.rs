//! The order of things around a call.

use locum_policy::{Bound, Cause, Settings};

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
